"""Vault's source against OpenBao itself: its secrets, its errors, and their remedies; and the whole way from a CI job to a secret."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.http_client import AiohttpClient
from credproxy.core.ask.credential import Stored, UserPassword, secret_of
from credproxy.core.ask.login import Login
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.sources.vault import VaultSource
from credproxy.sources import make
from tests.contract import Ground
from tests.e2e.stage import Stage, stage
from tests.hints import filled
from tests.real.bao import ROOT, Bao
from tests.real.ci import BEARER, Ci
from tests.real.clients import find


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

TARGET = parse_uri("https://files.test/x")
POLICY = 'path "secret/data/ci/*" { capabilities = ["read"] } path "leased/*" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def ci() -> Iterator[Ci]:
    """A CI with one job."""
    with Ci() as running:
        yield running


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory, ci: Ci) -> Iterator[Bao]:
    """One server for all tests of this file, with secrets of every engine and every way to log in."""
    with Bao(find("bao"), tmp_path_factory.mktemp("vault") / "bao") as running:
        running.write("secret/data/ci/registry", data={"username": "robot", "password": "canary-kv2"})
        running.write("sys/mounts/old", type="kv", options={"version": "1"})
        running.write("old/registry", token="canary-kv1", ttl="40s")
        leased = {"version": "1", "leased_passthrough": "true"}
        running.write("sys/mounts/leased", type="kv", options=leased, config={"default_lease_ttl": "3s"})
        running.write("leased/registry", password="canary-leased", ttl="3s")
        running.write("sys/policies/acl/ci", policy=POLICY)
        running.write("sys/auth/approle", type="approle")
        running.write("auth/approle/role/ci", token_policies=["ci"], token_ttl="30s")
        running.write("sys/auth/jwt", type="jwt")
        running.write("auth/jwt/config", jwks_url=f"{ci.url}/jwks")
        running.write(
            "auth/jwt/role/ci",
            role_type="jwt",
            user_claim="sub",
            bound_audiences=["vault"],
            bound_subject="repo:o/r:ref:refs/heads/main",
            token_policies=["ci"],
            token_ttl="4s",
            token_max_ttl="7s",
        )
        yield running


class Asker:
    """A daemon's sources, made again for each question."""

    def __init__(self, bao: Bao, environ: Mapping[str, str] | None = None) -> None:
        self.environ = {**bao.environ, "HOME": "/nonexistent", "BAO_TOKEN": ROOT, **(environ or {})}

    async def login(self, path: str, **options: object) -> Login:
        """What is read."""
        settings = msgspec.convert({"source": "vault", "path": path, **options}, VaultSource)
        assert not list(settings.problems())
        clock, files = SystemClock(), SystemFiles()
        try:
            async with AiohttpClient(clock) as http:
                tools = replace(Ground().source_tools(), environ=self.environ, clock=clock, files=files, http=http)
                source = make(settings, tools)
                identity = await source.locate(TARGET, None)
                assert identity is not None, source.looked(TARGET)
                login = await source.read(identity, TARGET)
                assert login is not None
                return login
        finally:
            files.close()

    async def stored(self, path: str, **options: object) -> Stored:
        """The secret."""
        return (await self.login(path, **options)).stored

    async def failure(self, path: str, **options: object) -> Failure:
        """Why there is none; nothing of a secret is in it."""
        with pytest.raises(Failed) as caught:
            await self.login(path, **options)
        failure = caught.value.failure
        assert "canary" not in failure.message + failure.hint
        return failure


def by_jwt(folder: Path, token: str, role: str = "ci", mount: str = "jwt") -> dict[str, object]:
    """A login with a token of a job, which lies in a file."""
    path = folder / "jwt"
    path.write_text(token)
    path.chmod(0o600)
    return {"method": "jwt", "role": role, "mount": mount, "jwt": {"source": "file", "path": str(path)}}


async def test_secrets_of_both_versions_and_leased_ones_are_read(bao: Bao) -> None:
    """Over TLS that only the server's own authority vouches for."""
    asker = Asker(bao)
    found = await asker.stored("secret/data/ci/registry")
    assert isinstance(found, UserPassword)
    assert (found.username, found.password.reveal()) == ("robot", "canary-kv2")
    stored = await asker.login("old/registry", field="token")
    assert (secret_of(stored.stored).reveal(), stored.keep) == ("canary-kv1", 40.0)
    leased = await asker.login("leased/registry")
    assert leased.until is not None
    assert 1 < leased.until - SystemClock().boot() <= 3


async def test_a_dynamic_secret_ends_with_the_users_token(bao: Bao) -> None:
    """The token's end revokes it."""
    bao.write("leased/long", password="p", ttl="60s")
    token = bao.token("ci", ttl="20s")
    login = await Asker(bao, {"BAO_TOKEN": token}).login("leased/long")
    assert login.until is not None
    assert login.until - SystemClock().boot() <= 20


