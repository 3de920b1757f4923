"""Environment, file and command as sources of secrets."""

import pytest

from credproxy.core.ask.credential import IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.core.ownership import Exposure
from credproxy.ports import Command, Completed, Source
from credproxy.sources.command import CommandOutput
from credproxy.sources.env import Env
from credproxy.sources.file import File
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles, FakeProcesses


TARGET = parse_uri("reg.test")


async def read(source: Source, uri: str = "reg.test") -> Stored | None:
    """Locate and read."""
    target = parse_uri(uri)
    identity = await source.locate(target, None)
    login = None if identity is None else await source.read(identity, target)
    return None if login is None else login.stored


@pytest.mark.parametrize(
    ("text", "username", "wanted"),
    [
        ("key", None, PlainSecret(Secret("key"))),
        ("key\n", None, PlainSecret(Secret("key"))),
        ("key\r\n", None, PlainSecret(Secret("key"))),
        (" key ", None, PlainSecret(Secret(" key "))),
        ("pä€:x", "u", UserPassword("u", Secret("pä€:x"))),
        ("idt", "<token>", IdentityToken(Secret("idt"))),
    ],
)
async def test_what_a_text_becomes(text: str, username: str | None, wanted: Stored) -> None:
    """One newline is taken off; a user name makes a login; ``<token>`` a refresh token."""
    assert await read(Env(EnvSource(name="X", username=username), {"X": text}, clock=FakeClock())) == wanted


@pytest.mark.parametrize("text", ["", "\n", "a\nb", "a\0b", "a\rb"])
async def test_a_text_that_no_header_can_carry_is_refused_unquoted(text: str) -> None:
    """And the error names the variable, not the value."""
    with pytest.raises(Failed) as caught:
        await read(
            Env(
                EnvSource(name="X"),
                {"X": text + ("canary" if text else "")} if text.strip() else {"X": text},
                clock=FakeClock(),
            )
        )
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert "'X'" in caught.value.failure.message
    assert "canary" not in str(caught.value)


async def test_a_variable_that_is_not_set_says_how_to_set_it() -> None:
    """P-12: configured but missing is an error."""
    with pytest.raises(Failed) as caught:
        await read(Env(EnvSource(name="X"), {}, clock=FakeClock()))
    assert "export X" in caught.value.failure.hint


async def test_a_user_name_that_basic_cannot_carry() -> None:
    """T-89, RFC 7617."""
    for username in ("a:b", "a\nb", ""):
        with pytest.raises(Failed, match="user name"):
            await read(Env(EnvSource(name="X", username=username), {"X": "p"}, clock=FakeClock()))


async def test_a_rewritten_file_is_another_credential() -> None:
    """P-1: its version is part of the identity."""
    files = FakeFiles()
    files.put("/s", "one\n")
    source = File(FileSource(path="/s"), files, clock=FakeClock())
    first = await source.locate(TARGET, None)
    assert await read(source) == PlainSecret(Secret("one"))
    files.put("/s", "two\n")
    assert await source.locate(TARGET, None) != first
    assert await read(source) == PlainSecret(Secret("two"))


async def test_a_missing_file_says_where_to_write_it() -> None:
    """P-12."""
    with pytest.raises(Failed) as caught:
        await read(File(FileSource(path="/s"), FakeFiles(), clock=FakeClock()))
    assert caught.value.failure.message == "the file '/s' is not there"


@pytest.mark.parametrize("grave", [True, False])
async def test_a_secret_file_that_others_may_write_is_refused_at_every_read(*, grave: bool) -> None:
    """It was judged when its rule was put in force, and may be anybody's by now; of a group's there is a warning then."""
    files = FakeFiles()
    files.put("/s", "one\n")
    source = File(FileSource(path="/s"), files, clock=FakeClock())
    assert await read(source) == PlainSecret(Secret("one"))
    files.exposed["/s"] = (Exposure("could be replaced by others: '/s' is writable", "chmod go-w /s", grave),)
    if not grave:
        assert await read(source) == PlainSecret(Secret("one"))
        return
    with pytest.raises(Failed) as caught:
        await read(source)
    assert (
        caught.value.failure.message == "the file '/s' is not trusted: it could be replaced by others: '/s' is writable"
    )
    assert caught.value.failure.hint == "chmod go-w /s"


async def test_a_command_is_remembered_and_another_output_is_another_credential() -> None:
    """P-1: a counter stands in for a file's version."""
    clock = FakeClock()
    outputs = [b"one\n"]
    processes = FakeProcesses({"/bin/pass": lambda _: Completed(0, outputs[0])})
    source = CommandOutput(CommandSource(argv=("/bin/pass", "x")), processes=processes, clock=clock, key=lambda: b"k")
    first = await source.locate(TARGET, None)
    assert await read(source) == PlainSecret(Secret("one"))
    assert await read(source) == PlainSecret(Secret("one"))
    assert processes.runs == [Command(("/bin/pass", "x"))]
    outputs[0] = b"two\n"
    clock.suspend(241)
    assert await read(source) == PlainSecret(Secret("two"))
    assert await source.locate(TARGET, None) != first
    source.forget()
    await read(source)
    assert len(processes.runs) == 3


async def test_a_refused_output_has_the_command_run_again() -> None:
    """Once in ten seconds; the identity then says that it is another one."""
    outputs = [b"one", b"two", b"three"]
    processes = FakeProcesses({"/bin/pass": lambda _: Completed(0, outputs.pop(0))})
    source = CommandOutput(CommandSource(argv=("/bin/pass",)), processes=processes, clock=FakeClock(), key=lambda: b"k")
    identity = await source.locate(TARGET, None)
    assert identity is not None
    for anew, wanted in ((False, "one"), (True, "two"), (True, "two"), (False, "two")):
        login = await source.read(identity, TARGET, anew=anew)
        assert login is not None
        assert login.stored == PlainSecret(Secret(wanted))
    assert await source.locate(TARGET, None) != identity


async def test_a_command_that_fails_says_what_it_said() -> None:
    """And the command to try by hand."""
    processes = FakeProcesses({"/bin/pass": lambda _: Completed(2, b"canary", "no such entry")})
    source = CommandOutput(
        CommandSource(argv=("/bin/pass", "x")), processes=processes, clock=FakeClock(), key=lambda: b"k"
    )
    with pytest.raises(Failed) as caught:
        await read(source)
    assert caught.value.failure.message == "the program '/bin/pass' ended with status 2: no such entry"
    assert caught.value.failure.hint == "run it by hand, with argv as the configuration has it: /bin/pass ***"


def into_variable(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py, as the two below."""
    ground.environ["X"] = secret


def into_file(ground: Ground, secret: str | bytes) -> None:
    """One line."""
    ground.files.put("/secret", secret)


def from_program(ground: Ground, secret: str, status: int = 0) -> None:
    """Printed."""
    ground.processes.programs = {"/opt/secret": lambda _: Completed(status, secret.encode())}


CONTRACTS = {
    "env": SourceContract(EnvSource("X"), into_variable, lambda one: into_variable(one, f"{CANARY}\nx"), fixed=True),
    "file": SourceContract(
        FileSource("/secret"), into_file, lambda one: into_file(one, f"{CANARY}\xff".encode("latin-1"))
    ),
    "command": SourceContract(CommandSource(("/opt/secret",)), from_program, lambda one: from_program(one, CANARY, 1)),
}
