"""``provider = "oauth2"``: one exchange for all URIs of a rule, and refresh tokens that change by being used."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs

import msgspec
import pytest

from credproxy.core.ask.credential import Caller, Grant, PlainSecret, Secret
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.target import Granted, Object, Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.kinds.oauth2 import OauthHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.core.ownership import Exposure
from credproxy.ports.provider import Plan
from credproxy.ports.source import Source
from credproxy.providers.oauth2 import DOCUMENT_KEEP, OauthProvider
from credproxy.providers.oauth_secrets import KeyTools, OauthSecrets
from credproxy.sources.env import Env
from credproxy.sources.file import File
from tests.broker.world import question
from tests.contract import HOST, ISSUED, Ground, ProviderContract, Setting, jwt
from tests.fakes import T0, FakeClock, FakeFiles, FakeHttp, FakeSigner, FixedTerms, settle
from tests.hints import filled


ISSUER = "https://id.test"
URL = "https://id.test/token"
PATH = "/home/u/token"
LOCK, NEW = "/home/u/.token.lock", "/home/u/.token.new"
URI = "https://cache.test/x"


def form(request: Request) -> dict[str, str]:
    """What was posted."""
    assert request.body is not None
    return {name: values[0] for name, values in parse_qs(request.body.reveal()).items()}


@dataclass
class Rotating:
    """A token server that accepts each refresh token once: a repeated one revokes them all."""

    clock: FakeClock
    current: str = "refresh-0"
    used: list[str] = field(default_factory=list)
    revoked: bool = False
    steady: bool = False
    life: int = 300

    def __call__(self, request: Request) -> Response:
        """Answer."""
        given = form(request)["refresh_token"]
        self.revoked = self.revoked or given in self.used
        if self.revoked or given != self.current:
            return self.answer({"error": "invalid_grant"}, 400)
        if not self.steady:
            self.used.append(given)
            self.current = f"refresh-{len(self.used)}"
        return self.answer(
            {"access_token": f"access-{len(self.used)}", "expires_in": self.life, "refresh_token": self.current}
        )

    def answer(self, body: object, status: int = 200) -> Response:
        """A current answer."""
        return Response(status, (), json.dumps(body).encode(), self.clock.boot(), self.clock.wall())


class World:
    """One rule, its file, and its token server."""

    def __init__(self, **given: object) -> None:
        self.clock, self.files = FakeClock(), FakeFiles()
        self.http, self.signer = FakeHttp(clock=self.clock), FakeSigner()
        self.environ = {"S": "secret-1"}
        self.server = Rotating(self.clock)
        self.http.script[URL] = [self.server]
        self.files.put(PATH, "refresh-0\n")
        rule = {"provider": "oauth2", "match": "cache.test", "client_id": "bazel", "token_url": URL}
        self.rule = msgspec.convert(rule | given, OauthHost)
        assert not list(self.rule.problems())
        self.provider = self.another()

    def another(self) -> OauthProvider:
        """A second daemon with the same rule."""
        sources = {key: self.source(place) for key, place in self.rule.places.items()}
        keys = KeyTools(self.files, self.signer, "/home/u", lambda: f"nonce-{len(self.signer.signed)}")
        secrets = OauthSecrets(self.rule, sources=sources, keys=keys, clock=self.clock)
        return OauthProvider(self.rule, secrets=secrets, http=self.http, clock=self.clock)

    def source(self, place: object) -> Source:
        """The source, as the daemon makes it."""
        if isinstance(place, EnvSource):
            return Env(place, self.environ, clock=self.clock)
        assert isinstance(place, FileSource)
        return File(place, self.files, clock=self.clock)

    async def plan(self, uri: str = URI) -> Plan:
        """The plan of a question that has an answer."""
        plan = await self.provider.plan(question(uri))
        assert plan is not None
        return plan

    async def grant(self) -> Grant:
        """Ask."""
        return await (await self.plan()).run(self.terms())

    async def failure(self) -> Failure:
        """Ask, and give the failure."""
        with pytest.raises(Failed) as caught:
            await self.grant()
        return caught.value.failure

    def terms(self) -> FixedTerms:
        """Terms that begin now."""
        now = self.clock.boot()
        return FixedTerms(deadline=now + 30, patience=now + 8.5)

    @property
    def stored(self) -> str:
        """The content of the file."""
        return self.files.content[PATH].decode()


def header(grant: Grant) -> dict[str, str]:
    """What Bazel gets."""
    return {name: values[0].reveal() for name, values in grant.headers}


REFRESH = {"grant": "refresh_token", "refresh_token": {"source": "file", "path": PATH}}
SECRET = {"client_secret": {"source": "env", "name": "S"}}


@pytest.fixture
def world() -> World:
    """With a refresh token."""
    return World(**REFRESH)


def of_client(**given: object) -> World:
    """With a secret of the client's, and a server that gives a token for it."""
    made = World(**(SECRET | given))
    made.http.script[URL] = [
        lambda _: made.server.answer({"access_token": "access", "expires_in": 300, "token_type": "Bearer"})
    ]
    return made