async def test_a_path_of_the_wrong_version_is_reported_with_the_right_one(bao: Bao) -> None:
    """In both directions; the hint's path is read."""
    asker = Asker(bao)
    for wrong, field in (("secret/ci/registry", "password"), ("old/data/registry", "token")):
        failure = await asker.failure(wrong)
        (right,) = filled(failure.hint, 'the path of the same secret is: path = "{}"')
        await asker.stored(right, field=field)


async def test_a_policy_that_does_not_let_read_is_reported_with_the_line_that_does(bao: Bao) -> None:
    """The line is written into the policy, and the same token reads."""
    bao.write("secret/data/other", data={"a": "b"})
    bao.write("sys/policies/acl/narrow", policy=POLICY)
    asker = Asker(bao, {"BAO_TOKEN": bao.token("narrow")})
    failure = await asker.failure("secret/data/other")
    assert failure.code is Code.DENIED
    assert "'default', 'narrow'" in failure.message
    filled(failure.hint, 'one of them has to have: path "{}" { capabilities = ["read"] }')
    bao.write("sys/policies/acl/narrow", policy=failure.hint.removeprefix("one of them has to have: "))
    assert secret_of(await asker.stored("secret/data/other")).reveal() == "b"


async def test_a_token_that_is_over_is_reported_and_a_login_by_the_program_is_seen(bao: Bao, tmp_path: Path) -> None:
    """``bao login`` writes the file in which the daemon looks."""
    (tmp_path / ".vault-token").write_text("s.over")
    asker = Asker(bao, {"BAO_TOKEN": "", "HOME": str(tmp_path)})
    failure = await asker.failure("secret/data/ci/registry")
    filled(failure.hint, "log in again: vault login, or bao login")
    bao.run("login", "-no-print", bao.token("ci"), HOME=str(tmp_path), BAO_TOKEN="")
    await asker.stored("secret/data/ci/registry")


async def test_a_place_without_a_secret_says_how_one_gets_there(bao: Bao) -> None:
    """Where there is none yet, and where its version was deleted."""
    asker = Asker(bao)
    bao.write("secret/data/gone", data={"a": "b"})
    bao.api("DELETE", "secret/data/gone")
    assert "its version was deleted" in (await asker.failure("secret/data/gone")).message
    failure = await asker.failure("secret/data/fresh")
    filled(failure.hint, "store it with vault kv put, or bao kv put, or correct path in the rule")
    bao.run("kv", "put", "secret/fresh", "a=b")
    assert secret_of(await asker.stored("secret/data/fresh")).reveal() == "b"


async def test_an_engine_that_is_not_there_is_told_apart(bao: Bao) -> None:
    """The list that the hint names has the right one."""
    asker = Asker(bao)
    failure = await asker.failure("olld/registry", field="token")
    filled(failure.hint, "vault secrets list shows what there is: correct path in the rule")
    assert "old/" in bao.run("secrets", "list")
    await asker.stored("old/registry", field="token")


async def test_a_namespace_is_asked_for_and_missed(bao: Bao, tmp_path: Path) -> None:
    """A missing one has its own message, for secrets and for logins."""
    asker = Asker(bao)
    for options in ({}, {"auth": by_jwt(tmp_path, "x")}):
        failure = await asker.failure("kv/ci", namespace="team/none", **options)
        filled(failure.hint, 'correct it in the rule, namespace = "...", or in VAULT_NAMESPACE')
    bao.run("namespace", "create", "team")
    for argv in (("secrets", "enable", "kv"), ("kv", "put", "kv/ci", "a=in-team")):
        bao.run(*argv, BAO_NAMESPACE="team")
    assert secret_of(await asker.stored("kv/ci", namespace="team")).reveal() == "in-team"
    assert secret_of(await Asker(bao, {"VAULT_NAMESPACE": "team"}).stored("kv/ci")).reveal() == "in-team"


async def test_an_approle_logs_in_and_one_that_may_not_says_what_to_compare(bao: Bao, tmp_path: Path) -> None:
    """The hint's command shows the role."""
    path = tmp_path / "secret-id"
    role = str(json.loads(bao.run("read", "-format=json", "auth/approle/role/ci/role-id"))["data"]["role_id"])
    auth = {"method": "approle", "role_id": role, "secret_id": {"source": "file", "path": str(path)}}
    asker = Asker(bao, {"BAO_TOKEN": ""})
    path.write_text("wrong")
    path.chmod(0o600)
    failure = await asker.failure("secret/data/ci/registry", auth=auth)
    assert "is not the ID of a role with a secret ID of its own" in failure.message
    place, _ = filled(failure.hint, "compare it with the role: vault read {}/role/{}")
    assert "token_policies" in bao.run("read", f"{place}/role/ci")
    path.write_text(str(bao.write("auth/approle/role/ci/secret-id")["secret_id"]))
    await asker.stored("secret/data/ci/registry", auth=auth)


