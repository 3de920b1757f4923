"""Environment, file and command as sources of secrets."""

import json

import msgspec
import pytest

from credproxy.core.ask.credential import IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.login import Login
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.formats.printed_json import PrintedFields
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.core.ownership import Exposure
from credproxy.ports.processes import Command, Completed
from credproxy.ports.source import Source
from credproxy.sources.command import CommandOutput
from credproxy.sources.env import Env
from credproxy.sources.file import File
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles, FakeProcesses
from tests.hints import filled


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
    """It was judged when its rule came into force, and may have changed since; a group-writable one causes a warning then."""
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
    """Once in ten seconds; then the identity changes."""
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


class JsonProgram:
    """A program that prints JSON, and the source that reads it."""

    def __init__(self, keep: float | None = None, username: str | None = None) -> None:
        self.clock = FakeClock()
        self.printed: dict[str, object] = {"token": "one"}
        self.processes = FakeProcesses({"/bin/corp": lambda _: Completed(0, json.dumps(self.printed).encode())})
        fields = PrintedFields(value="token", username=None if username else "user", expires="end")
        settings = CommandSource(("/bin/corp",), keep=keep, username=username, format="json", fields=fields)
        self.source = CommandOutput(settings, processes=self.processes, clock=self.clock, key=lambda: b"k")

    async def login(self, **printed: object) -> Login:
        """What is given after the program prints this, beside what it printed before."""
        self.printed |= printed
        identity = await self.source.locate(TARGET, None)
        assert identity is not None
        login = await self.source.read(identity, TARGET)
        assert login is not None
        return login


async def test_a_program_that_prints_json_says_whose_secret_it_is_and_until_when() -> None:
    """It is used until then, whatever is usual for programs, and requested again before that."""
    program = JsonProgram()
    boot, wall = program.clock.boot(), program.clock.wall()
    login = await program.login(user="u", end=wall + 3600)
    assert login.stored == UserPassword("u", Secret("one"))
    assert (login.until, login.wall_until, login.keep) == (boot + 3600, wall + 3600, None)
    await program.clock.advance(2000)
    assert (await program.login(token="two")).stored == UserPassword("u", Secret("one"))
    await program.clock.advance(1590)
    assert (await program.login()).stored == UserPassword("u", Secret("two"))
    assert len(program.processes.runs) == 2


async def test_without_an_end_json_is_kept_as_text_is_and_keep_is_never_exceeded() -> None:
    """``keep`` in the rule counts beside the end that the program names, and the earlier one wins."""
    assert (await JsonProgram().login(user="u", end=None)).keep == 240
    program = JsonProgram(keep=30)
    assert (await program.login(user="u", end=program.clock.wall() + 3600)).keep == 30


async def test_the_user_of_the_rule_is_taken_with_json_too() -> None:
    """Where the program does not say."""
    assert (await JsonProgram(username="ci").login(end=None)).stored == UserPassword("ci", Secret("one"))


async def test_a_secret_that_has_ended_is_told_and_another_one_is_taken_as_the_hint_says() -> None:
    """It would only be refused upstream, with less to say."""
    program = JsonProgram()
    with pytest.raises(Failed, match="ended 5 s ago") as caught:
        await program.login(user="u", end=program.clock.wall() - 5)
    assert caught.value.failure.code is Code.EXPIRED_ON_ARRIVAL
    hint = caught.value.failure.hint
    assert filled(hint, "log in again where the program gets it from, and check this machine's clock") == ()
    assert (await program.login(end=program.clock.wall() + 60)).stored == UserPassword("u", Secret("one"))


@pytest.mark.parametrize(
    ("more", "keys"),
    [
        ({"format": "json"}, [("fields",)]),
        ({"fields": PrintedFields(value="x")}, [("fields",)]),
        ({"format": "json", "fields": PrintedFields(value="")}, [("fields", "value")]),
        ({"format": "json", "username": "u", "fields": PrintedFields(value="x", username="y")}, [("username",)]),
        ({"format": "json", "fields": PrintedFields(value="x", expires="y.z")}, []),
    ],
    ids=str,
)
def test_mistakes_in_fields(more: dict[str, object], keys: list[tuple[str, ...]]) -> None:
    """Each with its key."""
    settings = msgspec.structs.replace(CommandSource(("/bin/corp",)), **more)
    assert [path for path, _ in settings.problems()] == keys


def into_variable(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py, like the two below."""
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
