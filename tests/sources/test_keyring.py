"""A secret of the keyring."""

import pytest

from credproxy.core.ask.credential import IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.sources.keyring import LIBRARY, KeyringSource
from credproxy.ports.keyrings import KeyringFound
from credproxy.sources.keyring import FromKeyring
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeClock, FakeKeyring
from tests.hints import filled


TARGET = parse_uri("reg.test")


def source(keyring: FakeKeyring, username: str | None = None, clock: FakeClock | None = None) -> FromKeyring:
    """Of the service ``s``."""
    return FromKeyring(KeyringSource("s", username), keyring, clock=clock or FakeClock())


async def read(found: FromKeyring) -> Stored | None:
    """Locate and read."""
    identity = await found.locate(TARGET, None)
    login = None if identity is None else await found.read(identity, TARGET)
    return None if login is None else login.stored


@pytest.mark.parametrize(
    ("stored", "username", "wanted"),
    [
        ({"": "key"}, None, PlainSecret(Secret("key"))),
        ({"u": "key"}, None, UserPassword("u", Secret("key"))),
        ({"u": "key", "v": "other"}, "v", UserPassword("v", Secret("other"))),
        ({"u": "key", "": "active"}, None, PlainSecret(Secret("active"))),
        ({"<token>": "idt"}, None, IdentityToken(Secret("idt"))),
        ({}, None, None),
        ({"u": "key"}, "v", None),
    ],
    ids=str,
)
async def test_what_the_keyring_has_becomes_a_login(
    stored: dict[str, str], username: str | None, wanted: Stored | None
) -> None:
    """With the user name of the rule, else with that under which it is stored; under none, it is the active one."""
    keyring = FakeKeyring()
    for user, secret in stored.items():
        keyring.put("s", secret, user)
    keyring.put("another", "canary", "u")
    assert await read(source(keyring, username)) == wanted


async def test_several_logins_of_one_service_have_to_be_told_apart() -> None:
    """Whichever was taken might be the wrong one."""
    keyring = FakeKeyring()
    keyring.put("s", "canary", "u")
    keyring.put("s", "canary", "v")
    with pytest.raises(Failed) as caught:
        await read(source(keyring))
    assert (
        caught.value.failure.message == "the keyring has several logins of 's': 'u', 'v', of which its rule names none"
    )
    assert filled(caught.value.failure.hint, 'name one: { source = "keyring", service = "{}", username = "NAME" }') == (
        "s",
    )
    assert await read(source(keyring, "v")) == UserPassword("v", Secret("canary"))


async def test_a_locked_keyring_is_an_error_at_once_that_tells_the_way_out() -> None:
    """There is no prompt, and no other source is asked: the keyring may have the intended secret."""
    keyring = FakeKeyring(locked=True)
    keyring.put("s", "canary", "u")
    clock = FakeClock()
    found = source(keyring, clock=clock)
    with pytest.raises(Failed) as caught:
        await found.locate(TARGET, None)
    assert caught.value.failure.message == "the secret of 's' cannot be read: the keyring is locked"
    assert not filled(
        caught.value.failure.hint,
        "unlock it: log in to your desktop, or gnome-keyring-daemon --unlock; a machine without a desktop takes "
        '{ source = "systemd-credential" }, or { source = "file" } with mode 0600',
    )
    keyring.locked = False
    clock.suspend(1)
    assert await read(found) == UserPassword("u", Secret("canary"))


async def test_a_locked_keyring_without_the_secret_is_passed() -> None:
    """As is one that has others."""
    keyring = FakeKeyring(locked=True)
    keyring.put("another", "canary", "u")
    found = source(keyring)
    assert await found.locate(TARGET, None) is None
    assert found.looked(TARGET) == ("the keyring has no secret of 's'",)


async def test_a_session_without_a_keyring_has_nothing() -> None:
    """As on a server: the next source is asked, and ``explain`` says why."""
    found = source(FakeKeyring(absent="there is no session bus"), "u")
    assert await found.locate(TARGET, None) is None
    assert found.looked(TARGET) == ("the keyring is not looked at: there is no session bus",)


