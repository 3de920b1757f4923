"""The access key of Amazon's tools: which of several places gives it, and what is said of each."""

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime

import pytest

from credproxy.core.ask.aws_keys import AwsKeys, aws_keys
from credproxy.core.ask.uri import parse_uri
from credproxy.core.ask.worker_messages import AwsAccess, AwsChain
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.ports.source import Caches
from credproxy.ports.trouble import trouble_of
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import T0
from tests.hints import filled


TARGET = parse_uri("https://b.s3.eu-west-1.amazonaws.com/k")
CREDENTIALS = "/home/u/.aws/credentials"
CONFIG = "/home/u/.aws/config"
VARIABLES = {"AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": "s"}


def section(name: str, key_id: str) -> str:
    """A profile with a key."""
    return f"[{name}]\naws_access_key_id = {key_id}\naws_secret_access_key = s\n"


class World:
    """A home with Amazon's files."""

    def __init__(self, profile: str | None = None, credentials: str = "", config: str = "", **environ: str) -> None:
        self.ground = Ground()
        self.ground.environ |= environ
        if credentials:
            self.ground.files.put(CREDENTIALS, credentials)
        if config:
            self.ground.files.put(CONFIG, config)
        self.source = self.ground.made(AwsSource(profile))

    async def keys(self) -> AwsKeys | None:
        """What is signed with."""
        identity = await self.source.locate(TARGET, None)
        login = None if identity is None else await self.source.read(identity, TARGET)
        assert identity is None or await self.source.peek(identity, TARGET) == login
        return None if login is None else aws_keys(login.stored, "x")

    async def key_id(self) -> str | None:
        """The id of that."""
        keys = await self.keys()
        return None if keys is None else keys.key_id

    async def failure(self) -> Failure:
        """Why there is none."""
        with pytest.raises(Failed) as caught:
            await self.keys()
        assert "canary" not in caught.value.failure.message
        return caught.value.failure


BOTH = section("default", "file") + section("other", "other")


@pytest.mark.parametrize(
    ("profile", "credentials", "config", "environ", "wanted"),
    [
        (None, BOTH, "", VARIABLES, "env"),
        (None, BOTH, "", {}, "file"),
        ("other", BOTH, "", VARIABLES, "other"),
        ("default", BOTH, "", VARIABLES, "file"),
        (None, BOTH, "", {"AWS_PROFILE": "other"}, "other"),
        (None, BOTH, "", {"AWS_PROFILE": "other", **VARIABLES}, "env"),
        (None, BOTH, "", {"AWS_PROFILE": "default", "AWS_DEFAULT_PROFILE": "other"}, "other"),
        (None, "", section("default", "config"), {}, "config"),
        ("p", "", section("profile p", "config"), {}, "config"),
        (None, section("default", "file"), section("default", "config"), {}, "file"),
        (None, BOTH, "", {"AWS_ACCESS_KEY_ID": ""}, "file"),
        (None, BOTH, "", {"HOME": ""}, None),
        (None, "", "", {}, None),
    ],
)
async def test_the_order_is_that_of_botocore(
    profile: str | None, credentials: str, config: str, environ: dict[str, str], wanted: str | None
) -> None:
    """A profile that a rule names goes before the variables, one that a variable names does not."""
    assert await World(profile, credentials, config, **environ).key_id() == wanted


async def test_files_may_lie_elsewhere() -> None:
    """Where Amazon's own variables say so; ``~`` is the home."""
    world = World(AWS_SHARED_CREDENTIALS_FILE="~/keys", AWS_CONFIG_FILE="/etc/aws")
    world.ground.files.put("/home/u/keys", section("default", "elsewhere"))
    assert await world.key_id() == "elsewhere"
    world = World("p", AWS_CONFIG_FILE="/etc/aws")
    world.ground.files.put("/etc/aws", section("profile p", "elsewhere"))
    assert await world.key_id() == "elsewhere"


async def test_the_variables_may_say_when_their_key_ends() -> None:
    """As ``aws configure export-credentials`` prints them."""
    world = World(AWS_SESSION_TOKEN="t", AWS_CREDENTIAL_EXPIRATION="2026-01-01T01:00:00+00:00", **VARIABLES)
    identity = await world.source.locate(TARGET, None)
    assert identity is not None
    login = await world.source.read(identity, TARGET)
    assert login is not None
    assert (login.until, login.wall_until) == (world.ground.clock.boot() + 3600, T0 + 3600)
    keys = await world.keys()
    assert keys is not None
    assert keys.session_token is not None
    assert keys.session_token.reveal() == "t"


