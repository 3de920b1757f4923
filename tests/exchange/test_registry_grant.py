"""What a login, a challenge and a token become: a registry's grant, or the reason why there is none."""

import pytest

from credproxy.core.ask.credential import (
    Grant,
    Identity,
    IdentityToken,
    Lifetime,
    PlainSecret,
    RegistryToken,
    Secret,
    Stored,
    UserPassword,
)
from credproxy.core.ask.lifetime import EMPTY_KEEP
from credproxy.core.ask.login import STATIC_KEEP, Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.exchange import registry_grant
from credproxy.exchange.plan import ANONYMOUS, Purpose
from credproxy.exchange.token_answer import Token


NOW = 1000.0
IDENTITY = Identity("env", "TOKEN")
TARGET = parse_uri("https://reg.test/v2/a/manifests/1")
PULL = "repository:a:pull"
USER = UserPassword("u", Secret("password"))
REFRESH = IdentityToken(Secret("refresh"))
FINISHED = RegistryToken(Secret("finished"))


def login(stored: Stored, until: float | None = None) -> Login:
    """A login that was just looked up."""
    return Login(stored, NOW, until)


def purpose(*, narrow: bool = False, life: float = 0.0) -> Purpose:
    """To pull a repository."""
    return Purpose(TARGET, RepositoryName("a"), (PULL,), "manifest", life, narrow)


def token(value: str = "tok", life: float = 300.0) -> Token:
    """What a token server gave."""
    return Token(Secret(value), Lifetime(since=NOW, until=NOW + life))


def header(grant: Grant) -> str:
    """The Authorization of a grant; its note if there is none."""
    return grant.headers[0][1][0].reveal() if grant.headers else grant.note


@pytest.mark.parametrize(
    ("stored", "identity", "anonymous", "told"),
    [
        (FINISHED, IDENTITY, False, "Bearer finished"),
        (None, IDENTITY, False, "the stored entry is empty"),
        (None, IDENTITY, True, None),
        (None, ANONYMOUS, False, None),
        (USER, IDENTITY, False, None),
        (REFRESH, IDENTITY, False, None),
    ],
)
def test_logins_that_need_no_request_to_the_registry(
    stored: Stored | None,
    identity: Identity,
    anonymous: bool,  # noqa: FBT001  a table
    told: str | None,
) -> None:
    """A finished token is sent as it is; an empty entry gives nothing, unless the rule allows anonymous requests."""
    found = None if stored is None else login(stored)
    grant = registry_grant.at_once(found, identity, boot=NOW, anonymous=anonymous)
    assert (None if grant is None else header(grant)) == told


def test_a_finished_token_ends_with_its_login() -> None:
    """It is the login itself: static without an end, else until then."""
    grant = registry_grant.at_once(login(FINISHED), IDENTITY, boot=NOW, anonymous=False)
    assert grant is not None
    assert (grant.lifetime, grant.direct) == (Lifetime(since=NOW, keep=STATIC_KEEP), True)
    ending = registry_grant.at_once(login(FINISHED, NOW + 50), IDENTITY, boot=NOW, anonymous=False)
    assert ending is not None
    assert ending.lifetime.until == NOW + 50


@pytest.mark.parametrize("stored", [USER, REFRESH, None])
def test_what_a_token_server_takes(stored: UserPassword | IdentityToken | None) -> None:
    """A login, a refresh token, or nothing."""
    found = None if stored is None else login(stored)
    assert registry_grant.sendable(found, IDENTITY) is stored


def test_a_key_without_a_user_name_is_not_a_registry_login() -> None:
    """It says which setting names one, and not the key."""
    with pytest.raises(Failed) as caught:
        registry_grant.sendable(login(PlainSecret(Secret("canary"))), IDENTITY)
    failure = caught.value.failure
    assert (failure.code, "canary" in f"{failure}") == (Code.CREDENTIAL_UNREADABLE, False)
    assert "username" in failure.hint


