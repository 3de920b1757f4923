"""The docker and podman configuration as a source of logins (docs/design/sources.md)."""

import asyncio
import base64
import json
from collections.abc import Callable

import pytest
import structlog

from credproxy.core.ask.credential import Identity, IdentityToken, RegistryToken, Secret, Stored, UserPassword
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.sources.docker_config import DockerConfigSource
from credproxy.ports.processes import Command, Completed
from credproxy.sources.docker_config import DockerConfig
from credproxy.sources.docker_files import places
from tests.contract import CANARY, HOST, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles, FakeProcesses


PATH = "/home/u/.docker/config.json"
Program = Callable[[Command], Completed | Failed]


def b64(pair: str) -> str:
    """Give base64 as docker writes it."""
    return base64.b64encode(pair.encode()).decode()


class Setting:
    """A source with fakes around it."""

    def __init__(
        self, config: object = None, *, inline: str = "", paths: tuple[str, ...] = (PATH,), **programs: Program
    ) -> None:
        self.clock = FakeClock()
        self.files = FakeFiles()
        if config is not None:
            self.write(config)
        self.processes = FakeProcesses({f"docker-credential-{name}": run for name, run in programs.items()})
        self.source = DockerConfig(
            paths, files=self.files, processes=self.processes, clock=self.clock, key=lambda: b"k", inline=inline
        )

    def write(self, config: object, path: str = PATH) -> None:
        """Write a configuration."""
        self.files.put(path, config if isinstance(config, (str, bytes)) else json.dumps(config))

    async def locate(self, uri: str, repository: RepositoryName | None = None) -> Identity | None:
        """Name the credential for a URI."""
        return await self.source.locate(parse_uri(uri), repository)

    async def read(self, uri: str, repository: RepositoryName | None = None) -> Stored | None:
        """Locate and read."""
        identity = await self.locate(uri, repository)
        found = None if identity is None else await self.source.read(identity, parse_uri(uri))
        return None if found is None else found.stored


def auths(**entries: object) -> dict[str, object]:
    """Give a configuration with these entries; ``__`` stands for ``.`` and ``___`` for ``/``."""
    return {"auths": {name.replace("___", "/").replace("__", "."): entry for name, entry in entries.items()}}


def login(pair: str) -> dict[str, str]:
    """Give an entry with ``auth``."""
    return {"auth": b64(pair)}


def helper(output: str, status: int = 0) -> Program:
    """Make a program that prints that."""
    return lambda _: Completed(status, output.encode(), "" if status == 0 else "its complaint")


FOUND = helper('{"ServerURL":"reg.test","Username":"u","Secret":"p"}')
NOT_FOUND = helper("credentials not found in native keychain\n", 1)


async def test_a_login_is_found_and_no_secret_is_read_before() -> None:
    """P-1: ``locate`` names it, ``read`` reads it."""
    setting = Setting(auths(reg__test=login("u:p")))
    identity = await setting.locate("reg.test")
    assert identity is not None
    assert str(identity) == f"docker-config:{PATH}#reg.test"
    found = await setting.source.read(identity, parse_uri("reg.test"))
    assert found is not None
    assert found.stored == UserPassword("u", Secret("p"))


async def test_a_host_that_is_not_named_is_not_configured() -> None:
    """P-7."""
    assert await Setting(auths(reg__test=login("u:p"))).locate("https://other.test/v2/a/manifests/x") is None


async def test_a_path_scoped_entry_answers_for_its_path_alone() -> None:
    """T-56: docker itself would give team-a's login to team-b."""
    setting = Setting(auths(reg__test___team_a=login("u:p")))
    setting.write({"auths": {"reg.test/team-a": login("u:p")}})
    assert await setting.locate("https://reg.test/v2/", RepositoryName("team-b/x")) is None
    assert await setting.locate("reg.test") is None
    assert await setting.locate("https://reg.test/v2/", RepositoryName("team-a/x")) is not None


async def test_segments_are_whole() -> None:
    """T-57: the Kubernetes keyring matches by prefix of the string."""
    setting = Setting({"auths": {"reg.test/foo": login("u:p")}})
    assert await setting.locate("https://reg.test/v2/", RepositoryName("foobar")) is None