async def test_a_token_is_sent_as_bearer_or_as_the_rule_has_it() -> None:
    """Some caches want it in a special header."""
    assert header(await of_client().grant()) == {"Authorization": "Bearer access"}
    assert header(await of_client(header="x-token", prefix="").grant()) == {"x-token": "access"}


async def test_it_lives_as_long_as_its_server_says_and_no_longer_than_its_login() -> None:
    """Losing the login ends its tokens."""
    world = of_client()
    assert (await world.grant()).lifetime.until == world.clock.boot() + 300


async def test_all_uris_of_a_rule_and_all_rules_with_the_same_wish_are_one_question() -> None:
    """Ten thousand objects, one exchange; another scope or another header is another token."""
    world = of_client(scope=["read"])
    key = (await world.plan()).key
    assert (await world.plan("https://cache.test/y?z=1")).key == key
    assert (await of_client(match="other.test", scope=["read"]).plan("https://other.test/")).key == key
    for given in (
        {},
        {"scope": ["write"]},
        {"scope": ["read"], "audience": ["a"]},
        {"scope": ["read"], "header": "x-token"},
    ):
        assert (await of_client(**given).plan()).key != key


async def test_what_explain_tells(world: World) -> None:
    """The server, the request and the login; never a secret."""
    assert (await world.plan()).detail == {
        "provider": "oauth2",
        "server": URL,
        "client": "bazel",
        "grant": "refresh_token",
        "credential": f"file:{PATH}",
    }
    detail = (await of_client(scope=["a", "b"], resource=["https://cache.test/"]).plan()).detail
    assert (detail["scopes"], detail["resource"]) == ("a b", "https://cache.test/")


async def test_scopes_that_are_not_granted_are_noted() -> None:
    """The build then fails at the cache, and the log says why."""
    world = of_client(scope=["read", "write"])
    world.http.script[URL] = [world.server.answer({"access_token": "t", "scope": "read"})]
    grant = await world.grant()
    assert grant.less
    assert grant.note == "grants less than was asked for: not write"


async def test_a_secret_that_was_changed_meanwhile_is_taken() -> None:
    """A refused one is looked up again, and the refusal stands if it is unchanged."""
    world = World(client_secret={"source": "file", "path": "/s"})
    world.files.put("/s", "old")
    refused, good = world.server.answer({"error": "invalid_client"}, 401), world.server.answer({"access_token": "t"})

    def answer(_: Request) -> Response:
        world.files.put("/s", "new")
        return good if len(world.http.requests) > 1 else refused

    world.http.script[URL] = [answer]
    assert header(await world.grant()) == {"Authorization": "Bearer t"}
    world.http.script[URL] = [refused]
    before = len(world.http.requests)
    assert (await world.failure()).code is Code.BAD_CREDENTIALS
    assert len(world.http.requests) == before + 1


async def test_a_secret_that_is_not_stored_is_reported_with_where_it_goes() -> None:
    """No request is sent without it."""
    world = World(client_secret={"source": "file", "path": "/s"})
    with pytest.raises(Failed) as caught:
        await world.plan()
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert world.http.requests == []


