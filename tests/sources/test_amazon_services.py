"""Logins of ECR and tokens of CodeArtifact: one call for all that they are good for, and none for anybody else."""

import asyncio
import base64
import json
from dataclasses import replace

import pytest

from credproxy.core.ask.credential import PlainSecret, Secret, UserPassword
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.ask.worker_messages import AwsAccess, AwsChain
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources import SourceSettings
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.core.kinds.sources.codeartifact import CodeartifactSource
from credproxy.core.kinds.sources.ecr import EcrSource
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.ports.source import Caches, Source
from credproxy.ports.trouble import trouble_of
from credproxy.sources import make
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeAwsSigner
from tests.hints import filled


ECR = parse_uri("https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/a/b/manifests/latest")
OTHER = parse_uri("https://210987654321.dkr.ecr.eu-west-1.amazonaws.com/v2/c/manifests/latest")
FAR = parse_uri("https://123456789012.dkr.ecr.us-east-1.amazonaws.com/v2/a/b/manifests/latest")
PACKAGES = parse_uri("https://corp-123456789012.d.codeartifact.eu-west-1.amazonaws.com/pypi/r/simple/x/")
KEY = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s"}


def answer(ground: Ground, secret: str = "canary-token", seconds: float = 43_200) -> None:
    """Amazon gives a token, each time another one."""
    count = iter(range(1000))

    def given(request: Request) -> Response:
        number, end = next(count), ground.clock.wall() + seconds
        token = secret if not number else f"{secret}{number}"
        if "authorization-token" in request.url:
            body: dict[str, object] = {"authorizationToken": token, "expiration": end}
        else:
            found = {"authorizationToken": base64.b64encode(f"AWS:{token}".encode()).decode(), "expiresAt": end}
            body = {"authorizationData": [found]}
        return Response(200, (), json.dumps(body).encode(), ground.clock.boot(), ground.clock.wall())

    ground.http.script["https://"] = [given]


def ground_with_key() -> Ground:
    """A machine with an access key."""
    ground = Ground()
    ground.environ |= KEY
    answer(ground)
    return ground


async def stored(source: Source, uri: str = "") -> object:
    """What is sent."""
    target = parse_uri(uri) if uri else ECR
    identity = await source.locate(target, None)
    login = None if identity is None else await source.read(identity, target)
    return None if login is None else login.stored


@pytest.mark.parametrize(("source", "uri"), [(EcrSource(), ECR), (CodeartifactSource(), PACKAGES)])
async def test_a_list_goes_on_where_the_library_is_missing(source: SourceSettings, uri: Target) -> None:
    """Somewhere else the same configuration has another login; by itself the source says what to install."""
    ground = ground_with_key()
    ground.environ |= {"ELSEWHERE": "canary"}
    tools = replace(ground.source_tools(), aws=FakeAwsSigner(lacking="pip install it"))
    both = make((source, EnvSource("ELSEWHERE")), tools)
    identity = await both.locate(uri, None)
    assert identity is not None
    assert identity.entry == "ELSEWHERE"
    with pytest.raises(Failed, match="the library that signs is not installed"):
        await make(source, tools).locate(uri, None)


async def test_one_call_serves_all_registries_of_a_region() -> None:
    """Anybody who owns them: the registry decides who may read it."""
    ground = ground_with_key()
    source = ground.made(EcrSource())
    first, second, far = [await source.locate(target, None) for target in (ECR, OTHER, FAR)]
    assert first == second
    assert first is not None
    assert far not in {first, None}
    logins = await asyncio.gather(*(source.read(first, target) for target in (ECR, OTHER) * 20))
    assert {
        login.stored.username for login in logins if login is not None and isinstance(login.stored, UserPassword)
    } == {"AWS"}
    assert [request.url for request in ground.http.requests] == ["https://api.ecr.eu-west-1.amazonaws.com/"]
    assert logins[0] is not None
    assert logins[0].until == ground.clock.boot() + 43_200
    assert await source.peek(first, ECR) == logins[0]
    assert far is not None
    await source.read(far, FAR)
    assert len(ground.http.requests) == 2
    assert isinstance(source, Caches)
    source.forget()
    await source.read(first, ECR)
    assert len(ground.http.requests) == 3


