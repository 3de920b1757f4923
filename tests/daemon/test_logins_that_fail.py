"""Hosts without a written rule, and a login that somebody left on the machine and that is over: most that is fetched there is public."""

from dataclasses import dataclass, field

import pytest

from credproxy.core.ask.credential import Caller
from credproxy.core.ask.http import Response
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.ask.worker_messages import AwsChain, AzureToken, GoogleToken
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.kinds.none import NoneHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources.ecr import EcrSource
from credproxy.daemon.build import World, build_table
from credproxy.providers.learned import Learned
from tests.fakes import T0, FakeClock, FakeFiles, FakeHttp, FakeLibraries, FakeProcesses, FakeSigner, FixedTerms


IMAGE = "https://public.ecr.aws/v2/docker/library/alpine/manifests/latest"
SSO = "[default]\nsso_session = it\nsso_account_id = 1\nsso_role_name = r\n[sso-session it]\nsso_start_url = https://x.test\n"


@dataclass
class Machine:
    """One with logins of three clouds, none of which gives anything any more."""

    missing: frozenset[str] = frozenset()
    clock: FakeClock = field(default_factory=FakeClock)
    files: FakeFiles = field(default_factory=FakeFiles)

    def __post_init__(self) -> None:
        self.http = FakeHttp(clock=self.clock)
        self.libraries = FakeLibraries(missing=self.missing)
        over = failed(Code.BAD_CREDENTIALS, "the login is over", hint="log in again")
        for question in (AwsChain, AzureToken, GoogleToken):
            self.libraries.answers[question] = lambda _: over
        self.files.put("/home/u/.aws/config", SSO)
        self.files.put("/home/u/.azure/azureProfile.json", '{"subscriptions": [{"id": "1"}]}')
        self.files.put("/home/u/.config/gcloud/application_default_credentials.json", '{"type": "authorized_user"}')

    async def grant(self, uri: str, settings: Settings | None = None) -> str:
        """Which headers are given, and the note; "nothing" without a plan. Raises Failed."""
        world = World(
            {"HOME": "/home/u"},
            1000,
            self.clock,
            self.http,
            FakeProcesses(),
            self.files,
            FakeSigner(),
            Learned(b"k"),
            libraries=self.libraries,
        )
        plan = (await build_table(settings or Settings(), world).plan(Question(parse_uri(uri), Caller()))).plan
        if plan is None:
            return "nothing"
        now = self.clock.boot()
        grant = await (plan.basis or plan).run(FixedTerms(deadline=now + 30, patience=now + 8.5))
        return f"{[values[0].reveal() for _, values in grant.headers]} {grant.note}"

    async def failure(self, uri: str, settings: Settings | None = None) -> Failure:
        """Why there is none."""
        with pytest.raises(Failed) as caught:
            await self.grant(uri, settings)
        return caught.value.failure


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ("https://storage.googleapis.com/public/o", "storage.googleapis.com/BUCKET"),
        ("https://public.storage.googleapis.com/o", "BUCKET.storage.googleapis.com"),
        ("https://public.s3.eu-west-1.amazonaws.com/o", "BUCKET.s3.REGION.amazonaws.com"),
        ("https://acc.blob.core.windows.net/public/o", "ACCOUNT.blob.core.windows.net/CONTAINER"),
    ],
)
async def test_a_login_that_is_over_says_how_to_do_without_it(uri: str, match: str) -> None:
    """Nobody wrote the rule, and most that is fetched there needs no login; followed, the object is asked for without one."""
    machine = Machine()
    failure = await machine.failure(uri)
    assert (failure.code, failure.message) == (Code.BAD_CREDENTIALS, "the login is over")
    assert failure.hint == f'log in again; for what is public, write [[host]] match = "{match}" provider = "none"'
    named = match
    names = {"BUCKET": "public", "REGION": "eu-west-1", "ACCOUNT": "acc", "CONTAINER": "public"}
    for name, value in names.items():
        named = named.replace(name, value)
    assert await machine.grant(uri, Settings(host=(NoneHost(named),))) == "nothing"
    assert machine.http.requests == []


async def test_a_missing_library_says_so_as_well() -> None:
    """It fails before anything is asked."""
    failure = await Machine(frozenset({"aws"})).failure("https://public.s3.eu-west-1.amazonaws.com/o")
    assert failure.hint.startswith("pip install 'botocore>=1.40'")
    assert failure.hint.endswith('match = "BUCKET.s3.REGION.amazonaws.com" provider = "none"')


@pytest.mark.parametrize("uri", ["https://europe-python.pkg.dev/p/r/x", "https://acc.dfs.core.windows.net/c/o"])
async def test_hosts_without_public_objects_keep_to_the_login(uri: str) -> None:
    """It would be no help."""
    assert (await Machine().failure(uri)).hint == "log in again"


def answering(machine: Machine, *, token: int = 200) -> None:
    """The public registry, and its token server."""
    now = (machine.clock.boot(), machine.clock.wall())
    challenge = 'Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws"'
    machine.http.script["https://public.ecr.aws/v2/"] = [
        lambda _: Response(401, (("WWW-Authenticate", challenge),), b"", *now)
    ]
    machine.http.script["https://public.ecr.aws/token/"] = [
        lambda _: Response(token, (), b'{"token": "anybody", "expires_in": 300}', *now)
    ]
    assert now[1] >= T0


@pytest.mark.parametrize("missing", [frozenset[str](), frozenset({"aws"})])
async def test_amazons_public_registry_is_asked_without_a_login_that_is_over(missing: frozenset[str]) -> None:
    """All of it is public: a login only allows more requests in a second. Elsewhere it stays an error."""
    machine = Machine(missing)
    answering(machine)
    assert await machine.grant(IMAGE) == "['Bearer anybody'] " + ("" if missing else "anonymous: the login is over")
    assert not any(name == "Authorization" for request in machine.http.requests for name, _ in request.headers)
    private = await machine.failure("https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/a/manifests/1")
    assert private.code is (Code.CREDENTIAL_UNREADABLE if missing else Code.BAD_CREDENTIALS)


async def test_who_wrote_a_rule_for_it_wants_that_login() -> None:
    """As everywhere (P-12)."""
    machine = Machine()
    answering(machine)
    rule = OciHost("public.ecr.aws", credentials=EcrSource(), anonymous="pull")
    assert (await machine.failure(IMAGE, Settings(host=(rule,)))).message == "the login is over"