@pytest.mark.parametrize(("repository", "user"), [("a/b/c", "first"), ("a/z", "second"), ("q", "third")])
async def test_the_longest_path_wins(repository: str, user: str) -> None:
    """T-58: containers-auth.json(5)."""
    setting = Setting(
        {"auths": {"reg.test/a/b": login("first:p"), "reg.test/a": login("second:p"), "reg.test": login("third:p")}}
    )
    stored = await setting.read("https://reg.test/v2/", RepositoryName(repository))
    assert isinstance(stored, UserPassword)
    assert stored.username == user


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
async def test_docker_hubs_names_share_its_entry(host: str) -> None:
    """T-59, SC-11: one key for all of them."""
    setting = Setting({"auths": {"https://index.docker.io/v1/": login("u:p")}})
    assert await setting.read(host) == UserPassword("u", Secret("p"))


@pytest.mark.parametrize(
    "key", ["https://reg.test", "https://reg.test/v1/", "https://reg.test/v2/", "http://reg.test/", "REG.test"]
)
async def test_url_forms_of_a_key(key: str) -> None:
    """DC-8: normalised to the host."""
    assert await Setting({"auths": {key: login("u:p")}}).read("reg.test") == UserPassword("u", Secret("p"))


async def test_ports_are_part_of_the_key() -> None:
    """DC-10."""
    setting = Setting({"auths": {"localhost:5000": login("u:p")}})
    assert await setting.locate("localhost") is None
    assert await setting.locate("localhost:5000") is not None


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        pytest.param({"auth": b64("u:pw").rstrip("=")}, UserPassword("u", Secret("pw")), id="T-98 unpadded"),
        pytest.param({"auth": b64("u:p:q")}, UserPassword("u", Secret("p:q")), id="first colon"),
        pytest.param({"auth": b64("u:p\0\0")}, UserPassword("u", Secret("p")), id="NULs"),
        pytest.param({"auth": b64("a:b"), "username": "x", "password": "y"}, UserPassword("a", Secret("b")), id="T-98 auth wins"),
        pytest.param({"username": "x", "password": "y"}, UserPassword("x", Secret("y")), id="plain fields"),
        pytest.param({"registrytoken": "rt", "auth": b64("a:b")}, RegistryToken(Secret("rt")), id="DC-12 registrytoken"),
        pytest.param({"identitytoken": "it"}, IdentityToken(Secret("it")), id="identitytoken"),
        pytest.param(
            {"auth": b64("00000000-0000-0000-0000-000000000000:"), "identitytoken": "it"},
            IdentityToken(Secret("it"), "00000000-0000-0000-0000-000000000000"),
            id="T-98 az acr login",
        ),
        pytest.param(
            {"auth": b64("u:p"), "identitytoken": "it"}, IdentityToken(Secret("it"), "u", Secret("p")), id="both"
        ),
        pytest.param({}, None, id="empty"),
        pytest.param({"auth": b64("u:p"), "email": "x@y"}, UserPassword("u", Secret("p")), id="DC-13 unknown field"),
    ],
)  # a table  # fmt: skip
async def test_what_an_entry_holds(entry: dict[str, str], wanted: Stored | None) -> None:
    """T-98, DC-11 to DC-13."""
    assert await Setting({"auths": {"reg.test": entry}}).read("reg.test") == wanted


@pytest.mark.parametrize(
    "entry",
    [
        {"auth": b64("nocolon")},
        {"auth": "%%%"},
        {"auth": b64(":p")},
        {"password": "canary-p"},
        {"auth": b64("u\n:canary-p")},
    ],
    ids=["T-98 no colon", "no base64", "no user", "password alone", "line break"],
)
async def test_a_broken_entry_is_an_error_that_quotes_nothing(entry: dict[str, str]) -> None:
    """T-98: DC-11: an error for this host, not anonymity."""
    with pytest.raises(Failed) as caught:
        await Setting({"auths": {"reg.test": entry}}).read("reg.test")
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert "'reg.test'" in caught.value.failure.message
    assert "canary" not in caught.value.failure.message