async def test_it_is_signed_with_what_the_service_wants() -> None:
    """Each in its own region and name."""
    ground = ground_with_key()
    source = ground.made(EcrSource())
    assert await stored(source) == UserPassword("AWS", Secret("canary-token"))
    assert not ground.http.requests[0].dial.own
    headers = dict(ground.http.requests[0].headers)
    assert headers["Authorization"] == Secret("AWS4 AKID/eu-west-1/ecr 1")
    assert headers["X-Amz-Target"] == Secret("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
    packages = ground.made(CodeartifactSource(duration=900))
    assert await stored(packages, f"{PACKAGES.origin}/pypi/x") == PlainSecret(Secret("canary-token1"))
    assert ground.http.requests[1].url.endswith("&duration=900")
    assert dict(ground.http.requests[1].headers) == {"Authorization": Secret("AWS4 AKID/eu-west-1/codeartifact 1")}


async def test_a_token_ends_with_the_key_that_it_was_made_with() -> None:
    """Whatever its service says; one look at the chain serves all services."""
    ground = Ground()
    answer(ground)
    ground.files.put("/home/u/.aws/config", "[default]\nsso_session = it\n")
    ground.libraries.answers[AwsChain] = lambda _: AwsAccess("ASIA", "s", "t", ground.clock.wall() + 3600)
    tools = ground.source_tools()
    for settings, target in ((EcrSource(), ECR), (CodeartifactSource(), PACKAGES)):
        source = make(settings, tools)
        identity = await source.locate(target, None)
        assert identity is not None
        login = await source.read(identity, target)
        assert login is not None
        assert login.until == ground.clock.boot() + 3600
    assert len(ground.libraries.asked) == 1
    assert make(AwsSource(), tools) is make(AwsSource(), tools)


async def test_a_token_that_is_over_on_arrival_is_refused_where_it_is_used() -> None:
    """As a well-known imitation of the service gives."""
    ground = ground_with_key()
    answer(ground, seconds=-1e8)
    source = ground.made(EcrSource())
    identity = await source.locate(ECR, None)
    assert identity is not None
    login = await source.read(identity, ECR)
    assert login is not None
    assert login.until is not None
    assert login.until < ground.clock.boot()


@pytest.mark.parametrize(
    "uri",
    [
        "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com:8443/v2/x/manifests/1",
        "https://123456789012.dkr.ecr.eu-west-1.evil.test/v2/x/manifests/1",
        "https://reg.test/v2/x/manifests/1",
        "grpcs://public.ecr.aws",
    ],
)
async def test_no_other_host_is_given_anything(uri: str) -> None:
    """Nor is it asked about."""
    ground = ground_with_key()
    source, target = ground.made(EcrSource()), parse_uri(uri)
    assert await stored(source, uri) is None
    assert source.looked(target) == (f"{target.authority!r} is not a host of ecr",)
    assert trouble_of(source, target) is None
    assert ground.http.requests == []


async def test_without_a_key_it_is_told_where_one_was_looked_for() -> None:
    """And what cannot be read is a trouble."""
    ground = Ground()
    source = ground.made(EcrSource())
    assert await stored(source) is None
    assert "'AWS_ACCESS_KEY_ID' is not set in the daemon's environment" in source.looked(ECR)
    ground.files.put("/home/u/.aws/config", "[default\n")
    await ground.clock.advance(1)
    assert await stored(source) is None
    assert trouble_of(source, ECR) is not None


async def test_an_instance_without_a_role_has_no_login() -> None:
    """That is known only once it was asked."""
    ground = Ground()
    ground.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:1"
    ground.libraries.answers[AwsChain] = lambda _: AwsAccess("", "")
    assert await stored(ground.made(EcrSource())) is None


async def test_two_profiles_are_two_logins() -> None:
    """For one registry, by two rules."""
    ground = ground_with_key()
    keys = "aws_access_key_id = {0}\naws_secret_access_key = s\n"
    ground.files.put("/home/u/.aws/credentials", "".join(f"[{name}]\n{keys.format(name)}" for name in ("a", "b")))
    names = {await ground.made(EcrSource(profile)).locate(ECR, None) for profile in ("a", "b", None)}
    assert len(names) == 3
    await stored(ground.made(EcrSource("b")))
    assert dict(ground.http.requests[0].headers)["Authorization"] == Secret("AWS4 b/eu-west-1/ecr 1")


async def test_another_address_of_the_service_is_taken_from_amazons_own_variables() -> None:
    """That of one service goes before that of all."""
    ground = ground_with_key()
    ground.environ |= {"AWS_ENDPOINT_URL": "https://all.test", "AWS_ENDPOINT_URL_ECR": "https://ecr.test/"}
    await stored(ground.made(EcrSource()))
    await stored(ground.made(CodeartifactSource()), f"{PACKAGES.origin}/pypi/x")
    urls = [request.url for request in ground.http.requests]
    assert urls[0] == "https://ecr.test/"
    assert [request.dial.own for request in ground.http.requests] == [True, True]
    assert urls[1].startswith("https://all.test/v1/authorization-token?domain=corp&")


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:4566", "http://ecr.test", "http://[64:ff9b::7f00:1]", "ecr.test", "ftp://x"]
)
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL"])
async def test_a_signed_request_does_not_leave_the_machine_in_plain_http(variable: str, url: str) -> None:
    """Nothing is sent, and the variable is named; one of this machine's own addresses may be asked so."""
    ground = ground_with_key()
    ground.environ[variable] = url
    with pytest.raises(Failed) as caught:
        await stored(ground.made(EcrSource()))
    failure = caught.value.failure
    assert (failure.code, failure.message.startswith(f"the variable {variable!r} ")) == (
        Code.CREDENTIAL_UNREADABLE,
        True,
    )
    assert filled(failure.hint, "write https://HOST into it, or unset {}; then credproxy stop") == (variable,)
    assert ground.http.requests == []
    ground.http.script["http://"] = ground.http.script["https://"]
    for own in ("http://127.0.0.1:4566", "http://[::1]:4566", "http://localhost"):
        ground.environ[variable] = own
        await stored(ground.made(EcrSource()))
        assert ground.http.requests[-1].url == f"{own}/"


