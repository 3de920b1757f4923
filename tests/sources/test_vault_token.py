"""The token for Vault: the user's own, where its programs store it, or one that is obtained by a login and kept."""

import asyncio
import base64
import json

import pytest

from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, failed
from tests.fakes import T0, settle
from tests.hints import filled
from tests.sources.vault_world import ADDRESS, JWT_AUTH, TARGET, TOKEN_FILE, World, failure_of, identity_of, text


def logins(world: World) -> int:
    """The number of logins."""
    return len(world.server.proofs)


@pytest.mark.parametrize(
    ("environ", "stored", "wanted"),
    [
        ({"BAO_TOKEN": "bao", "VAULT_TOKEN": "vault"}, "file", "bao"),
        ({"VAULT_TOKEN": "vault"}, "file", "vault"),
        ({"VAULT_TOKEN": ""}, "file\n", "file"),
    ],
)
async def test_the_users_token_is_found_as_vault_and_bao_find_it(
    environ: dict[str, str], stored: str, wanted: str
) -> None:
    """The variables first, and OpenBao's before Vault's."""
    world = World(environ)
    world.files.put(TOKEN_FILE, stored)
    world.server.tokens = {wanted: float("inf")}
    assert await text(world.source()) == "kv-1"


async def test_without_a_token_it_says_where_it_looked() -> None:
    """Each place, with its result; and a login is seen within a second."""
    world = World({"VAULT_TOKEN": ""})
    source = world.source()
    assert await identity_of(source) is None
    said = "neither BAO_TOKEN nor VAULT_TOKEN is set in the daemon's environment"
    assert source.looked(TARGET) == (said, f"the file {TOKEN_FILE!r} is not there")
    world.files.put(TOKEN_FILE, "\n")
    world.clock.suspend(2)
    assert await identity_of(source) is None
    assert source.looked(TARGET) == (said, f"the file {TOKEN_FILE!r} is empty")
    world.files.put(TOKEN_FILE, "own")
    world.clock.suspend(2)
    assert await text(source) == "kv-1"
    homeless = World({"VAULT_TOKEN": "", "HOME": ""}).source()
    assert await identity_of(homeless) is None
    assert "HOME is not set" in homeless.looked(TARGET)[1]


async def test_a_token_file_that_cannot_be_read_is_trouble() -> None:
    """The token may be another one than that of the next place."""
    world = World({"VAULT_TOKEN": ""})
    world.files.broken[TOKEN_FILE] = failed(Code.CREDENTIAL_UNREADABLE, "the file cannot be read", hint="chmod")
    source = world.source()
    assert await identity_of(source) is None
    trouble = source.trouble(TARGET)
    assert trouble is not None
    assert trouble.message == "the file cannot be read"


async def test_another_login_of_the_users_is_another_identity_and_another_read() -> None:
    """What the old user could read is not given to the new one."""
    world = World({"VAULT_TOKEN": ""})
    world.files.put(TOKEN_FILE, "own")
    world.server.dynamic["secret/data/ci"] = 20.0
    source = world.source()
    before, first = await identity_of(source), await text(source)
    world.files.put(TOKEN_FILE, "theirs")
    world.server.tokens = {"theirs": float("inf")}
    world.clock.suspend(2)
    assert await identity_of(source) != before
    assert await text(source) != first
    assert "sys/leases/renew" not in world.server.asked


async def test_a_token_may_lie_elsewhere() -> None:
    """In a file that an agent of Vault's keeps up."""
    world = World({"VAULT_TOKEN": ""})
    source = world.source(auth={"method": "token", "token": {"source": "file", "path": "/run/agent/token"}})
    world.files.put("/run/agent/token", "own\n")
    before = await identity_of(source)
    assert await text(source) == "kv-1"
    world.files.put("/run/agent/token", "own")
    assert await identity_of(source) != before
    assert logins(world) == 0


@pytest.mark.parametrize(
    ("auth", "path", "sent"),
    [
        (JWT_AUTH, "auth/jwt/login", {"role": "ci", "jwt": "canary-jwt"}),
        ({**JWT_AUTH, "mount": "gitlab/jwt"}, "auth/gitlab/jwt/login", {"role": "ci", "jwt": "canary-jwt"}),
        (
            {"method": "approle", "role_id": "r", "secret_id": {"source": "env", "name": "JWT"}},
            "auth/approle/login",
            {"role_id": "r", "secret_id": "canary-jwt"},
        ),
        (
            {"method": "kubernetes", "role": "ci"},
            "auth/kubernetes/login",
            {"role": "ci", "jwt": "canary-of-the-pod"},
        ),
    ],
)
async def test_each_way_to_log_in_sends_what_it_needs(auth: dict[str, object], path: str, sent: dict[str, str]) -> None:
    """Kubernetes' token is where the pod has it."""
    world = World()
    world.files.put("/var/run/secrets/kubernetes.io/serviceaccount/token", "canary-of-the-pod")
    assert await text(world.source(auth=auth)) == "kv-1"
    assert world.server.asked == [path, "secret/data/ci"]
    assert world.server.proofs == [sent]


