"""A file or a store that cannot be read: an error if a rule names it, else ``{}`` with a reason that ``explain`` shows."""

import base64
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.message import encode_answer, encode_docker
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.exec import ExecHost
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.netrc import NetrcSource
from credproxy.daemon.build import World, build_table
from credproxy.ports.processes import Command, Completed
from credproxy.providers.learned import Learned
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeMetrics, FakeProcesses, FakeSigner


NETRC, DOCKER = "/home/u/.netrc", "/home/u/.docker/config.json"
DENIED = failed(Code.CREDENTIAL_UNREADABLE, f"the file {NETRC!r} permission denied", hint=f"namei -l {NETRC}")
URI = "https://reg.test/v2/a/b/manifests/x"


class Daemon:
    """A configuration in force, with fake files and programs, and a network that must not be used."""

    def __init__(self, broker: Broker, files: FakeFiles, *, clock: FakeClock) -> None:
        self.broker, self.files, self.clock = broker, files, clock

    async def get(self, uri: str = URI) -> str:
        """The answer as Bazel gets it."""
        return encode_answer(await self.broker.ask(question(uri))).decode()


def question(uri: str) -> Question:
    """Ask as the user does."""
    return Question(parse_uri(uri), Caller())


@contextlib.asynccontextmanager
async def daemon(
    *rules: HostRule,
    store: Callable[[Command], Completed | Failed] | None = None,
    builtin: bool | tuple[str, ...] = True,
    **content: str | bytes | Failed,
) -> AsyncIterator[Daemon]:
    """Run a daemon; ``netrc`` and ``docker`` are the contents of those files, or why they cannot be read."""
    clock, files = FakeClock(), FakeFiles()
    for name, found in content.items():
        path = {"netrc": NETRC, "docker": DOCKER}[name]
        if isinstance(found, Failed):
            files.broken[path] = found
        else:
            files.put(path, found)
    http = FakeHttp(clock=clock)
    programs = {} if store is None else {"docker-credential-x": store}
    world = World({"HOME": "/home/u"}, 1000, clock, http, FakeProcesses(programs), files, FakeSigner(), Learned(b"k"))
    table = build_table(Settings(host=rules, builtin=builtin), world)
    upstream = RepeatingClient(http, clock=clock, sample=lambda: 0.5)
    async with Broker(table, clock=clock, sample=lambda: 0.5, metrics=FakeMetrics(), upstream=upstream) as broker:
        yield Daemon(broker, files, clock=clock)


