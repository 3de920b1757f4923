"""Files beside that of a login: seen within a second, looked at once in one."""

from credproxy.sources.other_files import OtherFiles
from tests.fakes import FakeClock, FakeFiles


async def test_a_change_is_seen_within_a_second_and_a_new_list_at_once() -> None:
    """There are ten thousand questions a second, and a thread for each look."""
    files, clock = FakeFiles(), FakeClock()
    one = OtherFiles(files, clock)
    files.put("/a", "1")
    first = await one.stamps(("/a", "/b"))
    assert first[0] is not None
    assert first[1] is None
    files.put("/b", "2")
    assert await one.stamps(("/a", "/b")) == first
    clock.suspend(1)
    second = await one.stamps(("/a", "/b"))
    assert second[0] == first[0]
    assert second[1] is not None
    assert await one.stamps(("/b",)) == second[1:]
    assert await one.stamps(()) == ()


async def test_what_is_forgotten_is_looked_at_again() -> None:
    """``credproxy flush`` waits for nothing."""
    files, clock = FakeFiles(), FakeClock()
    one = OtherFiles(files, clock)
    assert await one.stamps(("/a",)) == (None,)
    files.put("/a", "1")
    one.forget()
    assert await one.stamps(("/a",)) != (None,)