async def test_an_end_that_is_no_point_in_time_is_told() -> None:
    """A key that nobody knows the end of might be used for too long."""
    world = World(AWS_CREDENTIAL_EXPIRATION="soon", **VARIABLES)
    failure = await world.failure()
    assert failure.message == "the variable 'AWS_CREDENTIAL_EXPIRATION' holds no point in time"
    filled(
        failure.hint,
        "export {} as aws configure export-credentials --format env prints it",
    )
    world.ground.environ["AWS_CREDENTIAL_EXPIRATION"] = "2026-01-01T01:00:00"
    assert await world.key_id() == "env"


async def test_half_of_a_key_is_told_with_both_names() -> None:
    """As botocore does, which asks no other place then."""
    world = World(None, BOTH, AWS_ACCESS_KEY_ID="canary")
    failure = await world.failure()
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert failure.message == "the variable 'AWS_ACCESS_KEY_ID' is set, and 'AWS_SECRET_ACCESS_KEY' is not"
    names = filled(failure.hint, "export {}=..., or unset {}; then credproxy stop")
    assert names == ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")
    world.ground.environ["AWS_SECRET_ACCESS_KEY"] = "s"
    assert await world.key_id() == "canary"


@pytest.mark.parametrize("environ", [{}, {"AWS_PROFILE": "gone"}])
async def test_a_profile_that_is_nowhere_is_told_with_those_that_are(environ: dict[str, str]) -> None:
    """A rule that names one uses that one, and no other."""
    world = World(None if environ else "gone", BOTH, **environ)
    failure = await world.failure()
    assert failure.message == (
        f"the profile 'gone' is in neither {CREDENTIALS!r} nor {CONFIG!r}; there are: 'default', 'other'"
    )
    filled(failure.hint, "name one that is there, or make it: aws configure --profile {}")
    await world.ground.clock.advance(1)
    world.ground.files.put(CREDENTIALS, section("gone", "made"))
    assert await world.key_id() == "made"


async def test_a_file_that_cannot_be_read_is_a_trouble_where_no_variable_goes_before_it() -> None:
    """The key that is meant may be in it."""
    world = World(None, f"[default\n{CANARY}")
    assert await world.key_id() is None
    trouble = trouble_of(world.source, TARGET)
    assert trouble is not None
    assert CREDENTIALS in trouble.message
    assert CANARY not in f"{trouble}{world.source.looked(TARGET)}"
    world = World(None, f"[default\n{CANARY}", **VARIABLES)
    assert (await world.key_id(), trouble_of(world.source, TARGET)) == ("env", None)


async def test_a_changed_file_is_another_key_and_seen_within_a_second() -> None:
    """What was signed with the old one is not served any more."""
    world = World(None, BOTH)
    before = await world.source.locate(TARGET, None)
    world.ground.files.put(CREDENTIALS, section("default", "new"))
    assert await world.source.locate(TARGET, None) == before
    await world.ground.clock.advance(1)
    assert await world.source.locate(TARGET, None) != before
    assert await world.key_id() == "new"
    world.ground.files.put(CREDENTIALS, section("default", "newer"))
    assert isinstance(world.source, Caches)
    world.source.forget()
    assert await world.key_id() == "newer"


async def test_it_is_told_what_is_at_each_place() -> None:
    """For ``explain``."""
    made = World()
    assert await made.key_id() is None
    variable = "'AWS_ACCESS_KEY_ID' is not set in the daemon's environment"
    others = "'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_CONTAINER_CREDENTIALS_FULL_URI'"
    assert made.source.looked(TARGET) == (
        variable,
        f"the file {CREDENTIALS!r} is not there",
        f"the file {CONFIG!r} is not there",
        f"none of 'AWS_WEB_IDENTITY_TOKEN_FILE', {others} is set",
        "this machine is not one of Amazon EC2",
    )
    made = World(None, section("x", "x"), "[default]\nregion = r\n", AWS_EC2_METADATA_DISABLED="true")
    assert await made.key_id() is None
    assert made.source.looked(TARGET) == (
        variable,
        f"the file {CREDENTIALS!r} has no profile 'default'",
        f"the profile 'default' of {CONFIG!r} has no access key",
        f"none of 'AWS_WEB_IDENTITY_TOKEN_FILE', {others} is set",
        "'AWS_EC2_METADATA_DISABLED' is set",
    )


async def test_without_a_home_no_file_is_looked_for() -> None:
    """A daemon of the system may have none."""
    world = World(HOME="")
    assert await world.key_id() is None
    assert "the files of Amazon's tools are not looked for: HOME is not set" in world.source.looked(TARGET)


SSO = "[profile corp]\nsso_session = it\nsso_account_id = 1\nsso_role_name = r\n[sso-session it]\nsso_region = r\n"
ROLE = "arn:aws:iam::123456789012:role/build"