async def test_the_issuers_document_is_cached_for_an_hour() -> None:
    """And longer if it is unavailable: an issuer does not move because it is down."""
    world = of_client(issuer=ISSUER, token_url=None)
    well_known = f"{ISSUER}/.well-known/oauth-authorization-server"
    document = {"issuer": ISSUER, "token_endpoint": URL}
    world.http.script[well_known] = [world.server.answer(document), failed(Code.UPSTREAM_UNAVAILABLE, "down")]
    for _ in range(2):
        await world.grant()
    assert [request.url for request in world.http.requests] == [well_known, URL, URL]
    world.clock.suspend(DOCUMENT_KEEP)
    await world.grant()
    assert [request.url for request in world.http.requests[3:]] == [well_known, URL]
    world.provider.forget(lambda _: True)
    world.http.script[well_known] = [world.server.answer(document | {"issuer": "https://evil.test"})]
    assert (await world.failure()).code is Code.REALM_REFUSED


async def test_a_rotated_token_is_stored_before_anything_is_made_of_the_answer(world: World) -> None:
    """The server no longer accepts the old one."""
    assert header(await world.grant()) == {"Authorization": "Bearer access-1"}
    assert world.stored == "refresh-1\n"
    assert header(await world.grant()) == {"Authorization": "Bearer access-2"}
    assert world.stored == "refresh-2\n"
    assert not world.server.revoked


async def test_a_rotated_token_is_the_same_login(world: World) -> None:
    """What was made of the login before stays good: a changed key would cause an exchange for each question."""
    key = (await world.plan()).key
    for _ in range(3):
        await world.grant()
        assert (await world.plan()).key == key


async def test_a_login_that_another_process_stores_is_a_new_one(world: World) -> None:
    """P-1: also in the middle of an exchange, whose answer is then not given to the new one."""
    plan = await world.plan()
    world.files.put(PATH, "refresh-0\n")
    assert (await world.plan()).key != plan.key
    await plan.run(world.terms())
    assert world.stored == "refresh-1\n"
    assert (await world.plan()).key != plan.key


async def test_a_token_that_is_not_rotated_is_left_alone(world: World) -> None:
    """The file is not written, and no doubt is left."""
    world.server.steady = True
    version = world.files.versions[PATH]
    for _ in range(2):
        await world.grant()
    assert world.files.versions[PATH] == version
    assert set(world.files.notes.values()) == {b""}


async def test_two_daemons_use_it_one_after_the_other(world: World) -> None:
    """A token that is spent twice costs the login."""
    other = world.another()
    plans = [await world.plan(), await other.plan(question(URI))]
    gate = world.http.hold[URL] = asyncio.Event()
    running = [asyncio.ensure_future(plan.run(world.terms())) for plan in plans if plan is not None]
    await world.clock.advance(1)
    assert len(world.http.requests) == 1
    gate.set()
    await world.clock.advance(1)
    given = [header(grant)["Authorization"] for grant in await asyncio.gather(*running)]
    assert sorted(given) == ["Bearer access-1", "Bearer access-2"]
    assert not world.server.revoked
    assert world.stored == "refresh-2\n"


async def test_waiting_for_another_process_lasts_no_longer_than_its_caller(world: World) -> None:
    """And the error says what it waited for."""
    world.files.held.add(LOCK)
    running = asyncio.ensure_future(world.failure())
    await world.clock.advance(8)
    assert not running.done()
    await world.clock.advance(1)
    failure = await running
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert filled(failure.hint, "if this goes on, see which one: fuser -v {}") == (LOCK,)
    assert world.http.requests == []


@pytest.mark.parametrize("where", [LOCK, NEW])
async def test_nothing_is_sent_where_nothing_could_be_stored(world: World, where: str) -> None:
    """Otherwise the token would be spent, and the next one lost."""
    world.files.broken[where] = failed(Code.CREDENTIAL_UNREADABLE, "no space")
    assert (await world.failure()).code is Code.CREDENTIAL_UNREADABLE
    assert world.http.requests == []
    del world.files.broken[where]
    await world.grant()


def lost(world: World) -> None:
    """The server answers, and the answer does not arrive."""

    def step(request: Request) -> Response:
        world.server(request)
        raise failed(Code.UPSTREAM_UNAVAILABLE, "token server 'id.test' broke off")

    world.http.script[URL] = [step]