async def test_a_missing_helper_is_an_error_for_its_host_alone() -> None:
    """T-52, DC-5, SEC-10: the plain entry beside it is not used."""
    missing = failed(Code.HELPER_NOT_RUNNABLE, "helper 'docker-credential-broken' is not there")
    setting = Setting(
        {"credHelpers": {"reg.test": "broken"}, "auths": {"reg.test": login("u:p"), "other.test": login("u:p")}},
        broken=lambda _: missing,
    )
    with pytest.raises(Failed) as caught:
        await setting.read("reg.test")
    assert "docker-credential-broken" in caught.value.failure.message
    assert await setting.read("other.test") == UserPassword("u", Secret("p"))


async def test_not_found_is_not_an_error() -> None:
    """T-53: the protocol's own words."""
    assert await Setting({"credHelpers": {"reg.test": "x"}}, x=NOT_FOUND).read("reg.test") is None


@pytest.mark.parametrize(
    ("program", "code"),
    [
        pytest.param(helper("keychain is locked", 1), Code.HELPER_FAILED, id="other text"),
        pytest.param(lambda _: failed(Code.HELPER_FAILED, "hangs"), Code.HELPER_FAILED, id="hangs or floods"),
        pytest.param(helper("{"), Code.CREDENTIAL_UNREADABLE, id="bad JSON"),
        pytest.param(helper('{"Username":"u","Secret":""}'), Code.CREDENTIAL_UNREADABLE, id="empty secret"),
    ],
)
async def test_a_helper_that_fails_is_an_error(program: Program, code: Code) -> None:
    """T-54: each an error that names the helper."""
    with pytest.raises(Failed) as caught:
        await Setting({"credHelpers": {"reg.test": "x"}}, x=program).read("reg.test")
    assert caught.value.failure.code is code


async def test_the_token_user_means_an_identity_token() -> None:
    """T-55, DC-15."""
    program = helper('{"ServerURL":"reg.test","Username":"<token>","Secret":"idt"}')
    assert await Setting({"credHelpers": {"reg.test": "x"}}, x=program).read("reg.test") == IdentityToken(Secret("idt"))


async def test_a_helper_is_asked_about_the_registry() -> None:
    """DC-7, DC-17: never a namespaced key; stdin without a newline; one at a time."""
    setting = Setting({"credHelpers": {"reg.test": "x"}}, x=FOUND)
    await setting.read("https://reg.test/v2/", RepositoryName("team/app"))
    assert setting.processes.runs == [Command(("docker-credential-x", "get"), stdin=b"reg.test", concurrency=1)]


async def test_a_helpers_answer_is_kept_for_four_minutes() -> None:
    """DC-19: then it is asked again, and another answer is another credential."""
    answers = [FOUND, helper('{"ServerURL":"reg.test","Username":"u","Secret":"new"}')]

    def current(command: Command) -> Completed | Failed:
        return answers[0](command)

    setting = Setting({"credHelpers": {"reg.test": "x"}}, x=current)
    first = await setting.locate("reg.test")
    await setting.read("reg.test")
    await setting.read("reg.test")
    assert len(setting.processes.runs) == 1
    answers.pop(0)
    setting.clock.suspend(241)
    assert await setting.read("reg.test") == UserPassword("u", Secret("new"))
    assert await setting.locate("reg.test") != first


async def test_a_login_into_a_store_is_seen_with_the_file_that_docker_writes_then() -> None:
    """``docker login`` tells the store, and rewrites the configuration, with the same content."""
    answers = [FOUND, helper('{"ServerURL":"reg.test","Username":"u","Secret":"new"}')]

    def current(command: Command) -> Completed | Failed:
        return answers[0](command)

    config = {"credsStore": "x", "auths": {"reg.test": {}}}
    setting = Setting(config, x=current)
    await setting.read("reg.test")
    answers.pop(0)
    setting.write(config)
    setting.clock.suspend(1)
    assert await setting.read("reg.test") == UserPassword("u", Secret("new"))