def answering(world: World, *answers: AwsAccess | Failed) -> None:
    """What botocore finds, one after the other; the last again and again."""
    left = list(answers)
    world.ground.libraries.answers[AwsChain] = lambda _: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    ("environ", "config", "vendor", "place"),
    [
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, "", "", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, section("default", "x"), "", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ({"AWS_PROFILE": "corp"}, SSO, "", "profile corp"),
        ({}, "[default]\ncredential_process = p\n", "", "profile default"),
        ({}, section("default", "x") + "role_arn = r\n", "", "profile default"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/"}, "", "", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ({}, "[default]\nregion = r\n", "Amazon EC2\n", "instance metadata"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, "", "QEMU\n", "instance metadata"),
        ({"AWS_EC2_METADATA_DISABLED": "TRUE"}, "", "Amazon EC2\n", None),
        ({}, "", "QEMU\n", None),
        ({}, "", "", None),
    ],
)
async def test_what_needs_the_library_is_named_without_it(
    environ: dict[str, str], config: str, vendor: str, place: str | None
) -> None:
    """And metadata are asked for on Amazon's machines alone: elsewhere it takes seconds to hear nothing."""
    world = World(None, "", config, **environ)
    if vendor:
        world.ground.files.put("/sys/class/dmi/id/sys_vendor", vendor)
    identity = await world.source.locate(TARGET, None)
    assert (None if identity is None else identity.entry) == place
    assert world.ground.libraries.asked == []
    if place is not None:
        answering(world, AwsAccess("ASIA", "s", "t", T0 + 3600))
        assert await world.key_id() == "ASIA"
        assert world.ground.libraries.asked == [AwsChain()]


async def test_a_role_is_assumed_with_whatever_is_found() -> None:
    """With a key in plain as well; two roles are two logins."""
    world = World(None, BOTH, **VARIABLES)
    for profile, entry in ((None, f"AWS_ACCESS_KEY_ID as {ROLE}"), ("other", f"profile other as {ROLE}")):
        source = world.ground.made(AwsSource(profile, ROLE, "eu-west-1"))
        identity = await source.locate(TARGET, None)
        assert identity is not None
        assert identity.entry == entry
        answering(world, AwsAccess("ASIA", "s", "t", T0 + 900))
        login = await source.read(identity, TARGET)
        assert login is not None
        assert (login.until, login.wall_until) == (world.ground.clock.boot() + 900, T0 + 900)
        assert world.ground.libraries.asked[-1] == AwsChain(profile, ROLE, "eu-west-1")


async def test_ten_thousand_objects_are_one_look_at_the_chain() -> None:
    """Questions that arrive during a look-up wait for it; the next one happens before the found key expires."""
    world = World("corp", "", SSO)
    answering(world, AwsAccess("ONE", "s", "t", T0 + 600), AwsAccess("TWO", "s", "t", T0 + 1200))
    identity = await world.source.locate(TARGET, None)
    assert identity is not None
    assert await world.source.peek(identity, TARGET) is None
    await asyncio.gather(*(world.source.read(identity, TARGET) for _ in range(100)))
    assert len(world.ground.libraries.asked) == 1
    assert await world.key_id() == "ONE"
    world.ground.clock.suspend(595)
    assert await world.key_id() == "TWO"
    assert len(world.ground.libraries.asked) == 2
    assert await world.source.locate(TARGET, None) != identity


async def test_a_failure_is_asked_about_once_in_two_seconds_however_many_objects_follow() -> None:
    """Each URL is a question of its own to the broker, and each would start a program of the user's, also for a build action."""
    world = World("corp", "", SSO)
    answering(world, failed(Code.BAD_CREDENTIALS, "over", hint="aws sso login"))
    for _ in range(100):
        assert (await world.failure()).code is Code.BAD_CREDENTIALS
    assert len(world.ground.libraries.asked) == 1
    assert isinstance(world.source, Caches)
    world.source.forget()
    await world.failure()
    world.ground.clock.suspend(2)
    await world.failure()
    assert len(world.ground.libraries.asked) == 3
    answering(world, AwsAccess("ASIA", "s", "t", T0 + 600))
    world.ground.clock.suspend(2)
    assert await world.key_id() == "ASIA"


async def test_a_new_single_sign_on_is_seen_within_a_second() -> None:
    """What the old one's failure was remembered under is another name. Until then no object's question looks at the file again."""
    world = World("corp", "", SSO)
    answering(world, failed(Code.BAD_CREDENTIALS, "over", hint="aws sso login"), AwsAccess("ASIA", "s", "t", T0 + 600))
    before = await world.source.locate(TARGET, None)
    with pytest.raises(Failed):
        await world.keys()
    digest = hashlib.sha1(b"it", usedforsecurity=False).hexdigest()
    world.ground.files.put(f"/home/u/.aws/sso/cache/{digest}.json", "{}")
    assert await world.source.locate(TARGET, None) == before
    world.ground.clock.suspend(1)
    assert await world.source.locate(TARGET, None) != before
    assert await world.key_id() == "ASIA"