async def test_a_lost_answer_is_reported_as_in_doubt(world: World) -> None:
    """U14: it is not sent again within the flight, and the failure names the next step."""
    lost(world)
    failure = await world.failure()
    assert len(world.http.requests) == 1
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert failure.hint == (
        "run the build again; the refresh token may have been spent: if this goes on, credproxy login cache.test"
    )


async def test_a_doubtful_token_is_tried_again_if_there_is_no_other(world: World) -> None:
    """By another process as well; if the server has not seen it, it is still valid."""
    world.http.script[URL] = [failed(Code.UPSTREAM_UNAVAILABLE, "it broke off")]
    await world.failure()
    world.http.script[URL] = [world.server]
    world.provider = world.another()
    assert header(await world.grant()) == {"Authorization": "Bearer access-1"}


async def test_a_token_that_was_spent_in_doubt_says_so(world: World) -> None:
    """Otherwise the user would look for who revoked it."""
    lost(world)
    await world.failure()
    world.http.script[URL] = [world.server]
    world.provider = world.another()
    failure = await world.failure()
    assert failure.code is Code.BAD_CREDENTIALS
    assert "the answer to its renewal was lost before" in failure.message
    assert failure.hint == "credproxy login cache.test"
    world.files.put(PATH, "refresh-9\n")
    world.server = Rotating(world.clock, current="refresh-9")
    world.http.script[URL] = [world.server]
    assert header(await world.grant()) == {"Authorization": "Bearer access-1"}


async def test_a_token_that_has_ended_names_the_next_command(world: World) -> None:
    """And is not doubtful."""
    world.server.current = "another"
    for _ in range(2):
        failure = await world.failure()
        assert failure.code is Code.BAD_CREDENTIALS
        assert failure.message == (
            f"token server 'id.test' does not take the refresh token from file:{PATH}: "
            "it has ended, was revoked or is for another client"
        )
        assert failure.hint == "credproxy login cache.test"


async def test_a_request_that_never_left_spends_nothing(world: World) -> None:
    """No doubt is left behind."""
    unsent = Failure(Code.UPSTREAM_UNAVAILABLE, "cannot be reached", "check the network", unsent=True)
    world.http.script[URL] = [Failed(unsent)]
    assert (await world.failure()) == unsent
    assert world.files.notes[LOCK] == b""


async def test_a_cancelled_exchange_leaves_the_doubt_and_releases_the_lock(world: World) -> None:
    """A flight that took too long: its answer may still have come."""
    world.http.hold[URL] = asyncio.Event()
    running = asyncio.ensure_future(world.grant())
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.files.held == set()
    assert world.files.notes[LOCK] != b""
    assert b"refresh" not in world.files.notes[LOCK]


async def test_no_secret_is_shown(world: World) -> None:
    """SEC-11: of a login, a plan, a grant or a failure."""
    seen = [repr(world.provider), repr(await world.plan()), repr(await world.grant())]
    lost(world)
    seen.append(repr(await world.failure()))
    assert not [text for text in seen for secret in ("refresh-", "access-", "secret-1") if secret in text]


async def test_a_signed_url_gets_nothing_and_explain_says_why(world: World) -> None:
    """A second credential makes most stores answer 400."""
    asked = question("https://cache.test/x?sig=s&se=e")
    assert await world.provider.plan(asked) is None
    assert len(world.provider.reasons(asked)) == 1
    assert world.provider.reasons(question(URI)) == ()


async def test_check_looks_at_what_is_stored(world: World) -> None:
    """For ``explain``, without a request."""
    await world.provider.check(await world.plan(), question(URI).target)
    assert world.provider.trouble(question(URI).target) is None
    world.files.put(PATH, "")
    with pytest.raises(Failed):
        await world.provider.check(await world.plan(), question(URI).target)


KEY = "/home/u/key.pem"
SIGNED = {"key_file": KEY, "key_id": "k1", "issuer": ISSUER}


def of_key(**given: object) -> World:
    """With a key, and a server that gives a token for a signed assertion."""
    made = World(**(SIGNED | given))
    made.files.put(KEY, "-----BEGIN PRIVATE KEY-----")
    made.http.script[URL] = [lambda _: made.server.answer({"access_token": "access", "expires_in": 300})]
    return made


