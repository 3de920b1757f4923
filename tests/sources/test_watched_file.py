"""One file that another program writes."""

import asyncio

import structlog

from credproxy.core.errors import Code, failed
from credproxy.ports.files import FileVersion
from credproxy.sources.watched_file import LOOK, Watched
from tests.fakes import FakeClock, FakeFiles, settle


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


class SlowFiles(FakeFiles):
    """It takes a second to look at one, and each look is counted."""

    clock: FakeClock
    looks = 0

    async def version(self, path: str) -> FileVersion | None:
        """As the file was when the look began."""
        self.looks += 1
        found = await super().version(path)
        await self.clock.sleep(1.0)
        return found


def _slow(content: str) -> tuple[SlowFiles, Watched[str]]:
    files, clock = SlowFiles(), FakeClock()
    files.clock = clock
    files.put("/f", content)
    return files, watched(files, clock)


async def test_however_many_ask_at_once_it_is_looked_at_once() -> None:
    """Ten thousand objects of one bucket are as many questions; all of them get what was found."""
    files, file = _slow("a")
    looking = [asyncio.ensure_future(file.look()) for _ in range(1000)]
    await settle()
    assert not any(task.done() for task in looking)
    await files.clock.advance(1.0)
    assert sorted(await asyncio.gather(*looking)) == [False] * 999 + [True]
    assert (files.looks, files.reads, file.content) == (1, ["/f"], "a")


async def test_one_that_leaves_while_it_looks_leaves_the_look_to_the_next() -> None:
    """Otherwise there would seem to be no login for a second."""
    files, file = _slow("a")
    looking = [asyncio.ensure_future(file.look()) for _ in range(2)]
    await settle()
    looking[0].cancel()
    await files.clock.advance(1.0)
    assert await looking[1]
    assert (looking[0].cancelled(), file.content) == (True, "a")


async def test_a_flush_during_a_look_causes_another() -> None:
    """What is being read may be older than what the flush is for."""
    files, file = _slow("a")
    looking = asyncio.ensure_future(file.look())
    await settle()
    files.put("/f", "b")
    file.forget()
    await files.clock.advance(1.0)
    await looking
    before = files.looks
    again = asyncio.ensure_future(file.look())
    await files.clock.advance(1.0)
    await again
    assert (files.looks, file.content) == (before + 1, "b")


async def test_a_copy_that_is_in_force_keeps_its_version() -> None:
    """A flush, and then a file that cannot be read: a copy without a version would be taken for no file, and another login used."""
    files, clock = FakeFiles(), FakeClock()
    files.put("/f", "a")
    file = watched(files, clock)
    await file.look()
    before = file.version
    file.forget()
    files.put("/f", "odd")
    assert not await file.look()
    assert (file.content, file.version, file.failure is None) == ("a", before, False)
    files.put("/f", "a")
    await clock.advance(LOOK)
    assert await file.look()