async def test_a_refused_login_has_its_program_asked_again() -> None:
    """A store that was changed without docker, or a program that makes a new token."""
    answers = [FOUND, helper('{"ServerURL":"reg.test","Username":"u","Secret":"new"}')]

    def current(command: Command) -> Completed | Failed:
        return answers[0](command)

    setting = Setting({"credHelpers": {"reg.test": "x"}}, x=current)
    first = await setting.locate("reg.test")
    assert first is not None
    await setting.read("reg.test")
    answers.pop(0)
    found = await setting.source.read(first, parse_uri("reg.test"), anew=True)
    assert found is not None
    assert found.stored == UserPassword("u", Secret("new"))
    assert await setting.locate("reg.test") != first


@pytest.mark.parametrize("name", ["../x", "a b", "-x", "a/b", "x;y"])
async def test_a_program_name_is_a_name(name: str) -> None:
    """DC-17: nothing that leads elsewhere is run."""
    setting = Setting({"credHelpers": {"reg.test": name}})
    with pytest.raises(Failed, match="cannot be used"):
        await setting.read("reg.test")
    assert setting.processes.runs == []


async def test_the_common_store_serves_what_auths_names() -> None:
    """DC-5, DC-12: an empty entry means "look in the store"."""
    setting = Setting({"credsStore": "x", "auths": {"reg.test": {}}}, x=FOUND)
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    assert setting.processes.runs[0].argv == ("docker-credential-x", "get")