async def test_one_login_serves_all_secrets_of_a_server_at_once() -> None:
    """A build asks for forty of them at the same moment."""
    world = World()
    world.server.kv |= {f"secret/data/{number}": {"password": f"p{number}"} for number in range(40)}
    sources = [world.source(path=f"secret/data/{number}", auth=JWT_AUTH) for number in range(40)]
    assert await asyncio.gather(*(text(source) for source in sources)) == [f"p{number}" for number in range(40)]
    assert logins(world) == 1


async def test_another_role_or_namespace_is_another_login() -> None:
    """Two logins at one server are kept separate."""
    world = World()
    for options in ({}, {"namespace": "team"}):
        await text(world.source(auth=JWT_AUTH, **options))
        await text(world.source(auth={**JWT_AUTH, "role": "other"}, **options))
    assert logins(world) == 4


async def test_a_reload_keeps_the_token() -> None:
    """A job's JWT may be over by then: GitLab makes one for a job, and Vault's token is renewed."""
    world = World()
    await text(world.source(auth=JWT_AUTH))
    await text(world.source(auth=JWT_AUTH))
    assert logins(world) == 1
    source = world.source(auth=JWT_AUTH)
    source.forget()
    await text(source)
    assert logins(world) == 2


async def test_a_token_and_a_lease_that_a_flush_overtook_are_not_kept() -> None:
    """The next question gets what a new login may have, and not the lease of the old one, renewed."""
    world = World()
    world.server.dynamic["db/creds/ro"] = 30.0
    source = world.source(auth=JWT_AUTH, path="db/creds/ro", field="password")
    served = world.server.handle

    for overtaken in ("auth/jwt/login", "db/creds/ro"):

        def handle(request: Request, overtaken: str = overtaken) -> Response:
            found = served(request)
            if world.server.asked[-1] == overtaken:
                world.http.script[ADDRESS] = [served]
                source.forget()
            return found

        source.forget()
        world.http.script[ADDRESS] = [handle]
        before, count = await text(source), logins(world)
        assert await text(source) != before
        assert logins(world) == count + 1


async def test_a_token_is_renewed_at_two_thirds_of_its_life_and_replaced_near_its_last_end() -> None:
    """Of 30 s, with 120 s at most: it is never used after its end, and no request is refused."""
    world = World()
    source = world.source(auth=JWT_AUTH)
    await text(source)
    for _ in range(60):
        world.clock.suspend(5)
        source._answer.forget()  # so that each question asks Vault; else the secret is looked up twice in all
        assert await text(source) == "kv-1"
    assert "auth/token/lookup-self" not in world.server.asked
    renewals = world.server.asked.count("auth/token/renew-self")
    assert (logins(world), renewals) == (3, 15)


async def test_a_failed_renewal_does_not_discard_a_valid_token() -> None:
    """It is tried again ten seconds later; if the token has expired as well, the failure is reported."""
    world = World()
    source = world.source(auth=JWT_AUTH)
    await text(source)
    world.server.answers["auth/token/renew-self"] = failed(Code.UPSTREAM_UNAVAILABLE, "no")
    world.clock.suspend(21)
    source._answer.forget()
    assert await text(source) == "kv-1"
    asked = len(world.server.asked)
    source._answer.forget()
    assert await text(source) == "kv-1"
    assert len(world.server.asked) == asked + 1
    world.server.answers["auth/jwt/login"] = failed(Code.UPSTREAM_UNAVAILABLE, "down")
    world.clock.suspend(15)
    source._answer.forget()
    assert (await failure_of(source)).message == "down"


async def test_a_token_that_was_revoked_is_replaced_once_in_ten_seconds() -> None:
    """An administrator may have revoked the role's tokens; a rule that is refused anyway must not log in for each question."""
    world = World()
    source = world.source(auth=JWT_AUTH)
    await text(source)
    world.server.tokens.clear()
    source._answer.forget()
    assert await text(source) == "kv-1"
    assert logins(world) == 2
    world.server.tokens.clear()
    source._answer.forget()
    assert (await failure_of(source)).code is Code.BAD_CREDENTIALS
    assert logins(world) == 2
    world.clock.suspend(10)
    assert await text(source) == "kv-1"