@pytest.mark.parametrize(
    ("given", "subject", "audience"),
    [
        ({}, "bazel", ISSUER),
        ({"issuer": None}, "bazel", URL),
        ({"assertion_audience": "urn:server"}, "bazel", "urn:server"),
        ({"grant": "jwt_bearer"}, "bazel", URL),
        ({"grant": "jwt_bearer", "subject": "me"}, "me", URL),
        ({"grant": "jwt_bearer", "subject": "me", "assertion_audience": "urn:server"}, "me", "urn:server"),
    ],
    ids=str,
)
async def test_what_is_signed_and_for_whom(given: dict[str, object], subject: str, audience: str) -> None:
    """RFC 7523: the client itself, or the user that a token is wanted for; servers expect different audiences."""
    world = of_key(**given)
    assert header(await world.grant()) == {"Authorization": "Bearer access"}
    (said,) = world.signer.signed
    assert (said["iss"], said["sub"], said["aud"]) == ("bazel", subject, audience)
    posted = form(world.http.requests[0])
    name = "assertion" if "grant" in given else "client_assertion"
    assert posted[name] == "signed bazel"


async def test_an_assertion_whose_answer_was_lost_is_replaced_by_another_one() -> None:
    """A server that has seen its nonce would take it for a replay."""
    world = of_key()
    world.http.script[URL].insert(0, failed(Code.UPSTREAM_UNAVAILABLE, "it broke off"))
    await world.grant()
    assert [said["jti"] for said in world.signer.signed] == ["nonce-0", "nonce-1"]


@pytest.mark.parametrize("patience", [1.5, 8.5])
async def test_a_server_that_is_down_is_asked_twice_at_most(patience: float) -> None:
    """And once if no caller would wait for the second answer."""
    world = of_key()
    world.http.script[URL] = [failed(Code.UPSTREAM_UNAVAILABLE, "it is down")]
    now = world.clock.boot()
    with pytest.raises(Failed):
        await (await world.plan()).run(FixedTerms(deadline=now + 30, patience=now + patience))
    assert len(world.signer.signed) == (2 if patience > 2 else 1)


async def test_a_refusal_of_what_was_signed_is_not_repeated() -> None:
    """It would be refused again."""
    world = of_key()
    world.http.script[URL] = [world.server.answer({"error": "invalid_client"}, 401)]
    failure = await world.failure()
    assert (failure.code, len(world.signer.signed)) == (Code.BAD_CREDENTIALS, 1)
    assert f"signed with file:{KEY}" in failure.message


async def test_another_key_is_another_login() -> None:
    """P-1: tokens from the old one are not given for it."""
    world = of_key()
    before = await world.plan()
    world.files.put(KEY, "-----BEGIN PRIVATE KEY-----")
    after = await world.plan()
    assert (before.key != after.key, before.identity != after.identity) == (True, True)


@pytest.mark.parametrize("content", [None, "canary, not a key"])
async def test_a_key_that_is_missing_or_none_is_reported_with_what_to_write(content: str | None) -> None:
    """And never with what is in the file."""
    world = of_key()
    world.files.remove(KEY)
    if content is not None:
        world.files.put(KEY, content)
    failure = await world.failure()
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert filled(failure.hint, "write a private key for {}, in PEM form, to {}, mode 0600") == ("RS256", KEY)
    assert "canary" not in failure.message
    assert world.http.requests == []


async def test_a_key_that_others_could_have_written_is_not_used() -> None:
    """They would choose our identity."""
    world = of_key()
    world.files.exposed[KEY] = (Exposure("is writable by others", f"chmod 600 {KEY}"),)
    assert (await world.failure()).hint == f"chmod 600 {KEY}"