class Store:
    """A program that has logins, whatever it lists."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)
        self.locked = False

    def __call__(self, command: Command) -> Completed | Failed:
        """Run."""
        name = command.stdin.decode()
        if self.locked:
            return Completed(1, b"the store is locked", "its complaint")
        if command.argv[1] != "get" or name not in self.names:
            return NOT_FOUND(command)
        return Completed(0, json.dumps({"ServerURL": name, "Username": "u", "Secret": "p"}).encode())


async def test_a_store_is_asked_about_a_registry_that_no_file_names() -> None:
    """``get`` counts: a store that lists nothing, or cannot be listed, works as well. It is asked once."""
    setting = Setting({"credsStore": "x"}, x=Store("reg.test"))
    assert await setting.read("https://reg.test/v2/", RepositoryName("a/b")) == UserPassword("u", Secret("p"))
    for _ in range(3):
        assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    assert [(run.argv[1], run.stdin) for run in setting.processes.runs] == [("get", b"reg.test")]


async def test_what_a_store_does_not_have_is_asked_for_once_in_a_minute() -> None:
    """A login that is stored meanwhile is seen then; ``flush`` sees it at once."""
    store = Store()
    setting = Setting({"credsStore": "x"}, x=store)
    for _ in range(3):
        assert await setting.locate("reg.test") is None
    assert len(setting.processes.runs) == 1
    store.names.add("reg.test")
    setting.clock.suspend(59)
    assert await setting.locate("reg.test") is None
    setting.clock.suspend(2)
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    store.names.add("other.test")
    setting.source.forget()
    assert await setting.locate("other.test") is not None


async def test_a_login_that_a_store_no_longer_has_is_absent_until_it_is_stored_again() -> None:
    """First ``read`` finds out, then ``locate`` knows: the next source may have one."""
    store = Store("reg.test")
    setting = Setting({"credsStore": "x"}, x=store)
    first = await setting.locate("reg.test")
    store.names.clear()
    setting.clock.suspend(241)
    assert await setting.read("reg.test") is None
    assert await setting.locate("reg.test") is None
    store.names.add("reg.test")
    setting.clock.suspend(61)
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    assert await setting.locate("reg.test") != first


async def test_a_store_that_fails_leaves_an_unnamed_registry_without_a_login_and_says_why() -> None:
    """P-7: most registries need none. It is asked again after ten seconds; a registry that is named gets the error."""
    store = Store("reg.test")
    store.locked = True
    setting = Setting({"credsStore": "x", "auths": {"named.test": {}}}, x=store)
    with structlog.testing.capture_logs() as events:
        assert await setting.locate("reg.test") is None
        assert await setting.locate("reg.test") is None
    assert [event["event"] for event in events] == ["credential store has no answer"]
    trouble = setting.source.trouble(parse_uri("reg.test"))
    assert trouble is not None
    assert "'docker-credential-x' has no answer for 'reg.test'" in trouble.message
    assert setting.source.trouble(parse_uri("other.test")) is None
    with pytest.raises(Failed):
        await setting.read("named.test")
    store.locked = False
    setting.clock.suspend(11)
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    assert setting.source.trouble(parse_uri("reg.test")) is None


async def test_registries_that_a_store_was_asked_about_are_bounded() -> None:
    """Questions name them, so nothing else limits their number."""
    setting = Setting({"credsStore": "x"}, x=Store())
    for number in range(1100):
        assert await setting.locate(f"r{number}.test") is None
    assert len(setting.source._asked) == 1024
    assert len(setting.source._answers) == 1024


async def test_forty_questions_about_a_registry_start_the_store_once() -> None:
    """Each waits for the one run."""
    setting = Setting({"credsStore": "x"}, x=Store())
    assert await asyncio.gather(*(setting.locate("reg.test") for _ in range(40))) == [None] * 40
    assert len(setting.processes.runs) == 1


ODD: dict[str, object] = {
    "null": None,
    "a string": "dTpw",
    "a number": 5,
    "a list": [],
    "auth null": {"auth": None},
    "all null": dict.fromkeys(("auth", "username", "password", "identitytoken", "registrytoken")),
    "auth a number": {"auth": 5},
    "auth an object": {"auth": {"a": "canary"}},
    "identitytoken a list": {"auth": "dTpw", "identitytoken": ["canary"]},
}
UNSET = ("null", "auth null", "all null")


@pytest.mark.parametrize("odd", ODD)
async def test_an_odd_entry_is_unset_or_an_error_for_its_registry_alone(odd: str) -> None:
    """``null`` is "not set", as for docker; what cannot be read names file and entry; the others are as good as before."""
    setting = Setting({"auths": {"odd.test": ODD[odd], "reg.test": login("u:p")}})
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    if odd in UNSET:
        assert await setting.read("odd.test") is None
        return
    with pytest.raises(Failed) as caught:
        await setting.read("odd.test")
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert f"'odd.test' of the docker configuration {PATH!r}" in caught.value.failure.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("odd", [None, "", 5, {}, [], {"a": "canary"}], ids=str)
async def test_an_odd_credential_program_is_unset_or_an_error_for_its_registry_alone(odd: object) -> None:
    """As for entries; the plain entry serves where the program is not set."""
    entries = {"odd.test": login("plain:p"), "reg.test": login("u:p")}
    setting = Setting({"credHelpers": {"odd.test": odd}, "auths": entries})
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    if odd is None or odd == "":
        assert await setting.read("odd.test") == UserPassword("plain", Secret("p"))
        return
    with pytest.raises(Failed) as caught:
        await setting.read("odd.test")
    assert "the entry 'odd.test' in 'credHelpers'" in caught.value.failure.message
    assert "canary" not in str(caught.value)


HALVES = (r"\ud800", r"\udc00", r"x\uD83Dx", r"\ud800\u0041", r"\udc00\ud800", "\udcff")
"""Halves of surrogate pairs, and a byte that is not UTF-8 (written so by ``surrogateescape``)."""


@pytest.mark.parametrize("half", HALVES, ids=ascii)
@pytest.mark.parametrize(
    "entry",
    [
        '{"auth": "HALF"}',
        '{"auth": "dTpwHALF"}',
        '{"username": "u", "password": "canaryHALF"}',
        '{"username": "HALF", "password": "canary"}',
        '{"identitytoken": "canaryHALF"}',
        '{"registrytoken": "HALF"}',
        '"HALF"',
    ],
)
async def test_an_entry_whose_text_is_lost_is_an_error_for_its_registry_alone(entry: str, half: str) -> None:
    """Docker reads U+FFFD there and the others as ever; a secret that contains it is lost (Go's encoding/json)."""
    content = f'{{"auths": {{"odd.test": {entry.replace("HALF", half)}, "reg.test": {{"auth": "dTpw"}}}}}}'
    setting = Setting(content.encode("utf-8", "surrogateescape"))
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    with pytest.raises(Failed) as caught:
        await setting.read("odd.test")
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert f"'odd.test' of the docker configuration {PATH!r}" in caught.value.failure.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("half", HALVES, ids=ascii)
@pytest.mark.parametrize(
    "beside",
    [
        '"auths": {"HALF.test": {"auth": "eDp5"}, "reg.test": {"auth": "dTpw"}}',
        '"psFormat": "HALF", "auths": {"reg.test": {"auth": "dTpw"}}',
        '"HttpHeaders": {"HALF": "HALF"}, "auths": {"reg.test": {"auth": "dTpw"}}',
        '"credHelpers": {"odd.test": "HALF"}, "auths": {"reg.test": {"auth": "dTpw"}}',
        '"credHelpers": {"HALF": "x"}, "auths": {"reg.test": {"auth": "dTpw", "email": "HALF"}}',
    ],
)
async def test_text_that_is_lost_elsewhere_hides_no_login(beside: str, half: str) -> None:
    """In a key, in a setting that is not read here, in the name of a program."""
    content = f"{{{beside.replace('HALF', half)}}}"
    setting = Setting(content.encode("utf-8", "surrogateescape"))
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    assert setting.source.trouble(parse_uri("other.test")) is None


async def test_a_pair_and_a_backslash_before_a_u_are_text() -> None:
    """Neither is half of anything."""
    content = r'{"auths": {"reg.test": {"username": "\ud83d\ude00", "password": "\\ud800"}}}'
    assert await Setting(content).read("reg.test") == UserPassword("\U0001f600", Secret("\\ud800"))


async def test_an_environment_entry_whose_text_is_lost_is_an_error_for_its_registry_alone() -> None:
    """A variable may hold any bytes; the daemon starts, and the other entries serve."""
    inline = '{"auths":{"odd.test":{"auth":"\udcff"},"half.test":{"auth":"\\ud800"},"reg.test":{"auth":"dTpw"}}}'
    setting = Setting(inline=inline)
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    for registry in ("odd.test", "half.test"):
        with pytest.raises(Failed) as caught:
            await setting.read(registry)
        assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE


@pytest.mark.parametrize(
    "content", ['{"auths": {"reg.test": %s}}', '{"plugins": %s}', "%s"], ids=["an entry", "a setting", "the file"]
)
async def test_a_deeply_nested_file_is_an_error_and_does_not_raise(content: str) -> None:
    """Msgspec gives up with a RecursionError, which is not one of its own errors."""
    deep = content % ("[" * 100_000 + "]" * 100_000)
    with pytest.raises(Failed) as caught:
        await Setting(deep).locate("reg.test")
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE


@pytest.mark.parametrize(
    "content",
    [
        "null",
        '{"auths": null, "credHelpers": null, "credsStore": null}',
        '{"credsStore": ""}',
        "\ufeff{}",
        " \n",
        '{"HttpHeaders": {"x": 5}, "experimental": null, "plugins": []}',
    ],
)
async def test_an_unset_option_names_no_file(content: str) -> None:
    """Docker reads all of them, but for the byte order mark, which an editor adds invisibly."""
    setting = Setting(content)
    assert await setting.locate("reg.test") is None
    assert setting.source.trouble(parse_uri("reg.test")) is None


@pytest.mark.parametrize(
    "config",
    [
        '{"Auths": {"reg.test": {"Auth": "%s"}}}',
        '{"AUTHS" : {"Reg.Test": {"AUTH":\n"%s"}}}',
        '{"x": "\\"auths\\": \\\\", "auths": {"reg.test": {"auth": "%s"}}}',
        '{"credhelpers": {"reg.test": "x"}}',
        '{"CredsStore": "x", "auths": {"reg.test": {}}}',
        '{"auths": {"reg.test": {"Username": "u", "PASSWORD": "p"}}}',
    ],
)
async def test_names_of_members_are_taken_in_any_case(config: str) -> None:
    """As in docker's parser, in its file and in a program's output."""
    program = helper('{"serverurl":"reg.test","username":"u","SECRET":"p"}')
    setting = Setting(config.replace("%s", b64("u:p")), x=program)
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))


