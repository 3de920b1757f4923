"""Signatures for objects: for which method and region, with how many looks at the key, and how long they are used."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import msgspec
import pytest

from credproxy.core.ask.credential import Caller, Grant, Identity, PlainSecret, Secret, UserPassword
from credproxy.core.ask.http import Response
from credproxy.core.ask.lifetime import remaining
from credproxy.core.ask.target import Granted, Object, Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.cloud_libraries import AWS
from credproxy.core.kinds.s3 import S3Host
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.r2 import R2Source
from credproxy.core.kinds.uses import Usual
from credproxy.ports.provider import Plan
from credproxy.providers.s3 import S3Provider
from tests.contract import CANARY, HOST, ProviderContract
from tests.fakes import FakeAwsSigner, FakeClock, FakeHttp, FakeSource, FixedTerms, settle
from tests.hints import filled


TARGET = parse_uri(f"https://{HOST}/b/k")
INSTALL = "pip install 'botocore>=1.40'"
LOCAL: Final[Mapping[str, object]] = MappingProxyType({"region": "r"})
KEY = UserPassword("AKID", Secret(CANARY))


class World:
    """One rule, and a key."""

    def __init__(
        self, host: str = HOST, options: Mapping[str, object] = LOCAL, *, required: bool = True, lacking: str = ""
    ) -> None:
        self.clock = FakeClock()
        self.http = FakeHttp(clock=self.clock)
        self.source = FakeSource(host, KEY, clock=self.clock)
        self.signer = FakeAwsSigner(lacking=lacking)
        rule = msgspec.convert({"provider": "s3", "match": host, **options}, S3Host)
        assert not list(rule.problems())
        self.provider = S3Provider(
            rule, source=self.source, signer=self.signer, http=self.http, clock=self.clock, required=required
        )

    async def plan(
        self, uri: str, grants: tuple[Granted, ...] | None = None, *, for_gateway: bool = False
    ) -> Plan | None:
        """How it would be answered."""
        caller = Caller() if grants is None else Caller("actions")
        return await self.provider.plan(Question(parse_uri(uri), caller, grants, for_gateway=for_gateway))

    async def grant(self, uri: str, *, anew: bool = False) -> Grant:
        """What a person's build gets."""
        plan = await self.plan(uri)
        assert plan is not None
        return await plan.run(FixedTerms(anew=anew))

    async def authorization(self, uri: str) -> str:
        """The header in the fake's form: id of the key, region, service."""
        found = dict((await self.grant(uri)).headers)
        return found["Authorization"][0].reveal()


@pytest.mark.parametrize(
    ("uri", "options", "region"),
    [
        ("https://b.s3.eu-west-1.amazonaws.com/k", {}, "eu-west-1"),
        ("https://s3.cn-north-1.amazonaws.com.cn/b/k", {}, "cn-north-1"),
        ("https://b.s3.eu-west-1.amazonaws.com/k", {"region": "eu-west-2"}, "eu-west-2"),
        ("https://0123456789abcdef.r2.cloudflarestorage.com/b/k", {}, "auto"),
        ("https://minio.test/b/k", {"region": "local"}, "local"),
    ],
)
async def test_rule_and_host_say_the_region(uri: str, options: dict[str, object], region: str) -> None:
    """Nobody is asked then."""
    world = World(parse_uri(uri).host, options)
    assert await world.authorization(uri) == f"AWS4 AKID/{region}/s3 1"
    assert world.http.requests == []


@pytest.mark.parametrize(
    ("uri", "options", "asked"),
    [
        ("https://s3.amazonaws.com/b/a/k", {}, "https://s3.amazonaws.com/b"),
        ("https://b.s3.amazonaws.com/a/k", {}, "https://b.s3.amazonaws.com/"),
        ("https://minio.test/b/a/k", {}, "https://minio.test/b"),
        ("https://b.minio.test/a/k", {"path_style": False}, "https://b.minio.test/"),
    ],
)
async def test_a_bucket_is_asked_for_its_region_once(uri: str, options: dict[str, object], asked: str) -> None:
    """However many of its objects are waiting; ``flush`` forgets it."""
    world = World(parse_uri(uri).host, options)
    world.http.script[asked] = [Response(403, (("x-amz-bucket-region", "eu-north-1"),), b"", 0.0, world.clock.wall())]
    grants = await asyncio.gather(*(world.grant(f"{uri}{number}") for number in range(50)))
    assert all("/eu-north-1/s3" in dict(grant.headers)["Authorization"][0].reveal() for grant in grants)
    assert [request.url for request in world.http.requests] == [asked]
    world.provider.forget(lambda _: True)
    await world.grant(uri)
    assert len(world.http.requests) == 2


