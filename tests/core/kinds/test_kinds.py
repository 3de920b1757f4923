"""What every kind and every source has to define: a forgotten part of a new one fails here, or in mypy."""

import pkgutil
from collections.abc import Iterator
from typing import TypeVar

import msgspec
import pytest

from credproxy.core import kinds
from credproxy.core.ask.uri import parse_uri
from credproxy.core.kinds import KINDS, sources
from credproxy.core.kinds.base import HostBase
from credproxy.core.kinds.dressed import DressedHost
from credproxy.core.kinds.exec import ExecHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources import SourceSettings
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Bundle, LoginFile, Program, SecretFile, Use, Variable
from tests.kind_samples import ENV, SOURCES, fields, is_path, sample, tag, takes_source


T = TypeVar("T", bound=msgspec.Struct)

EVERY = [*KINDS, *SOURCES]
NAMES = [kind.__name__ for kind in EVERY]


def used(thing: HostBase | SourceBase) -> Iterator[Use]:
    """What it names, without keys."""
    return thing.uses() if isinstance(thing, SourceBase) else (use for _, use in thing.uses())


def modules(package: str, path: list[str]) -> set[str]:
    """The files of a room that are one kind or source each."""
    return {f"{package}.{module.name}" for module in pkgutil.iter_modules(path) if not module.ispkg} - {
        f"{package}.base",
        f"{package}.cloud_libraries",
        f"{package}.dressed",
        f"{package}.uses",
    }


def test_the_lists_are_whole() -> None:
    """A provider that is not in a list cannot be used."""
    assert {kind.__module__ for kind in KINDS} == modules(kinds.__name__, list(kinds.__path__))
    assert {kind.__module__ for kind in SOURCES} == modules(sources.__name__, list(sources.__path__))


@pytest.mark.parametrize("kind", EVERY, ids=NAMES)
def test_a_file_is_called_as_its_tag(kind: type[msgspec.Struct]) -> None:
    """So that ``provider = "x"`` leads to the file."""
    assert kind.__module__.rpartition(".")[2] == tag(kind).replace("-", "_")


@pytest.mark.parametrize("kind", EVERY, ids=NAMES)
def test_every_path_is_checked_and_looked_at(kind: type[HostBase | SourceBase]) -> None:
    """A relative one is refused with its key; ``doctor`` and the daemon check who can write an absolute one."""
    for field in filter(is_path, fields(kind)):
        found = {path[0] for path, _ in sample(kind, "relative").problems()}
        assert field.encode_name in found
        assert any(getattr(use, "path", "") == "/absolute" for use in used(sample(kind)))
    assert not list(sample(kind).problems())


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_every_source_of_a_rule_is_checked_and_looked_at(kind: type[HostBase]) -> None:
    """Whatever the key is called: a secret's relative path would be read wherever the daemon was started."""
    keys = [field.encode_name for field in fields(kind) if takes_source(field)]
    for key in keys:
        wrong = sample(kind, more={key: {"source": "file", "path": "relative"}})
        assert (key, "path") in {path for path, _ in wrong.problems()}
        right = sample(kind, more={key: {"source": "file", "path": "/secret"}})
        assert ((key,), SecretFile("/secret")) in set(right.uses())
        several = sample(kind, more={key: [{"source": "file", "path": "relative"}]})
        assert (key, 0, "path") in {path for path, _ in several.problems()}
        assert ((key, 0), SecretFile("relative")) in set(several.uses())
    every = sample(kind, more=dict.fromkeys(keys, ENV))
    found = list(dict.fromkeys(path[:1] for path, _ in every.secrets()))
    assert found == [(key,) for key in keys] == [(key,) for key in kind.source_keys]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_plain_http_is_a_risk_but_on_this_machine(kind: type[HostBase]) -> None:
    """For every kind: anybody can read a secret on the wire."""
    for match, risky in (("a.test:80/path", True), ("127.0.0.1:80", False), ("localhost", False)):
        found = [problem for problem, _ in sample(kind, more={"match": match, "insecure": True}).risks()]
        assert any("plain http" in problem for problem in found) is risky
    assert not list(sample(kind, more={"match": "a.test"}).risks())


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_a_kind_says_how_a_person_logs_in_where_it_has_sources(kind: type[HostBase]) -> None:
    """The error for a missing login says how to log in."""
    assert bool(sample(kind).setup(parse_uri("https://a.test/"))) is bool(kind.source_keys)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({"source": "env", "name": "X"}, Variable("X")),
        ({"source": "file", "path": "/s", "username": "u"}, SecretFile("/s", "u")),
        ({"source": "command", "argv": ["/p", "x"]}, Program("/p")),
        ({"source": "netrc", "path": "/n"}, LoginFile("/n", "netrc")),
        ({"source": "docker-config", "path": "/d"}, LoginFile("/d", "docker")),
    ],
    ids=lambda value: str(value["source"]) if isinstance(value, dict) else "",
)
def test_what_a_source_names(source: dict[str, object], wanted: Use) -> None:
    """With the sort of each thing, for checks."""
    assert list(msgspec.convert(source, SourceSettings).uses()) == [wanted]


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"source": "env", "name": "1X"}, "name"),
        ({"source": "env", "name": "X", "username": "a:b"}, "username"),
        ({"source": "env", "name": "X", "username": ""}, "username"),
        ({"source": "file", "path": "/s", "username": "a:b"}, "username"),
        ({"source": "command", "argv": []}, "argv"),
        ({"source": "command", "argv": ["/p"], "username": "a:b"}, "username"),
        ({"source": "command", "argv": ["/p"], "timeout": 0}, "timeout"),
        ({"source": "command", "argv": ["/p"], "timeout": 301}, "timeout"),
        ({"source": "command", "argv": ["/p"], "env": {"1A": "x"}}, "env"),
        ({"source": "command", "argv": ["/p"], "pass_env": ["A=1"]}, "pass_env"),
        ({"source": "command", "argv": ["/p"], "keep": -1}, "keep"),
        ({"source": "command", "argv": ["/p"], "keep": float("nan")}, "keep"),
    ],
    ids=str,
)
def test_what_a_source_refuses(source: dict[str, object], key: str) -> None:
    """Each with the key that is wrong."""
    assert [path for path, _ in msgspec.convert(source, SourceSettings).problems()] == [(key,)]