async def test_a_registry_named_like_a_member_is_that_registry() -> None:
    """The key is normalised when it is read."""
    assert await Setting({"auths": {"Auth": login("u:p")}}).read("auth") == UserPassword("u", Secret("p"))


async def test_a_byte_order_mark_hides_no_login() -> None:
    """It is skipped."""
    setting = Setting("\ufeff" + json.dumps(auths(reg__test=login("u:p"))))
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{\n"auths": {\n"reg.test": {},\n}}', ": line 4"),
        ('{"auths": {"reg.test": nul}}', ": "),
        ('{"auths": {', ": it ends too early"),
        ('{"auths": {"reg.test": {"auth": "dT', ": it ends too early"),
        ('{"auths": {"reg.test": {"auth": "\\ud8', ": line 1"),
        ('{"auths": {"reg.test": {"auth": "dTpw"}}', ": it ends too early"),
        ('{"psFormat":\n"\\u"}', ": line 2"),
        ('{"experimental":\ntr}', ": line 2"),
        ("{} {}", ": line 1"),
        ("[]", ""),
        ('{"auths": []}', ": 'auths' is not an object"),
        ('{"credHelpers": "x"}', ": 'credHelpers' is not an object"),
        ('{"credsStore": 5}', ": 'credsStore' is not a string"),
    ],
)
async def test_a_file_that_cannot_be_read_says_where(content: str, problem: str) -> None:
    """And how to fix it; the hint's commands name the file."""
    with pytest.raises(Failed) as caught:
        await Setting(content).locate("reg.test")
    assert (
        caught.value.failure.message.endswith(f"is not the JSON of a docker configuration{problem}") or problem == ": "
    )
    assert "json.tool" not in caught.value.failure.hint