async def test_a_region_from_before_a_flush_is_not_kept() -> None:
    """The bucket may have moved: all who wait get what it says afterwards."""
    uri, asked = f"https://{HOST}/b/k", f"https://{HOST}/b"
    world = World(options={})
    answers = [
        Response(200, (("x-amz-bucket-region", name),), b"", 0.0, world.clock.wall())
        for name in ("eu-west-1", "eu-north-1")
    ]
    world.http.script[asked] = list(answers)
    world.http.hold[asked] = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(world.grant(uri))
        await settle()
        world.provider.forget(lambda _: True)
        world.http.hold[asked].set()
    headers = dict(waiting.result().headers)
    assert "/eu-north-1/s3" in headers["Authorization"][0].reveal()
    assert len(world.http.requests) == 2


async def test_a_url_that_names_no_bucket_is_in_the_usual_region() -> None:
    """A list of all buckets, for one."""
    assert await World(options={}).authorization(f"https://{HOST}/?x-id=ListBuckets") == "AWS4 AKID/us-east-1/s3 1"


async def test_what_is_signed_is_what_the_store_reads() -> None:
    """Not what clients send: see core/ask/aws_url.py."""
    world = World(options={**LOCAL, "endpoint": "store.test:9000"})
    await world.grant(f"https://{HOST}/b/a(b)+c!.txt?versionId=x/y")
    assert world.signer.signed == [("GET", "https://store.test:9000/b/a%28b%29%2Bc%21.txt?versionId=x%2Fy")]


async def test_plain_http_is_signed_where_the_rule_takes_it() -> None:
    """The port that a scheme implies is part of the Host that is signed."""
    world = World(options={**LOCAL, "insecure": True})
    await world.grant(f"https://{HOST}/b/k")
    assert world.signer.signed == [("GET", f"http://{HOST}/b/k")]


GET, HEAD = Object(f"https://{HOST}/b/k", ("GET",)), Object(f"https://{HOST}/b/k", ("HEAD",))
OTHER = Object(f"https://{HOST}/b/other", ("GET",))


@pytest.mark.parametrize(
    ("grants", "for_gateway", "method", "narrow"),
    [
        (None, False, "GET", False),
        ((GET,), False, "GET", True),
        ((replaced := Object(GET.url, ("GET", "HEAD")),), False, "GET", True),
        ((HEAD,), False, "GET", False),
        ((OTHER,), False, "GET", False),
        ((GET,), True, "GET", False),
        ((HEAD,), True, "HEAD", False),
        ((Object(GET.url, ("PUT",)),), True, "PUT", False),
        ((replaced,), True, "GET", False),
    ],
)
async def test_a_signature_is_for_one_method(
    grants: tuple[Granted, ...] | None,
    for_gateway: bool,  # noqa: FBT001  parametrized
    method: str,
    narrow: bool,  # noqa: FBT001  parametrized
) -> None:
    """For GET where nobody says; the gateway says which one it sends; a build action is given what its rules allow it."""
    world = World()
    plan = await world.plan(GET.url, grants, for_gateway=for_gateway)
    assert plan is not None
    assert (plan.narrow, plan.detail["signs"]) == (narrow, method)
    await plan.run(FixedTerms())
    assert world.signer.signed == [(method, GET.url)]