@pytest.mark.parametrize(
    ("stored", "allowed", "told"),
    [
        (USER, True, "Basic dTpwYXNzd29yZA=="),
        (USER, False, "the registry takes only Basic, and allow_basic = false"),
        (REFRESH, True, "the registry takes only Basic, and the stored credential is not a user name and password"),
        (None, True, "the registry takes only Basic, and the stored credential is not a user name and password"),
    ],
)
def test_a_registry_that_takes_only_basic(stored: Stored | None, allowed: bool, told: str) -> None:  # noqa: FBT001  a table
    """The rule decides whether the password itself is sent."""
    found = None if stored is None else login(stored)
    grant = registry_grant.of_basic(found, IDENTITY, boot=NOW, allowed=allowed)
    assert header(grant) == told
    assert grant.empty or grant.direct


@pytest.mark.parametrize("stored", [REFRESH, FINISHED, None])
def test_a_client_that_exchanges_gets_a_user_name_and_password_or_nothing(stored: Stored | None) -> None:
    """Nothing else can be put into Basic."""
    assert header(registry_grant.of_login(login(USER), IDENTITY, boot=NOW)) == "Basic dTpwYXNzd29yZA=="
    found = None if stored is None else login(stored)
    assert registry_grant.of_login(found, IDENTITY, boot=NOW).empty


@pytest.mark.parametrize(("until", "expected"), [(None, 300.0), (NOW + 1000, 300.0), (NOW + 100, 100.0)])
def test_a_token_does_not_outlive_the_login_that_it_was_asked_for_with(until: float | None, expected: float) -> None:
    """A CI job's login ends with the job, whatever the token server says."""
    grant = registry_grant.of_token(token(), purpose(), login=login(USER, until), boot=NOW)
    assert (header(grant), grant.lifetime.until, grant.direct) == ("Bearer tok", NOW + expected, False)


@pytest.mark.parametrize(("value", "refused"), [("tok", False), ("password", True)])
def test_only_a_question_that_must_be_narrow_is_refused_a_wide_grant(value: str, refused: bool) -> None:  # noqa: FBT001  a table
    """SC-20: a token that holds the login is for the user, and not for a build action."""
    grant = registry_grant.of_token(token(value), purpose(), login=login(USER), boot=NOW)
    registry_grant.check_narrow(grant, login(USER), purpose=purpose())
    if not refused:
        registry_grant.check_narrow(grant, login(USER), purpose=purpose(narrow=True))
        return
    with pytest.raises(Failed) as caught:
        registry_grant.check_narrow(grant, login(USER), purpose=purpose(narrow=True))
    assert caught.value.failure.code is Code.USE_GATEWAY


@pytest.mark.parametrize(("life", "short"), [(240.0, False), (239.0, True)])
def test_a_token_that_lives_too_short_is_nothing_for_a_bare_host(life: float, short: bool) -> None:  # noqa: FBT001  a table
    """SC-18; and that is kept longer than the minimum lifetime, or each question would cause a new exchange."""
    grant = registry_grant.of_token(token(life=life), purpose(), login=None, boot=NOW)
    instead = registry_grant.too_short(grant, purpose(life=240.0), boot=NOW)
    assert (instead is not None) is short
    if instead is not None:
        assert (instead.empty, instead.lifetime.keep) == (True, 240.0 + EMPTY_KEEP)


@pytest.mark.parametrize("stored", [UserPassword("u", Secret("")), UserPassword("", Secret("")), FINISHED, USER])
def test_a_login_with_an_empty_password_is_said_to_be_one(stored: Stored) -> None:
    """A variable was not set: sent as it is, the registry would refuse without a reason."""
    found = login(stored)
    if isinstance(stored, UserPassword) and not stored.password:
        with pytest.raises(Failed) as caught:
            registry_grant.checked(found, IDENTITY, target=TARGET)
        assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    else:
        assert registry_grant.checked(found, IDENTITY, target=TARGET) is found
