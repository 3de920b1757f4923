"""One file that another program writes."""

import structlog

from credproxy.core.errors import Code, failed
from credproxy.sources.watched_file import LOOK, Watched
from tests.fakes import FakeClock, FakeFiles


CANARY = "canary-4711"


def _parse(content: bytes) -> str:
    if content == b"odd":
        raise failed(Code.CREDENTIAL_UNREADABLE, "it is odd", hint="write it anew")
    return content.decode()


def watched(files: FakeFiles, clock: FakeClock, path: str | None = "/f") -> Watched[str]:
    """A file whose content is its own meaning."""
    return Watched(path, "", parse=_parse, name="it", files=files, clock=clock)


async def test_it_is_read_when_it_changes_and_looked_at_once_a_second() -> None:
    """A build asks a thousand times a second."""
    files, clock = FakeFiles(), FakeClock()
    file = watched(files, clock)
    assert not await file.look()
    files.put("/f", "a")
    assert not await file.look()  # within the second
    await clock.advance(LOOK)
    assert await file.look()
    assert file.content == "a"
    await clock.advance(LOOK)
    assert not await file.look()
    file.forget()
    assert await file.look()


async def test_a_file_that_goes_takes_its_logins_with_it() -> None:
    """And after a flush as well, which looks at once."""
    files, clock = FakeFiles(), FakeClock()
    files.put("/f", "a")
    file = watched(files, clock)
    await file.look()
    files.remove("/f")
    file.forget()
    assert not await file.look()
    assert (file.content, file.version, file.failure) == ("", None, None)


async def test_what_can_no_longer_be_read_stays_in_force_and_is_reported_once() -> None:
    """DC-3: the last good copy, for errors of the system and of the syntax."""
    files, clock = FakeFiles(), FakeClock()
    files.put("/f", CANARY)
    file = watched(files, clock)
    await file.look()
    with structlog.testing.capture_logs() as events:
        files.put("/f", "odd")
        for _ in range(3):
            await clock.advance(LOOK)
            assert not await file.look()
        assert (file.content, file.failure and file.failure.message) == (CANARY, "it is odd")
        files.put("/f", "b")
        await clock.advance(LOOK)
        assert await file.look()
    assert (file.content, file.failure) == ("b", None)
    assert [(event["event"], event["of"]) for event in events] == [
        ("logins cannot be read", "it"),
        ("logins can be read again", "it"),
    ]
    assert CANARY not in str(events)


async def test_no_file_is_never_looked_at() -> None:
    """Where there is no place for one."""
    file = watched(FakeFiles(), FakeClock(), None)
    assert not await file.look()
    assert file.content == ""