async def test_get_and_head_are_two_answers_and_so_are_two_urls() -> None:
    """A signature of the one is refused for the other."""
    world = World()
    plans = [
        await world.plan(f"{GET.url}{query}", grants, for_gateway=True)
        for query, grants in (("", (GET,)), ("", (HEAD,)), ("?versionId=1", (GET,)), ("?versionId=2", (GET,)))
    ]
    keys = {plan.key for plan in plans if plan is not None}
    assert len(keys) == 4
    assert "versionId" not in str(keys)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        (f"https://{HOST}/b/k?X-Amz-Signature=0", "the URL carries its own signature, which a credential would break"),
        (f"https://{HOST}/b/k?AWSAccessKeyId=a&Signature=0", "the URL carries its own signature"),
        (HOST, "a signature is for one URL: there is none for a host"),
        (f"https://{HOST}/", "a signature is for one URL: there is none for a host"),
        (f"grpcs://{HOST}", "a signature is for one URL: there is none for a host"),
    ],
)
async def test_what_is_signed_already_or_is_no_object_gets_nothing(uri: str, why: str) -> None:
    """S3 answers 400 to two signatures."""
    world = World()
    question = Question(parse_uri(uri), Caller())
    assert await world.provider.plan(question) is None
    assert [said for said in world.provider.reasons(question) if said.startswith(why)]


async def test_a_signature_is_used_for_five_minutes_and_no_longer_than_its_key() -> None:
    """A thousandth signature ends as the first one does; what says that it is over signs nothing."""
    world = World()
    for until, left in ((None, 300.0), (1e6, 300.0), (100.0, 100.0)):
        world.source.until = None if until is None else world.clock.boot() + until
        life = (await world.grant(GET.url)).lifetime
        assert remaining(life, world.clock.boot(), wall=world.clock.wall()) == left
        assert remaining(life, world.clock.boot(), wall=world.clock.wall() + 50) == left - 50
    world.clock.suspend(101)
    with pytest.raises(Failed) as caught:
        await world.grant(GET.url)
    assert caught.value.failure.code is Code.EXPIRED_ON_ARRIVAL
    assert len(world.signer.signed) == 3


async def test_one_look_at_the_key_serves_every_object_for_a_second() -> None:
    """Its basis is one for a whole bucket; what is made from it is what an exchange of its own would give."""
    world = World(options={})
    asked = f"https://{HOST}/b"
    world.http.script[asked] = [Response(403, (("x-amz-bucket-region", "eu-north-1"),), b"", 0.0, world.clock.wall())]
    plans = [plan for number in range(20) if (plan := await world.plan(f"https://{HOST}/b/{number}")) is not None]
    elsewhere = await world.plan(f"https://{HOST}/other/k")
    assert elsewhere is not None
    bases = {plan.basis.key for plan in (*plans, elsewhere) if plan.basis is not None}
    assert [len(plans), len(bases)] == [20, 2]
    assert {plan.make() for plan in plans if plan.make is not None} == {None}
    basis = plans[0].basis
    assert basis is not None
    assert not (await basis.run(FixedTerms())).headers
    made = [plan.make() for plan in plans if plan.make is not None]
    assert [grant is not None and len(grant.headers) for grant in made] == [1] * 20
    assert (world.source.reads, world.signer.signed[7]) == (1, ("GET", f"https://{HOST}/b/7"))
    assert elsewhere.make is not None
    assert elsewhere.make() is None
    world.clock.suspend(1.0)
    assert plans[0].make is not None
    assert plans[0].make() is None
    await basis.run(FixedTerms())
    assert plans[0].make() is not None
    world.provider.forget(lambda _: True)
    assert plans[0].make() is None


async def test_a_key_that_is_gone_is_not_looked_for_by_each_object() -> None:
    """Of a built-in rule: each gets no credential, for a minute."""
    world = World(required=False)
    plan = await world.plan(GET.url)
    world.source.stored = None
    assert plan is not None
    assert plan.make is not None
    assert plan.basis is not None
    await plan.basis.run(FixedTerms())
    made = plan.make()
    assert made is not None
    assert (made.headers, made.note, world.source.reads) == ((), "there is no access key after all", 1)


async def test_a_key_that_was_refused_is_looked_up_again() -> None:
    """It may have been rotated."""
    world = World()
    world.source.changed = UserPassword("NEW", Secret("s"))
    assert dict((await world.grant(GET.url, anew=True)).headers)["Authorization"][0].reveal().startswith("AWS4 NEW/")


async def test_the_token_of_a_temporary_key_is_sent() -> None:
    """It is of no use without the secret."""
    world = World()
    fields = {"AccessKeyId": "ASIA", "SecretAccessKey": CANARY, "SessionToken": "session"}
    world.source.stored = PlainSecret(Secret(msgspec.json.encode(fields).decode()))
    assert dict((await world.grant(GET.url)).headers)["X-Amz-Security-Token"] == (Secret("session"),)