@pytest.mark.parametrize(
    ("match", "prefix", "wanted"),
    [
        ("ghcr.io/team", None, 'match = "ghcr.io/v2/team"'),
        ("a.test:5000/team", "/art/docker", 'match = "a.test:5000/art/docker/v2/team"'),
        ("ghcr.io/v2/team", None, ""),
        ("ghcr.io/v2", None, ""),
        ("a.test/art", "/art", ""),
        ("ghcr.io", None, ""),
    ],
)
def test_a_repository_where_a_path_belongs_is_a_risk(match: str, prefix: str | None, wanted: str) -> None:
    """Such a rule would never answer: a match has the paths of URLs, as every rule has."""
    found = list(OciHost(match, path_prefix=prefix).risks())
    assert [remedy for _, remedy in found] == ([wanted] if wanted else [])
    if wanted:
        mended = wanted.partition('"')[2].rstrip('"')
        assert list(OciHost(mended, path_prefix=prefix).risks()) == []


def test_unverified_certificates_are_a_risk() -> None:
    """Anybody on the way can read the login."""
    assert [problem for problem, _ in OciHost("a.test", tls_verify=False).risks()] == [
        "anybody can pose as 'a.test': tls_verify = false"
    ]


def test_a_bundle_is_named_with_its_key() -> None:
    """``config check --deep`` gives its line."""
    assert (("ca_bundle",), Bundle("/ca.pem")) in set(OciHost("a.test", ca_bundle="/ca.pem").uses())


@pytest.mark.parametrize(("key", "value"), [("env", {"1A": "x"}), ("pass_env", ["A B"])])
def test_a_helper_gets_variables_by_names_that_variables_have(key: str, value: object) -> None:
    """As for a source's program."""
    assert [path for path, _ in sample(ExecHost, more={key: value}).problems()] == [(key,)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, DressedHost)])
def test_a_dressed_kind_knows_how_to_dress(kind: type[DressedHost]) -> None:
    """A struct cannot be abstract, so nothing else would notice."""
    assert kind.dress is not DressedHost.dress


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_every_kind_may_show_a_client_certificate(kind: type[HostBase]) -> None:
    """With a key in the same file or in another; a key alone is nobody's, and plain http shows nothing."""
    pair = {"client_cert": "/c.pem", "client_key": "/c.key"}
    rule = sample(kind, more=pair)
    assert {
        (("client_cert",), Bundle("/c.pem", "client_cert", "/c.key")),
        (("client_key",), SecretFile("/c.key", pem=True)),
    } <= set(rule.uses())
    assert not list(sample(kind, more={"client_cert": "/c.pem", "client_key": None}).problems())
    for more in ({"client_cert": None, "client_key": "/c.key"}, {**pair, "insecure": True}):
        found = {path for path, _ in sample(kind, more=more).problems()}
        assert ("client_cert",) in found