async def test_a_jwt_that_is_not_taken_says_what_is_wrong_with_it(bao: Bao, ci: Ci, tmp_path: Path) -> None:
    """The signature is verified by the server, with the CI's keys."""
    good = ci.token()
    cases = {
        ci.token("sigstore"): "is for another audience",
        ci.token(life=-300): "has expired",
        ci.token(subject="repo:o/fork"): "has other claims",
        f"{good[:-8]}AAAAAAAA": "has a signature that its keys do not match",
    }
    asker = Asker(bao, {"BAO_TOKEN": ""})
    for token, says in cases.items():
        failure = await asker.failure("secret/data/ci/registry", auth=by_jwt(tmp_path, token))
        assert says in failure.message
        place, role = filled(failure.hint, "compare it with the role: vault read {}/role/{}")
        assert "bound_audiences" in bao.run("read", f"{place}/role/{role}")
    await asker.stored("secret/data/ci/registry", auth=by_jwt(tmp_path, good))


async def test_a_role_or_a_method_that_is_not_there_is_reported_with_the_command_that_lists_them(
    bao: Bao, ci: Ci, tmp_path: Path
) -> None:
    """What is on the list is taken."""
    asker, token = Asker(bao, {"BAO_TOKEN": ""}), ci.token()
    unknown = await asker.failure("secret/data/ci/registry", auth=by_jwt(tmp_path, token, role="cd"))
    assert "knows no role 'cd'" in unknown.message
    (place,) = filled(unknown.hint, "vault list {}/role shows what there is")
    assert bao.run("list", f"{place}/role").split()[-1] == "ci"
    elsewhere = await asker.failure("secret/data/ci/registry", auth=by_jwt(tmp_path, token, mount="gitlab"))
    filled(elsewhere.hint, "vault auth list shows what there is; in the rule: auth = {mount = ...}")
    assert "jwt/" in bao.run("auth", "list")
    await asker.stored("secret/data/ci/registry", auth=by_jwt(tmp_path, token))


async def test_a_sealed_server_says_so_until_it_is_unsealed(bao: Bao) -> None:
    """Then all its answers are the same."""
    bao.api("PUT", "sys/seal")
    try:
        failure = await Asker(bao).failure("secret/data/ci/registry")
        assert failure.code is Code.UPSTREAM_UNAVAILABLE
        filled(failure.hint, "its administrator unseals it with vault operator unseal, or bao operator unseal")
    finally:
        bao.run("operator", "unseal", bao.unseal_key)
    await Asker(bao).stored("secret/data/ci/registry")


@pytest.fixture
def staged(short_path: Path) -> Iterator[Stage]:
    """A home without a daemon yet."""
    with stage(short_path) as made:
        yield made


RULE = """
[[host]]
match = "{host}"
provider = "vault"
headers = {{ Authorization = "Bearer {{password}}" }}
[host.secret]
source = "vault"
path = "{path}"
[host.secret.auth]
method = "jwt"
role = "ci"
jwt = {{ source = "ci-oidc", audience = "vault" }}
"""


def test_a_job_without_a_secret_reads_one_and_no_call_of_a_long_build_fails(staged: Stage, bao: Bao, ci: Ci) -> None:
    """From the job's identity to Vault's token of 4 s, of which 7 s are the most, and to leases of 3 s, in 200 calls over 6 s.

    The daemon only gets the secret that the CI gives its job, and shows none in its log, its status or its reasons.
    """
    rules = {"files.test": "secret/data/ci/registry", "leased.test": "leased/registry"}
    staged.configure("".join(RULE.format(host=host, path=path) for host, path in rules.items()))
    environ = {name: value for name, value in bao.environ.items() if name != "HOME"}
    staged.start(**environ, **ci.environ)
    seen: set[str] = set()
    began = time.perf_counter()
    for number in range(200):
        host = list(rules)[number % 2]
        seen |= {value for values in staged.headers(f"https://{host}/{number}").values() for value in values}
        time.sleep(max(0.0, began + number * 0.03 - time.perf_counter()))
    assert seen == {"Bearer canary-kv2", "Bearer canary-leased"}
    assert set(ci.asked) == {"vault"}
    logins = staged.events("logged in to vault")
    assert 1 <= len(logins) <= 2 + (time.perf_counter() - began) / 3
    assert {login["mount"] for login in logins} == {"jwt"}
    told = staged.log() + staged.credproxy("status").stdout
    told += staged.credproxy("explain", "https://files.test/x").stdout
    assert "canary" not in told
    assert BEARER not in told


def test_a_job_without_the_permission_is_told_what_it_lacks(staged: Stage, bao: Bao) -> None:
    """By the helper, on the terminal of the build."""
    staged.configure(RULE.format(host="files.test", path="secret/data/ci/registry"))
    environ = {name: value for name, value in bao.environ.items() if name != "HOME"}
    staged.start(GITHUB_ACTIONS="true", **environ)
    done = staged.helper("https://files.test/x")
    assert done.returncode != 0
    assert "id-token: write" in done.stderr