async def test_of_two_spellings_the_one_that_holds_something_counts() -> None:
    """An empty entry under one name does not hide the login under the other."""
    for first, second in ((None, login("u:p")), (login("u:p"), {})):
        setting = Setting({"auths": {"reg.test": first, "https://reg.test/v1/": second}})
        assert await setting.read("reg.test") == UserPassword("u", Secret("p"))


async def test_the_last_good_copy_serves_while_the_file_is_broken() -> None:
    """DC-3, T-96: its logins as well as its names; once fixed, the new ones within a second."""
    setting = Setting(auths(reg__test=login("u:p")))
    await setting.read("reg.test")
    setting.write('{"auths": canary')
    setting.clock.suspend(1.1)
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    assert setting.source.trouble(parse_uri("other.test")) is not None
    setting.files.broken[PATH] = failed(Code.CREDENTIAL_UNREADABLE, "permission denied")
    setting.clock.suspend(1.1)
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    setting.files.broken.clear()
    setting.write(auths(reg__test=login("u:new")))
    setting.clock.suspend(1.1)
    assert await setting.read("reg.test") == UserPassword("u", Secret("new"))
    assert setting.source.trouble(parse_uri("other.test")) is None


async def test_a_file_that_cannot_be_opened_is_logged_once() -> None:
    """It is checked each second."""
    setting = Setting(auths(reg__test=login("u:p")))
    setting.files.broken[PATH] = failed(Code.CREDENTIAL_UNREADABLE, "permission denied")
    with structlog.testing.capture_logs() as events:
        for _ in range(3):
            setting.clock.suspend(1.1)
            with pytest.raises(Failed):
                await setting.locate("reg.test")
    assert [event["event"] for event in events] == ["docker configuration cannot be read"]


async def test_an_entry_that_names_credproxy_is_skipped() -> None:
    """Asking it would ask ourselves, in an endless loop; the plain entry serves."""
    setting = Setting(
        {"credHelpers": {"reg.test": "credproxy"}, "credsStore": "credproxy", "auths": {"reg.test": login("u:p")}}
    )
    with structlog.testing.capture_logs() as events:
        assert await setting.read("reg.test") == UserPassword("u", Secret("p"))
    assert [event["registries"] for event in events] == [["reg.test"]]
    assert setting.processes.runs == []