async def test_a_keyring_that_does_not_answer_is_an_error_of_every_question_of_the_second() -> None:
    """It is not asked again for each of them."""
    broken = failed(Code.CREDENTIAL_UNREADABLE, "the keyring has not answered for 5 s", hint="look")
    keyring, clock = FakeKeyring(broken=broken), FakeClock()
    found = source(keyring, clock=clock)
    for _ in range(3):
        with pytest.raises(Failed, match="has not answered"):
            await found.locate(TARGET, None)
    assert keyring.searches == 1


async def test_ten_thousand_questions_of_one_second_are_one_search() -> None:
    """A search is a conversation with another process."""
    keyring, clock = FakeKeyring(), FakeClock()
    keyring.put("s", "key")
    found = source(keyring, clock=clock)
    for _ in range(10_000):
        assert await found.locate(TARGET, None) is not None
    assert keyring.searches == 1
    clock.suspend(1)
    await found.locate(TARGET, None)
    found.forget()
    await found.locate(TARGET, None)
    assert keyring.searches == 3


async def test_a_search_that_a_flush_overtook_is_made_again() -> None:
    """What was stored before the flush is found by the next question."""

    class Overtaken(FakeKeyring):
        async def search(self, service: str, username: str | None, *, anew: bool = False) -> KeyringFound:
            """What was there when it began."""
            result = await super().search(service, username, anew=anew)
            if self.searches == 1:
                self.put("s", "key")
                found.forget()
            return result

    found = source(Overtaken())
    assert await found.locate(TARGET, None) is None
    assert await found.locate(TARGET, None) is not None


async def test_a_refused_secret_is_looked_up_again_once_in_ten_seconds() -> None:
    """A new one may have been stored within the same second."""
    keyring = FakeKeyring()
    keyring.put("s", "old")
    found = source(keyring)
    identity = await found.locate(TARGET, None)
    assert identity is not None
    keyring.put("s", "new")
    for _ in range(3):
        login = await found.read(identity, TARGET, anew=True)
        assert login is not None
        assert login.stored == PlainSecret(Secret("new"))
    assert keyring.searches == 2
    assert await found.locate(TARGET, None) != identity


async def test_a_secret_deleted_while_it_is_read_gives_none() -> None:
    """The user logged out between the two steps."""
    keyring = FakeKeyring()
    keyring.put("s", "key")
    found = source(keyring)
    identity = await found.locate(TARGET, None)
    assert identity is not None
    keyring.secrets.clear()
    assert await found.read(identity, TARGET) is None
    assert await found.peek(identity, TARGET) is None


@pytest.mark.parametrize("username", [None, "u"])
async def test_a_secret_that_no_header_can_carry_is_stored_again_as_the_hint_says(username: str | None) -> None:
    """It is not quoted."""
    keyring, clock = FakeKeyring(), FakeClock()
    keyring.put("s", "canary\nx", "u")
    found = source(keyring, username, clock)
    with pytest.raises(Failed, match="holds more than one line") as caught:
        await read(found)
    service, user = filled(f"{caught.value.failure.hint} ", "store it anew: secret-tool store --label x service {}{}")
    assert (service, user.strip()) == ("s", f"username {username}" if username else "")
    keyring.put("s", "canary", "u")
    clock.suspend(1)
    assert await read(found) == UserPassword("u", Secret("canary"))


@pytest.mark.parametrize(("system", "module"), [("linux", "jeepney"), ("darwin", "keyring"), ("win32", "keyring")])
def test_each_system_has_its_library(system: str, module: str) -> None:
    """And what brings it."""
    assert LIBRARY.module(system) == module
    assert LIBRARY.requirement(system).startswith(f"{module}>=")


def into_keyring(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    ground.keyring.put("s", secret, "u")


CONTRACTS = {
    "keyring": SourceContract(
        KeyringSource("s", "u"), into_keyring, lambda ground: into_keyring(ground, f"{CANARY}\nx")
    )
}