async def test_a_rule_without_a_key_says_how_to_get_one() -> None:
    """Somebody wrote it; of a built-in one it is only explained."""
    world = World()
    world.source.authority = "other.test"
    with pytest.raises(Failed) as caught:
        await world.plan(GET.url)
    assert caught.value.failure.message == (
        f"no access key for {HOST!r} is stored where its rule points: the fake source has no {HOST!r}"
    )
    assert caught.value.failure.hint == "aws configure, or aws sso login"
    world = World(required=False)
    world.source.authority = "other.test"
    assert await world.plan(GET.url) is None
    assert world.provider.reasons(Question(TARGET, Caller())) == (f"the fake source has no {HOST!r}",)


async def test_a_place_that_holds_nothing_or_cannot_be_read_is_an_error() -> None:
    """The hint says what belongs there."""
    world = World()
    world.source.stored = None
    with pytest.raises(Failed) as caught:
        await world.grant(GET.url)
    assert caught.value.failure.message == "fake:entry holds no access key"
    filled(
        caught.value.failure.hint,
        'store an access key there: a login with its id for a name, or {"AccessKeyId": ..., "SecretAccessKey": ...}',
    )
    world.source.stored = KEY
    assert (await world.grant(GET.url)).headers


async def test_without_the_library_the_command_that_brings_it_is_told() -> None:
    """As an error where somebody wrote the rule."""
    world = World(lacking=INSTALL)
    with pytest.raises(Failed) as caught:
        await world.plan(GET.url)
    assert (caught.value.failure.message, caught.value.failure.hint) == (
        "the library that signs is not installed",
        INSTALL,
    )
    world = World(lacking=INSTALL, required=False)
    assert await world.plan(GET.url) is None
    (said,) = world.provider.reasons(Question(TARGET, Caller()))
    assert INSTALL in said


async def test_ten_thousand_plans_share_what_is_explained() -> None:
    """Each has its own URL, and nothing else of its own."""
    world = World()
    plans = [await world.plan(f"{GET.url}{number}") for number in range(2)]
    assert plans[0] is not None
    assert plans[1] is not None
    assert plans[0].detail is plans[1].detail
    world.source.identity = replace(world.source.identity, version=2)
    changed = await world.plan(GET.url)
    assert changed is not None
    assert changed.detail == plans[0].detail
    assert changed.identity == Identity("fake", "entry", 2)


@pytest.mark.parametrize(
    ("options", "key"),
    [({"region": "eu west"}, "region"), ({"region": ""}, "region"), ({"endpoint": "https://x"}, "endpoint")],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], key: str) -> None:
    """With the key that is wrong."""
    rule = msgspec.convert({"provider": "s3", "match": HOST, **options}, S3Host)
    assert (key,) in {path for path, _ in rule.problems()}


def test_whoever_has_no_key_is_told_how_to_get_one() -> None:
    """By the tools of the store's owner."""
    assert S3Host(HOST).setup(TARGET) == "aws configure, or aws sso login"
    named = S3Host(HOST, credentials=AwsSource("my profile")).setup(TARGET)
    assert named == "aws configure --profile 'my profile', or aws sso login --profile 'my profile'"
    assert (
        S3Host(HOST, credentials=R2Source()).setup(TARGET).startswith("set R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY")
    )
    assert "credentials = { source = ... }" in S3Host(HOST, credentials=EnvSource("X")).setup(TARGET)


def test_what_it_looks_at_is_named() -> None:
    """``config check`` looks for the library, ``install`` for the files."""
    uses = [use for _, use in S3Host(HOST).uses()]
    assert uses[0] is AWS
    places = [use for use in uses if isinstance(use, Usual)]
    assert [place.path({"HOME": "/h"}) for place in places] == ["/h/.aws/credentials", "/h/.aws/config"]
    assert [place.path({"AWS_CONFIG_FILE": "/c"}) for place in places] == [None, "/c"]


CONTRACTS = {
    "s3": ProviderContract(
        S3Host(HOST, region="eu-west-1", credentials=EnvSource("X")),
        narrow=frozenset({Object}),
    )
}