async def test_a_token_of_another_issuer_is_exchanged() -> None:
    """RFC 8693: from any source, such as the identity of a job."""
    given = {
        "grant": "token_exchange",
        "subject_token": {"source": "env", "name": "S"},
        "requested_token_type": "urn:w",
    }
    world = World(**given, audience=["a"])
    world.http.script[URL] = [world.server.answer({"access_token": "t", "token_type": "N_A"})]
    assert header(await world.grant()) == {"Authorization": "Bearer t"}
    posted = form(world.http.requests[0])
    assert (posted["subject_token"], posted["audience"], posted["requested_token_type"]) == ("secret-1", "a", "urn:w")
    world.http.script[URL] = [world.server.answer({"error": "invalid_grant"}, 400)]
    failure = await world.failure()
    assert "the subject token from env:S" in failure.message
    assert "subject_token = { source = ... }" in failure.hint


async def test_a_ready_assertion_is_sent_as_it_is() -> None:
    """RFC 7523, from any source; it has its own expiry, and tokens from it end with it."""
    world = World(grant="jwt_bearer", assertion={"source": "env", "name": "S"})
    world.environ["S"] = jwt(world.clock.wall() + 100)
    world.http.script[URL] = [world.server.answer({"access_token": "t", "expires_in": 300})]
    assert (await world.grant()).lifetime.until == world.clock.boot() + 100
    assert form(world.http.requests[0])["assertion"] == world.environ["S"]


async def test_what_a_login_is_begun_with() -> None:
    """The issuer's complete document, although the rule names the token endpoint; nothing has to be stored yet."""
    world = World(**REFRESH, **SECRET, issuer=ISSUER)
    world.files.remove(PATH)
    document = {
        "issuer": ISSUER,
        "token_endpoint": f"{ISSUER}/other",
        "device_authorization_endpoint": f"{ISSUER}/device",
    }
    world.http.script[f"{ISSUER}/.well-known"] = [world.server.answer(document)]
    means = await world.provider.begin(question(URI).target, world.terms())
    assert (means.server.token_url, means.server.device_url) == (URL, f"{ISSUER}/device")
    assert (means.client.id, means.client.secret) == ("bazel", Secret("secret-1"))


NARROW = {"resource": ["https://cache.test/", "https://cache.test/team"], "narrow": True, "scope": ["read"]}
ALL = Object("https://cache.test/team/**", ("GET", "HEAD"))
ONE = Object("https://cache.test/team/x", ("GET",))


def of_action(*granted: Granted) -> Question:
    """A build action's question that rules allow."""
    return Question(parse_uri("https://cache.test/team/x"), Caller("actions"), granted)


@pytest.mark.parametrize("said", [None, "https://cache.test/team", ["https://cache.test/team"]], ids=str)
async def test_a_build_action_gets_a_token_for_one_resource_alone(said: object) -> None:
    """If the rule says that the issuer supports it, and other rules allow all of it; the user gets the wider one."""
    world = of_client(**NARROW)
    token = "t" if said is None else jwt(T0 + 900, aud=said)
    world.http.script[URL] = [world.server.answer({"access_token": token})]
    plan = await world.provider.plan(of_action(ONE, ALL))
    assert plan is not None
    assert plan.narrow
    assert header(await plan.run(world.terms())) == {"Authorization": f"Bearer {token}"}
    assert form(world.http.requests[0])["resource"] == "https://cache.test/team"
    person = await world.plan()
    assert (person.narrow, person.key != plan.key) == (False, True)


@pytest.mark.parametrize(
    "said", ["https://cache.test/", ["https://cache.test/team", "https://b.test/"], "urn:all"], ids=str
)
async def test_a_token_that_is_for_more_is_kept_from_a_build_action(said: object) -> None:
    """An issuer that ignores ``resource`` grants everything."""
    world = of_client(**NARROW)
    world.http.script[URL] = [world.server.answer({"access_token": jwt(T0 + 900, aud=said)})]
    plan = await world.provider.plan(of_action(ONE, ALL))
    assert plan is not None
    with pytest.raises(Failed) as caught:
        await plan.run(world.terms())
    assert caught.value.failure.code is Code.USE_GATEWAY


async def test_a_build_action_that_may_not_have_all_of_it_is_told_which_rule_would() -> None:
    """The gateway still carries the single object."""
    world = of_client(**NARROW)
    with pytest.raises(Failed) as caught:
        await world.provider.plan(of_action(ONE))
    assert caught.value.failure.code is Code.USE_GATEWAY
    assert "credproxy actions allow 'https://cache.test/team/**'" in caught.value.failure.hint
    carried = await world.provider.plan(replace(of_action(ONE), for_gateway=True))
    assert carried is not None
    assert not carried.narrow