async def test_amazons_own_switch_has_its_variables_ignored() -> None:
    """As it does for Amazon's tools."""
    ground = ground_with_key()
    ground.environ |= {"AWS_ENDPOINT_URL": "http://10.0.0.1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    await stored(ground.made(EcrSource()))
    assert ground.http.requests[0].url == "https://api.ecr.eu-west-1.amazonaws.com/"


async def test_half_of_a_key_is_told() -> None:
    """Before anything is asked, and by ``explain`` as well."""
    ground = ground_with_key()
    del ground.environ["AWS_SECRET_ACCESS_KEY"]
    source = ground.made(EcrSource())
    identity = await source.locate(ECR, None)
    assert identity is not None
    with pytest.raises(Failed) as caught:
        await source.peek(identity, ECR)
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE


def test_whoever_has_no_key_is_told_how_to_get_one() -> None:
    """By the rule of the registry as well, with the profile that it names."""
    rule = OciHost(ECR.host, credentials=EcrSource("corp"))
    assert rule.setup(ECR) == "aws configure --profile corp, or aws sso login --profile corp"
    assert CodeartifactSource().log_in == EcrSource().log_in == "aws configure, or aws sso login"


@pytest.mark.parametrize("duration", [0, 899, 43_201])
def test_a_duration_that_is_not_given_is_refused(duration: int) -> None:
    """A quarter of an hour at least, twelve hours at most."""
    assert [path for path, _ in CodeartifactSource(duration=duration).problems()] == [("duration",)]
    assert [path for path, _ in CodeartifactSource("-p").problems()] == [("profile",)]
    assert [path for path, _ in EcrSource(role_arn="r").problems()] == [("role_arn",)]


def _put(ground: Ground, secret: str) -> None:
    """A token says itself when it ends: where the contract wants an end, it is told with the token."""
    ground.environ |= KEY
    if secret.count(".") != 2:
        answer(ground, secret)
        return
    end = json.loads(base64.urlsafe_b64decode(secret.split(".")[1] + "=="))["exp"]
    answer(ground, secret, end - ground.clock.wall())


def _broken(ground: Ground) -> None:
    ground.environ |= {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": f"{CANARY}\n"}


CONTRACTS = {
    "ecr": SourceContract(EcrSource(), _put, _broken, fixed=True, target=ECR),
    "codeartifact": SourceContract(CodeartifactSource(), _put, _broken, fixed=True, target=PACKAGES),
}