BASED = "[profile role]\nrole_arn = r\nsource_profile = corp\n"
CONSOLE = "[profile c]\nlogin_session = arn:aws:iam::123456789012:user/me\n"
OF_CONSOLE = hashlib.sha256(b"arn:aws:iam::123456789012:user/me").hexdigest()
OF_SSO = hashlib.sha1(b"it", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("profile", "config", "environ", "path"),
    [
        ("corp", SSO, {}, f"/home/u/.aws/sso/cache/{OF_SSO}.json"),
        ("role", BASED + SSO, {}, f"/home/u/.aws/sso/cache/{OF_SSO}.json"),
        ("loop", "[profile loop]\nsource_profile = role\n" + BASED + SSO, {}, f"/home/u/.aws/sso/cache/{OF_SSO}.json"),
        ("c", CONSOLE, {}, f"/home/u/.aws/login/cache/{OF_CONSOLE}.json"),
        ("c", CONSOLE, {"AWS_LOGIN_CACHE_DIRECTORY": "~/logins"}, f"/home/u/logins/{OF_CONSOLE}.json"),
        ("w", "[profile w]\nrole_arn = r\nweb_identity_token_file = /run/token\n", {}, "/run/token"),
        (None, "", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token"}, "/run/token"),
        (
            None,
            "",
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/run/pod",
            },
            "/run/pod",
        ),
    ],
)
async def test_a_new_login_gets_no_key_of_the_one_before(
    profile: str | None, config: str, environ: dict[str, str], path: str
) -> None:
    """Wherever the login lies that a key is made from, also that of another profile: the key of the last one may have hours to live."""
    world = World(profile, "", config, **environ)
    world.ground.files.put(path, "of the first")
    answering(world, AwsAccess("FIRST", "s", "t", T0 + 3600), AwsAccess("SECOND", "s", "t", T0 + 3600))
    before = await world.source.locate(TARGET, None)
    assert await world.key_id() == "FIRST"
    assert await world.source.locate(TARGET, None) == before
    world.ground.files.put(path, "of the second one")
    world.ground.clock.suspend(1)
    assert await world.source.locate(TARGET, None) != before
    assert await world.key_id() == "SECOND"


async def test_that_there_is_none_after_all_is_no_login() -> None:
    """An instance without a role."""
    world = World(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:1")
    answering(world, AwsAccess("", ""))
    assert await world.keys() is None


async def test_without_the_library_the_command_that_brings_it_is_told() -> None:
    """Where it is needed; a key in plain needs none."""
    world = World("corp", "", SSO)
    world.ground.libraries.missing = frozenset({"aws"})
    failure = await world.failure()
    assert failure.message.startswith("the access key of profile corp cannot be looked up: ")
    assert failure.hint == "pip install 'botocore>=1.40'"
    plain = World(None, BOTH)
    plain.ground.libraries.missing = frozenset({"aws"})
    assert await plain.key_id() == "file"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (AwsSource(role_arn="build"), "role_arn"),
        (AwsSource(role_arn="arn:aws:iam::1:role/x"), "role_arn"),
        (AwsSource(region="eu west"), "region"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(settings: AwsSource, key: str) -> None:
    """With the key that is wrong."""
    assert [path for path, _ in settings.problems()] == [(key,)]
    assert not list(AwsSource("p", ROLE, "eu-west-1").problems())


@pytest.mark.parametrize("profile", ["", "-x", "a\nb", "a]", 'a"b'])
def test_what_no_profile_is_called_is_refused(profile: str) -> None:
    """It would be an option of a command that a hint names."""
    assert [path for path, _ in AwsSource(profile).problems()] == [("profile",)]
    assert not list(AwsSource("my profile").problems())


def _put(ground: Ground, secret: str) -> None:
    """A key says itself when it ends, and no JWT does: where the contract wants an end, it is in Amazon's variable."""
    ground.environ |= {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": secret}
    if secret.count(".") == 2:
        end = json.loads(base64.urlsafe_b64decode(secret.split(".")[1] + "=="))["exp"]
        ground.environ["AWS_CREDENTIAL_EXPIRATION"] = datetime.fromtimestamp(end, UTC).isoformat()


def _broken(ground: Ground) -> None:
    ground.files.put(CREDENTIALS, f"[default]\n{CANARY}\n")


CONTRACTS = {"aws": SourceContract(AwsSource(), _put, _broken, fixed=True, target=TARGET)}