def serve(*steps: Response | Failed) -> Setting:
    """Let the token server answer like this."""

    def apply(ground: Ground) -> None:
        ground.http.script[URL] = list(steps)

    return apply


def response(body: object, status: int = 200) -> Response:
    """One of its answers."""
    return Response(status, (), json.dumps(body).encode(), 1000.0, T0)


def _faults() -> Iterator[Setting]:
    for status, error in ((401, "invalid_client"), (400, "invalid_scope"), (400, ISSUED), (302, ""), (200, ISSUED)):
        yield serve(response({"error": error, "error_description": ISSUED, "token": ""}, status))
    yield serve(failed(Code.UPSTREAM_UNAVAILABLE, "down"))


REVOKE = "https://id.test/revoke"


def revoking(world: World, **document: str) -> World:
    """A world whose issuer says where tokens are revoked."""
    found = {"issuer": ISSUER, "token_endpoint": URL, "revocation_endpoint": REVOKE} | document
    world.http.script[f"{ISSUER}/.well-known/"] = [lambda _: world.server.answer(found)]
    world.http.script[REVOKE] = [lambda _: world.server.answer({})]
    return world


async def test_a_login_that_ends_is_revoked_with_the_token_that_is_stored_now() -> None:
    """Renewed or not; what is stored is left to who deletes it, and the issuer's document is asked for though the rule names all."""
    urls = {"device_url": "https://id.test/d", "authorize_url": "https://id.test/a"}
    world = revoking(World(**REFRESH, issuer=ISSUER, **urls))
    await world.grant()
    assert world.stored == "refresh-1\n"
    assert await world.provider.revoke(question(URI).target, world.terms()) == "token server 'id.test'"
    (request,) = [request for request in world.http.requests if request.url == REVOKE]
    assert form(request)["token"] == "refresh-1"
    assert world.stored == "refresh-1\n"
    assert not world.files.content.get(LOCK), "nothing says that the token may be spent"


async def test_nothing_is_asked_where_nothing_is_stored() -> None:
    """Not even the issuer; nor is a server, where the login goes in that moment."""
    world = revoking(World(**REFRESH, issuer=ISSUER))
    world.http.script[f"{ISSUER}/.well-known/"] = [lambda _: _gone(world)]
    assert await world.provider.revoke(question(URI).target, world.terms()) == ""
    assert [request.url for request in world.http.requests if "well-known" not in request.url] == []
    world.http.requests.clear()
    with pytest.raises(Failed, match="is not there"):
        await world.provider.revoke(question(URI).target, world.terms())
    assert world.http.requests == []


def _gone(world: World) -> Response:
    """The issuer's document, while somebody logs out."""
    world.files.remove(PATH)
    return world.server.answer({"issuer": ISSUER, "token_endpoint": URL, "revocation_endpoint": REVOKE})


@pytest.mark.parametrize("issuer", [ISSUER, None])
async def test_a_server_that_does_not_say_where_tokens_are_revoked_is_told(issuer: str | None) -> None:
    """Or says that it is elsewhere, where no token goes."""
    world = revoking(World(**REFRESH, issuer=issuer), revocation_endpoint="https://evil.test/")
    with pytest.raises(Failed) as caught:
        await world.provider.revoke(question(URI).target, world.terms())
    failure = caught.value.failure
    assert failure.code is Code.NO_CHALLENGE
    assert failure.message == "token server 'id.test' does not say where that is done"
    assert filled(failure.hint, "see whether its document has a revocation_endpoint") == ()
    assert [request.url for request in world.http.requests if "well-known" not in request.url] == []


CONTRACTS = {
    "oauth2": ProviderContract(
        OauthHost(match=HOST, client_id="c", token_url=URL, client_secret=EnvSource("S")),
        alike=f"https://{HOST}/other",
        stored=PlainSecret(Secret("canary-stored")),
        granted=serve(response({"access_token": ISSUED, "expires_in": 300})),
        faults=tuple(_faults()),
    )
}
