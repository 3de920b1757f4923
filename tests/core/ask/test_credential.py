"""Secrets that do not show themselves, and failures as values."""

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from io import StringIO

import msgspec
import pytest

from credproxy.core.ask.credential import (
    Grant,
    Handout,
    Identity,
    IdentityToken,
    Lifetime,
    PlainSecret,
    RegistryToken,
    Secret,
    UserPassword,
)
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, Failed, Failure, failed


VALUE = "hunter2-hunter2"
SECRET = Secret(VALUE)


@pytest.mark.parametrize(
    "show",
    [
        pytest.param(repr, id="repr"),
        pytest.param(str, id="str"),
        pytest.param(ascii, id="ascii"),
        pytest.param(lambda s: f"{s}", id="f-string"),
        pytest.param(lambda s: f"{s!r:>20}", id="f-string-repr"),
        pytest.param(lambda s: f"{s:>20}", id="format-spec"),
        pytest.param("{}".format, id="str.format"),
        pytest.param(lambda s: "%s" % (s,), id="percent-s"),  # noqa: UP031  the old way must not show it either
        pytest.param(lambda s: "%r" % (s,), id="percent-r"),  # noqa: UP031  the old way must not show it either
        pytest.param(lambda s: str([s, {"k": s}]), id="inside-containers"),
        pytest.param(lambda s: repr(UserPassword("alice", s)), id="UserPassword"),
        pytest.param(lambda s: repr(IdentityToken(s, "alice", s)), id="IdentityToken"),
        pytest.param(lambda s: repr(RegistryToken(s)), id="RegistryToken"),
        pytest.param(lambda s: repr(PlainSecret(s)), id="PlainSecret"),
        pytest.param(lambda s: repr(Grant((("A", (s,)),), Lifetime(0))), id="Grant"),
        pytest.param(lambda s: repr(Handout((("A", (s,)),), 0)), id="Handout"),
        pytest.param(lambda s: repr(Request("GET", "https://r.test/", (("A", s),), body=s)), id="Request"),
    ],
)
def test_secret_does_not_show(show: Callable[[Secret], str]) -> None:
    """No way of printing it, alone or as part of a value, shows it (SEC-11, PY17)."""
    assert VALUE not in show(SECRET)


def test_response_shows_no_body() -> None:
    """The body of a token response is a secret, and so may its headers be (SEC-6)."""
    response = Response(200, (("Set-Cookie", VALUE),), VALUE.encode(), 0, 0)
    assert VALUE not in repr(response)


def test_secret_does_not_show_in_a_traceback() -> None:
    """Not even if frames are printed with their locals."""

    def fail(secret: Secret) -> None:
        msg = f"failed with {secret}"
        raise ValueError(msg, secret)

    with pytest.raises(ValueError, match="failed") as caught:
        fail(SECRET)
    lines = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    assert VALUE not in "".join(lines)


def test_secret_does_not_show_in_a_log() -> None:
    """However carelessly it is logged."""
    stream = StringIO()
    logger = logging.Logger("careless")  # noqa: LOG001  a logger of its own, without handlers of others
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("login %s %r", SECRET, {"secret": SECRET})
    assert "***" in stream.getvalue()
    assert VALUE not in stream.getvalue()


@pytest.mark.parametrize(
    "serialise",
    [
        pytest.param(pickle.dumps, id="pickle"),
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(json.dumps, id="json"),
        pytest.param(msgspec.json.encode, id="msgspec"),
        pytest.param(lambda s: pickle.dumps(UserPassword("alice", s)), id="pickle-inside"),
    ],
)
def test_secret_is_not_serialised(serialise: Callable[[Secret], object]) -> None:
    """It cannot reach a file or another process by accident."""
    with pytest.raises(TypeError) as caught:
        serialise(SECRET)
    assert VALUE not in str(caught.value)


def test_a_secret_cannot_be_a_key() -> None:
    """A cache key would keep it alive after its use, and a digest of it would be one more secret (SEC-17)."""
    with pytest.raises(TypeError):
        hash(SECRET)
    with pytest.raises(TypeError):
        {UserPassword("alice", SECRET)}


def test_secret_is_not_iterable_and_has_no_length() -> None:
    """It cannot be read piece by piece either."""
    assert not hasattr(SECRET, "__iter__")
    assert not hasattr(SECRET, "__len__")
    assert not hasattr(SECRET, "__dict__")


def test_secrets_compare_by_value() -> None:
    """In constant time, and only with other secrets."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("ü") == Secret("ü")
    assert Secret("a") != "a"
    assert UserPassword("alice", Secret("a")) == UserPassword("alice", Secret("a"))


def test_secret_reveals_its_value_on_request() -> None:
    """Only ``reveal`` gives it; an empty one is false."""
    assert SECRET.reveal() == VALUE
    assert SECRET
    assert not Secret("")


def test_identity_names_the_place_without_its_version() -> None:
    """What ``explain`` and the log show of a credential."""
    assert str(Identity("docker-config", "ghcr.io", (1, 2, 3))) == "docker-config:ghcr.io"
    assert Identity("env", "A", 1) != Identity("env", "A", 2)
    assert hash(Identity("env", "A", 1)) == hash(Identity("env", "A", 1))


def test_grant_without_headers_is_empty() -> None:
    """It stands for "I have no credential"."""
    assert Grant((), Lifetime(0)).empty
    assert not Grant((("Authorization", (SECRET,)),), Lifetime(0)).empty


def test_handouts_are_equal_whatever_they_are_explained_by() -> None:
    """``detail`` is for people, and not part of the answer."""
    assert Handout((), 1, {"scopes": "a"}) == Handout((), 1, {"scopes": "b"})
    assert Handout((), 1) != Handout((), 2)


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.value)
def test_every_code_has_a_status_of_an_error(code: Code) -> None:
    """No failure looks like a success (docs/reference/api.md)."""
    assert Failure(code, "x").status in {400, 403, 404, 405, 413, 500, 502, 503, 504}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.BAD_REQUEST, 400),
        (Code.PEER_REFUSED, 403),
        (Code.POLICY_DENIED, 403),
        (Code.USE_GATEWAY, 403),
        (Code.NOT_FOUND, 404),
        (Code.METHOD_NOT_ALLOWED, 405),
        (Code.TOO_LARGE, 413),
        (Code.INTERNAL, 500),
        (Code.BAD_CREDENTIALS, 502),
        (Code.DENIED, 502),
        (Code.ANSWER_TOO_LARGE, 502),
        (Code.TLS_FAILED, 502),
        (Code.CONFIG_INVALID, 503),
        (Code.UPSTREAM_UNAVAILABLE, 503),
        (Code.RATE_LIMITED, 503),
        (Code.OVERLOADED, 503),
        (Code.STILL_TRYING, 504),
    ],
)
def test_status_of_a_code(code: Code, status: int) -> None:
    """The table of docs/reference/api.md."""
    assert Failure(code, "x").status == status


def test_failed_carries_its_failure() -> None:
    """The exception only carries the failure, a value that waiters share (PY28)."""
    error = failed(Code.RATE_LIMITED, "slow down", hint="wait", retry_after=12.0)
    assert error.failure == Failure(Code.RATE_LIMITED, "slow down", "wait", 12.0)
    assert str(error) == "rate_limited: slow down"
    assert Failed(error.failure).failure is error.failure