RULES = [
    BasicHost("reg.test"),
    HeaderHost("reg.test", NetrcSource()),
    OciHost("reg.test", credentials=NetrcSource()),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
async def test_a_rule_whose_netrc_cannot_be_read_is_an_error_that_names_the_file(rule: HostRule) -> None:
    """P-12: not ``{}``, and not "the file has no login"."""
    async with daemon(rule, netrc=DENIED) as running:
        with pytest.raises(Failed) as caught:
            await running.get()
        assert caught.value.failure == DENIED.failure
        running.files.broken.clear()
        running.files.put(NETRC, "machine reg.test login u password p\n")
        running.clock.suspend(1.1)
        explained = await running.broker.explain(question(URI))
        assert (explained.answer, explained.problem) == ("credential", None)


async def test_without_a_rule_an_unreadable_netrc_is_the_reason_of_an_empty_answer() -> None:
    """P-7: it is unknown which hosts it names, and most hosts need no login."""
    async with daemon(netrc=DENIED) as running:
        assert '"headers":{}' in await running.get()
        explained = await running.broker.explain(question(URI))
        assert explained.answer == "{}"
        assert explained.problem is not None
        assert explained.problem.message == DENIED.failure.message


async def test_a_machine_whose_entry_is_broken_is_an_error_from_the_first_question_on() -> None:
    """With file and line; a host that is not in the file gets ``{}``."""
    async with daemon(netrc='machine reg.test login u password "p\n') as running:
        with pytest.raises(Failed, match=r"'/home/u/\.netrc' cannot be read: line 1 has a quote"):
            await running.get("https://reg.test/file.tar.gz")
        assert '"headers":{}' in await running.get("https://other.test/file.tar.gz")


@pytest.mark.parametrize("anonymous", [None, "pull"])
async def test_a_store_that_fails_is_an_error_where_a_rule_names_the_registry(anonymous: str | None) -> None:
    """Without a rule, or with one that permits anonymous pulls, the registry may still allow anonymous requests."""
    docker = '{"credsStore": "x"}'

    def store(_: Command) -> Completed:
        return Completed(1, b"locked", "the store is locked")

    async with daemon(store=store, docker=docker) as running:
        assert '"headers":{}' in await running.get()
        explained = await running.broker.explain(question(URI))
        assert explained.problem is not None
        assert "the store is locked" in explained.problem.message
    rule = OciHost("reg.test") if anonymous is None else OciHost("reg.test", anonymous="pull")
    async with daemon(rule, store=store, docker=docker) as running:
        explained = await running.broker.explain(question(URI))
        assert explained.answer == ("error" if anonymous is None else "credential")
        assert explained.problem is not None
        assert "the store is locked" in explained.problem.message


@pytest.mark.parametrize("uri", [URI, "https://reg.test/v2/a/b/blobs/uploads/"])
async def test_explain_says_why_an_exchange_is_anonymous_although_there_may_be_a_login(uri: str) -> None:
    """A rule permits it, so a private repository is "denied" while the file that may have its login is unreadable."""
    rule = OciHost("reg.test", credentials=NetrcSource(), anonymous="pull")
    async with daemon(rule, netrc=DENIED) as running:
        explained = await running.broker.explain(question(uri))
        assert (explained.answer, explained.detail["credential"]) == ("credential", "anonymous:")
        assert explained.problem is not None
        assert explained.problem.message == DENIED.failure.message
        assert explained.problem.hint == DENIED.failure.hint
        running.files.broken.clear()
        running.files.put(NETRC, "machine other.test login u password p\n")
        running.clock.suspend(1.1)
        explained = await running.broker.explain(question(uri))
        assert (explained.answer, explained.problem) == ("credential", None)


async def test_explain_tells_of_no_broken_file_beside_a_login_that_another_one_has() -> None:
    """The exchange has its login, so nothing is missing."""
    docker = '{"auths": {"reg.test": {"auth": "dTpw"}}}'
    rule = OciHost("reg.test", anonymous="pull")
    async with daemon(rule, docker=docker) as running:
        await running.broker.explain(question(URI))
        running.files.put(DOCKER, '{"auths": ')
        running.clock.suspend(1.1)
        explained = await running.broker.explain(question(URI))
        assert explained.detail["credential"].startswith("docker-config:")
        assert (explained.answer, explained.problem) == ("credential", None)


async def test_a_store_without_the_registry_leaves_it_to_netrc() -> None:
    """A store is asked first; the next source may have what it lacks."""

    def store(_: Command) -> Completed:
        return Completed(1, b"credentials not found in native keychain\n")

    async with daemon(
        store=store, docker='{"credsStore": "x"}', netrc="machine reg.test login u password p"
    ) as running:
        assert f"Basic {base64.b64encode(b'u:p').decode()}" in await running.get()


@pytest.mark.parametrize("entry", ["null", "{}", '{"auth": null}', '{"auth": ""}'])
async def test_an_entry_that_holds_nothing_leaves_the_registry_to_netrc(entry: str) -> None:
    """``null`` is "not set", and an empty entry without a store refers to nothing."""
    docker = f'{{"auths": {{"reg.test": {entry}}}}}'
    async with daemon(docker=docker, netrc="machine reg.test login u password p") as running:
        assert f"Basic {base64.b64encode(b'u:p').decode()}" in await running.get()


async def test_a_login_that_is_not_utf_8_is_sent_as_it_is_and_told_to_docker_as_that() -> None:
    """Basic carries its bytes, as curl's does; JSON cannot."""
    async with daemon(netrc=b"machine reg.test login u password p\xe4") as running:
        sent = base64.b64encode(b"u:p\xe4").decode()
        assert f"Basic {sent}" in await running.get()
        stored = await running.broker.stored(parse_uri("reg.test"))
        assert stored is not None
        with pytest.raises(Failed) as caught:
            encode_docker("reg.test", stored)
        assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE


def auth(text: str) -> str:
    """Docker's file with that entry for the registry."""
    return f'{{"auths": {{"reg.test": {text}}}}}'


@pytest.mark.parametrize(
    "content",
    [
        auth('{"auth": "%%%"}'),
        auth('{"auth": 1}'),
        auth('{"auth": "bm9jb2xvbg=="}'),
        auth('{"auth": "dTo="}'),
        auth('{"password": "canary"}'),
        '{"credHelpers": {"reg.test": "missing"}}',
        '{"credHelpers": {"reg.test": "../x"}}',
        '{"auths": {"reg.test": {}}, "credsStore": "missing"}',
    ],
)
async def test_explain_finds_the_broken_docker_entry_that_get_would(content: str) -> None:
    """An entry that cannot be used, and a program that is not there; explain runs first, so it cannot know it from get."""
    async with daemon(docker=content) as running:
        explained = await running.broker.explain(question(URI))
        assert (explained.answer, explained.entry, explained.failure) == ("error", None, None)
        with pytest.raises(Failed) as caught:
            await running.get()
        again = await running.broker.explain(question(URI))
    failure = caught.value.failure
    for told in (explained, again):
        assert told.answer == "error"
        assert told.problem is not None
        assert (told.problem.code, told.problem.message) == (failure.code, failure.message)
        assert "canary" not in str(told)


@pytest.mark.parametrize(
    ("rule", "content"),
    [
        (HeaderHost("reg.test", EnvSource("MISSING")), ""),
        (HeaderHost("reg.test", CommandSource(("/opt/missing",))), ""),
        (BasicHost("reg.test"), "machine reg.test login u:v password p\n"),
        (BasicHost("reg.test", credentials=CommandSource(("/opt/missing",))), ""),
        (OciHost("reg.test", credentials=EnvSource("MISSING")), ""),
        (ExecHost("reg.test", ("/opt/missing",)), ""),
    ],
    ids=["header, env", "header, command", "basic, netrc", "basic, command", "oci, env", "exec"],
)
async def test_explain_finds_what_every_kind_of_rule_would_fail_on(rule: HostRule, content: str) -> None:
    """The variable that is not set and the program that is not there, without starting one."""
    async with daemon(rule, netrc=content) as running:
        explained = await running.broker.explain(question(URI))
        problem = explained.problem
        assert explained.answer == "error"
        assert problem is not None
        with pytest.raises(Failed) as caught:
            await running.get()
    assert (problem.code, problem.message) == (caught.value.failure.code, caught.value.failure.message)


async def test_explain_starts_no_program_that_is_there() -> None:
    """The program's answer is unknown, so there may be a credential."""
    runs: list[Command] = []

    def store(command: Command) -> Completed:
        runs.append(command)
        return Completed(0, b'{"Username": "u", "Secret": "canary"}')

    async with daemon(store=store, docker='{"credHelpers": {"reg.test": "x"}}') as running:
        explained = await running.broker.explain(question(URI))
    assert (explained.answer, explained.problem, runs) == ("credential", None, [])
