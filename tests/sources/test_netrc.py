"""A netrc file as a source of logins; what the file says is tested in tests/core/formats/test_netrc.py."""

import pytest
import structlog

from credproxy.core.ask.credential import Secret, Stored, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.kinds.sources.netrc import NetrcSource
from credproxy.sources.netrc import Netrc
from tests.contract import CANARY, HOST, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles


TARGET = parse_uri("reg.test")
DENIED = failed(Code.CREDENTIAL_UNREADABLE, "the file '/n' permission denied", hint="namei -l /n")
NETRC = "machine reg.test login u password p\nmachine other.test login o password q\ndefault login x password y\n"


class Setting:
    """A source with fakes around it."""

    def __init__(self, content: str | bytes | None = NETRC, path: str | None = "/n") -> None:
        self.files, self.clock = FakeFiles(), FakeClock()
        if content is not None:
            self.files.put("/n", content)
        self.source = Netrc(path, files=self.files, clock=self.clock)

    async def read(self, uri: str = "reg.test") -> Stored | None:
        """Locate and read."""
        target = parse_uri(uri)
        identity = await self.source.locate(target, None)
        login = None if identity is None else await self.source.read(identity, target)
        return None if login is None else login.stored

    async def later(self, uri: str = "reg.test") -> Stored | Failure | None:
        """The same a second later; an error as a value."""
        self.clock.suspend(1.1)
        try:
            return await self.read(uri)
        except Failed as error:
            return error.failure


async def test_a_machine_is_found_by_its_exact_name_on_any_port() -> None:
    """netrc(5)."""
    setting = Setting()
    assert await setting.read("https://reg.test:8443/x") == UserPassword("u", Secret("p"))
    assert await setting.read("https://REG.test./x") == UserPassword("u", Secret("p"))
    assert await setting.read("sub.reg.test") is None


async def test_the_default_entry_is_ignored() -> None:
    """P-7: it would send a login to every host."""
    assert await Setting().read("unknown.example") is None


async def test_a_file_that_is_gone_when_all_is_forgotten_is_gone() -> None:
    """``flush`` after ``rm``: the last copy does not outlive it."""
    setting = Setting()
    assert await setting.read() is not None
    setting.files.remove("/n")
    setting.source.forget()
    assert await setting.read() is None


async def test_without_a_file_there_is_no_login() -> None:
    """Nor is an absent path."""
    assert await Setting(None).read() is None
    assert await Setting(path=None).read() is None
    assert Setting(None).source.trouble(TARGET) is None


async def test_a_changed_netrc_is_seen_within_a_second() -> None:
    """And its version is part of the identity."""
    setting = Setting()
    first = await setting.source.locate(TARGET, None)
    setting.files.put("/n", "machine reg.test login u password new\n")
    assert await setting.later() == UserPassword("u", Secret("new"))
    assert await setting.source.locate(TARGET, None) != first


async def test_an_entry_that_is_broken_when_the_daemon_starts_is_an_error_until_it_is_fixed() -> None:
    """An error that names file and line, and not ``{}``; other machines are not affected, and a fixed file is used within a second."""
    setting = Setting("machine reg.test login u password my canary\nmachine other.test login o password q\n")
    with structlog.testing.capture_logs() as events:
        broken = await setting.later()
    assert isinstance(broken, Failure)
    assert broken.code is Code.CREDENTIAL_UNREADABLE
    assert (
        broken.message
        == "the entry of 'reg.test' in the netrc file '/n' cannot be read: line 1 has a word that is not a keyword"
    )
    assert [(event["event"], event["line"]) for event in events] == [("netrc file has a mistake", 1)]
    assert "canary" not in f"{broken}{events}{setting.source._file.content}"
    assert await setting.read("other.test") == UserPassword("o", Secret("q"))
    setting.files.put("/n", 'machine reg.test login u password "my canary"\n')
    assert await setting.later() == UserPassword("u", Secret("my canary"))


async def test_a_file_that_can_no_longer_be_read_leaves_its_last_good_copy_in_force() -> None:
    """DC-3; the reason is logged once, and is there for ``explain`` until the file can be read again."""
    setting = Setting()
    await setting.read()
    setting.files.broken["/n"] = DENIED
    with structlog.testing.capture_logs() as events:
        for _ in range(3):
            assert await setting.later() == UserPassword("u", Secret("p"))
        assert setting.source.trouble(TARGET) == DENIED.failure
        del setting.files.broken["/n"]  # the mode is fixed: that does not change the version
        assert await setting.later() == UserPassword("u", Secret("p"))
    assert setting.source.trouble(TARGET) is None
    assert [event["event"] for event in events] == ["logins cannot be read", "logins can be read again"]


@pytest.mark.parametrize("content", [NETRC, "\ufeffmachine reg.test login u password p".encode("utf-16")])
async def test_a_file_that_was_never_readable_names_no_machine_and_says_why(content: str | bytes) -> None:
    """Which machines it names cannot be known, so that a host without a rule gets ``{}``, and its rule an error (P-7)."""
    setting = Setting(content)
    if isinstance(content, str):
        setting.files.broken["/n"] = DENIED
    assert await setting.later() is None
    assert setting.source.trouble(TARGET) is not None
    setting.files.broken.clear()
    setting.files.put("/n", NETRC)
    assert await setting.later() == UserPassword("u", Secret("p"))
    assert setting.source.trouble(TARGET) is None


async def test_a_file_of_another_kind_does_not_flood_the_log() -> None:
    """A JSON file, given by mistake, is thousands of words that are not keywords."""
    setting = Setting("x " * 5000)
    with structlog.testing.capture_logs() as events:
        assert await setting.later() is None
    assert len(events) == 8


def into_netrc(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    ground.files.put("/n", f"machine {HOST} login u password {secret}\n")


CONTRACTS = {
    "netrc": SourceContract(NetrcSource("/n"), into_netrc, lambda ground: into_netrc(ground, f"{CANARY} {CANARY}"))
}