async def test_a_users_token_that_is_over_says_how_to_log_in() -> None:
    """Only the user can renew that token."""
    world = World({"VAULT_TOKEN": ""})
    world.files.put(TOKEN_FILE, "old")
    source = world.source()
    failure = await failure_of(source)
    assert failure.code is Code.BAD_CREDENTIALS
    filled(failure.hint, "log in again: vault login, or bao login")
    world.files.put(TOKEN_FILE, "own")
    world.clock.suspend(2)
    assert await text(source) == "kv-1"


async def test_a_login_that_waits_for_a_second_factor_wants_another_method() -> None:
    """There is no user to provide one."""
    world = World()
    waits = {"auth": {"client_token": "", "mfa_requirement": {"mfa_request_id": "x"}}}
    world.server.answers["auth/jwt/login"] = world.server._say(200, waits)
    failure = await failure_of(world.source(auth=JWT_AUTH))
    filled(failure.hint, "a login with a second factor needs somebody who is there: use another method")
    proof = {"source": "env", "name": "JWT"}
    assert await text(world.source(auth={"method": "approle", "role_id": "r", "secret_id": proof})) == "kv-1"


async def test_a_login_without_its_proof_says_where_that_is_not() -> None:
    """Outside of a job there is no identity token."""
    world = World()
    source = world.source(auth={**JWT_AUTH, "jwt": {"source": "ci-oidc", "audience": "vault"}})
    assert await identity_of(source) is None
    assert "the daemon does not run in a CI job" in source.looked(TARGET)[0]


async def test_a_proof_that_goes_away_is_an_error_of_the_login() -> None:
    """It was there when the secret was named."""
    world = World()
    path = "/run/secrets/jwt"
    source = world.source(auth={**JWT_AUTH, "jwt": {"source": "ci-oidc", "audience": "vault", "path": path}})
    world.files.put(path, token())
    identity = await identity_of(source)
    assert identity is not None
    world.files.remove(path)
    failure = await failure_of(source, identity)
    assert "what the login to Vault 'vault.test:8200' begins with is not there" in failure.message
    filled(failure.hint, "store it there, or name another place in auth")
    world.files.put(path, token())
    assert await text(source) == "kv-1"


def token() -> str:
    """A job's JWT."""
    body = base64.urlsafe_b64encode(json.dumps({"aud": "vault", "exp": T0 + 300}).encode()).decode().rstrip("=")
    return f"e30.{body}.s"


FILE_AUTH = {"method": "jwt", "role": "ci", "jwt": {"source": "file", "path": "/run/jwt"}}


def signed(sub: str, serial: str) -> str:
    """A token of an issuer's."""
    said = json.dumps({"iss": "https://ci.test", "sub": sub, "jti": serial}).encode()
    return f"h.{base64.urlsafe_b64encode(said).decode().rstrip('=')}.{serial}"


@pytest.mark.parametrize(
    ("first", "second", "another"),
    [
        (signed("job-1", "a"), signed("job-1", "b"), False),
        (signed("job-1", "a"), signed("job-2", "b"), True),
        ("no-jwt", "no-jwt-either", True),
        ("h.e30.a", "h.e30.b", True),
    ],
    ids=["the-same-subject", "another-subject", "not-a-jwt", "no-subject"],
)
async def test_a_proof_of_somebody_else_is_another_login(first: str, second: str, *, another: bool) -> None:
    """A runner has the same path for the next job, which is not given what the one before could read."""
    world = World({"VAULT_TOKEN": ""})
    world.server.dynamic["secret/data/ci"] = 20.0
    source = world.source(auth=FILE_AUTH)
    world.files.put("/run/jwt", first)
    before, made = await identity_of(source), await text(source)
    world.files.put("/run/jwt", second)
    world.clock.suspend(1)
    assert (await identity_of(source) != before) is another
    assert (await text(source) != made) is another
    assert logins(world) == 1 + another


async def test_a_login_that_is_under_way_for_somebody_else_is_not_kept() -> None:
    """Its token arrives after the proof has become another one's."""
    world = World({"VAULT_TOKEN": ""})
    source = world.source(auth=FILE_AUTH)
    world.files.put("/run/jwt", signed("job-1", "a"))
    await identity_of(source)
    gate = world.http.hold[ADDRESS] = asyncio.Event()
    old = asyncio.ensure_future(text(source))
    await settle()
    world.files.put("/run/jwt", signed("job-2", "b"))
    new = asyncio.ensure_future(text(source))
    await settle()
    gate.set()
    await asyncio.gather(old, new)
    assert logins(world) == 2
    assert world.server.proofs[-1] == {"role": "ci", "jwt": signed("job-2", "b")}
