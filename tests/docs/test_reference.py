"""The reference pages are complete: paths, codes, and links that lead somewhere."""

import re
from pathlib import Path

import pytest

from credproxy.adapters.metrics import PrometheusMetrics
from credproxy.core.errors import Code, Failure
from credproxy.server.actions_api import ActionsApi
from credproxy.server.helper_api import HelperApi


ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "reference" / "api.md").read_text()
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("code", list(Code))
def test_every_code_is_in_the_reference_with_its_status(code: Code) -> None:
    """Clients key on the code, dashboards on the status."""
    assert f"| `{code.value}` | {Failure(code, '').status} |" in API


def test_the_reference_only_names_existing_codes() -> None:
    """A renamed code must not stay behind."""
    table = API.partition("## Errors")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {code.value for code in Code}


def test_every_path_is_in_the_reference() -> None:
    """With its method, and no other."""
    helper, _, actions = API.partition("## The actions socket")
    for text, table in ((helper, HelperApi.ROUTES), (actions, ActionsApi.ROUTES)):
        told = re.findall(r"`(GET|POST) (/\S+?)`", text)
        assert set(told) == {(route.method, route.path) for route in table}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links name files that are there."""
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


OBSERVABILITY = (ROOT / "docs" / "reference" / "observability.md").read_text()
SOURCES = [path.read_text() for path in sorted((ROOT / "credproxy").rglob("*.py"))]
CALL = re.compile(r"\blog\.(?:debug|info|warning|error|log)\(\s*(?:[A-Za-z ]+,\s*)?\"([^\"]+)\"")
EVENTS = sorted({found for text in SOURCES for found in CALL.findall(text)})


@pytest.mark.parametrize("event", EVENTS)
def test_every_log_event_is_in_the_reference(event: str) -> None:
    """A reader of a log finds the line explained."""
    assert f"`{event}`" in OBSERVABILITY


def test_the_source_still_logs() -> None:
    """The pattern above must still find log events."""
    assert {"ready", "exchanged", "reload refused"} <= set(EVENTS)


GAUGE = re.compile(r"\.gauge\(\s*\"(\w+)\"")


def test_every_metric_is_in_the_reference_and_no_other() -> None:
    """By the names that a scrape shows; those of gauges are where they are set up."""
    metrics = PrometheusMetrics()
    for name in {found for text in SOURCES for found in GAUGE.findall(text)}:
        metrics.gauge(name, "about", value=lambda: 0.0)
    page = metrics.render()[0].decode()
    counted = {f"{name}_total" for name in re.findall(r"^# TYPE (credproxy_\w+) counter$", page, re.MULTILINE)}
    measured = set(re.findall(r"^# TYPE (credproxy_\w+) (?:gauge|histogram)$", page, re.MULTILINE))
    rows = "".join(re.findall(r"^\| (`credproxy_[^|]*)\|", OBSERVABILITY, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows)) == counted | measured
    assert "credproxy_cache_bytes" in measured
