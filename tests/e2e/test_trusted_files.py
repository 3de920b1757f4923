"""The real daemon and a configuration that others may write: the file's real owner and mode count."""

import json
import time
from collections.abc import Callable

import pytest

from tests.e2e.stage import Stage, TokenRegistry


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


def await_true(condition: Callable[[], bool]) -> None:
    """Ten seconds at most."""
    deadline = time.perf_counter() + 10
    while not condition():
        assert time.perf_counter() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("spoiled", ["file", "directory"])
def test_a_world_writable_configuration_is_not_trusted_until_it_is_fixed(
    staged: Stage, registry: TokenRegistry, spoiled: str
) -> None:
    """Every question is answered with what is wrong; following the hint fixes it without a restart."""
    staged.configure(registry.rule())
    place = staged.config if spoiled == "file" else staged.config.parent
    mode = place.stat().st_mode
    place.chmod(mode | 0o002)
    staged.start(REGISTRY_PASSWORD=registry.password)
    refused = staged.helper(registry.uri("a/b/manifests/x"))
    assert refused.returncode == 1
    cause, hint = refused.stderr.splitlines()
    assert f"the configuration '{staged.config}' is not trusted" in cause
    assert hint == f"chmod go-w {place}"
    assert registry.requests == []
    checked = staged.credproxy("config", "check")
    assert (checked.returncode, hint in checked.stderr) == (1, True)
    place.chmod(mode & ~0o022)  # as the hint says
    await_true(lambda: staged.helper(registry.uri("a/b/manifests/x")).returncode == 0)
    assert staged.credproxy("config", "check").returncode == 0


def test_a_reload_of_what_everybody_may_write_keeps_what_is_in_force(staged: Stage, registry: TokenRegistry) -> None:
    """The reload is refused with the reason, and the daemon answers as before."""
    staged.configure(registry.rule())
    staged.start(REGISTRY_PASSWORD=registry.password)
    staged.config.write_text('[[host]]\nmatch = "*"\nprovider = "none"\n')
    staged.config.chmod(0o666)
    refused = staged.credproxy("reload")
    assert refused.returncode == 1
    assert "is not trusted: it could be replaced by others" in refused.stderr
    assert staged.headers(registry.uri("a/b/manifests/x")) == {"Authorization": ["Bearer canary-token-1"]}


def test_a_group_writable_configuration_is_trusted_with_a_warning(staged: Stage, registry: TokenRegistry) -> None:
    """A umask of 002 makes every file so; the log reports it once, and so do `config check` and doctor."""
    staged.configure(registry.rule())
    staged.config.chmod(0o660)
    staged.start(REGISTRY_PASSWORD=registry.password)
    assert staged.headers(registry.uri("a/b/manifests/x")) == {"Authorization": ["Bearer canary-token-1"]}
    assert staged.credproxy("reload").returncode == 0
    (line,) = staged.events("a group may write what is trusted")
    assert line["hint"] == f"chmod go-w {staged.config}"
    checked = staged.credproxy("config", "check")
    assert (checked.returncode, "could be replaced by its group" in checked.stderr) == (0, True)
    findings = json.loads(staged.credproxy("doctor", "--json").stdout)["findings"]
    told = [one for one in findings if "could be replaced by its group" in one["message"]]
    assert [one["severity"] for one in told] == ["warning"]