async def test_a_rewritten_file_is_seen_and_a_broken_one_is_not_used() -> None:
    """T-96, DC-3: the last good copy stays in force, and the log says why."""
    setting = Setting(auths(reg__test=login("u:old")))
    first = await setting.locate("reg.test")
    setting.write(auths(reg__test=login("u:new")))
    setting.clock.suspend(1.1)
    second = await setting.locate("reg.test")
    assert second != first
    assert await setting.read("reg.test") == UserPassword("u", Secret("new"))
    setting.write('{"auths": canary-secret')
    setting.clock.suspend(1.1)
    with structlog.testing.capture_logs() as events:
        assert await setting.locate("reg.test") == second
    assert [event["event"] for event in events] == ["docker configuration cannot be read"]
    assert "canary" not in str(events)


async def test_a_file_that_never_parsed_is_an_error() -> None:
    """DC-4: not silent anonymity; an empty file is an empty configuration."""
    with pytest.raises(Failed) as caught:
        await Setting("{").locate("reg.test")
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert await Setting("").locate("reg.test") is None


async def test_the_file_is_looked_at_once_a_second() -> None:
    """DC-3: hot questions cost no system call."""
    setting = Setting(auths(reg__test=login("u:p")))
    first = await setting.locate("reg.test")
    setting.write(auths(reg__test=login("u:new")))
    assert await setting.locate("reg.test") == first
    setting.source.forget()
    assert await setting.locate("reg.test") != first


async def test_docker_auth_config_wins_where_it_has_its_one_form() -> None:
    """T-97, DC-2."""
    inline = json.dumps({"auths": {"reg.test": {"auth": b64("env:p")}}})
    assert await Setting(auths(reg__test=login("u:p")), inline=inline).read("reg.test") == UserPassword(
        "env", Secret("p")
    )


@pytest.mark.parametrize(
    "inline", ['{"auths":{"reg.test":{"auth":"eDp5","email":"x"}}}', '{"auths":{"r":{}}}', "{} {}", "x"]
)
async def test_any_other_form_is_ignored_with_a_warning(inline: str) -> None:
    """T-97: docker itself rejects it."""
    with structlog.testing.capture_logs() as events:
        setting = Setting(auths(reg__test=login("u:p")), inline=inline)
    assert [event["event"] for event in events] == ["DOCKER_AUTH_CONFIG is ignored"]
    assert await setting.read("reg.test") == UserPassword("u", Secret("p"))


async def test_the_first_file_with_an_entry_wins() -> None:
    """DC-1: per host."""
    setting = Setting(paths=("/a", "/b", "/c"))
    setting.write(auths(one__test=login("b:p")), "/b")
    setting.write(auths(one__test=login("c:p"), two__test=login("c:p")), "/c")
    assert await setting.read("one.test") == UserPassword("b", Secret("p"))
    assert await setting.read("two.test") == UserPassword("c", Secret("p"))


def test_where_automatic_looks() -> None:
    """DC-1: in order, each place once."""
    environ = {"HOME": "/h", "DOCKER_CONFIG": "/d", "REGISTRY_AUTH_FILE": "/r", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert places(environ, 7) == (
        "/r",
        "/d/config.json",
        "/h/.docker/config.json",
        "/run/user/7/containers/auth.json",
        "/h/.config/containers/auth.json",
    )


async def test_a_file_that_others_may_read_is_said_once() -> None:
    """DC-3: it holds logins."""
    setting = Setting()
    setting.files.put(PATH, json.dumps(auths(reg__test=login("u:p"))), mode=0o100644)
    with structlog.testing.capture_logs() as events:
        await setting.locate("reg.test")
        setting.clock.suspend(2)
        await setting.locate("reg.test")
    assert [event["hint"] for event in events] == [f"chmod 600 {PATH}"]


async def test_nothing_with_a_line_break_reaches_a_helper() -> None:
    """T-74, SEC-9: such a URI has no target."""
    with pytest.raises(Failed):
        parse_uri("https://reg.test%0a/v2/a/manifests/x")


def into_config(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    ground.files.put(PATH, json.dumps({"auths": {HOST: {"auth": b64(f"u:{secret}")}}}))


def broken_entry(ground: Ground) -> None:
    """No base64."""
    ground.files.put(PATH, json.dumps({"auths": {HOST: {"auth": CANARY}}}))


CONTRACTS = {"docker-config": SourceContract(DockerConfigSource(PATH), into_config, broken_entry)}
