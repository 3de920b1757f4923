"""A Vault secret: which part of it is sent, how long it is used, and what is reported if there is none."""

import msgspec
import pytest

from credproxy import sources
from credproxy.core.ask.credential import PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.http import Response
from credproxy.core.ask.lifetime import remaining
from credproxy.core.ask.login import dressed
from credproxy.core.kinds.sources.vault import VaultSource
from credproxy.core.kinds.uses import Bundle, SecretFile
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import T0
from tests.hints import filled
from tests.sources.vault_world import (
    ADDRESS,
    JWT_AUTH,
    TARGET,
    VaultServer,
    World,
    failure_of,
    identity_of,
    login,
    text,
)


LEASED = "db/creds/ro"


@pytest.mark.parametrize(
    ("fields", "options", "wanted"),
    [
        ({"username": "u", "password": "p", "url": "x"}, {}, UserPassword("u", Secret("p"))),
        ({"password": "p", "url": "x"}, {}, PlainSecret(Secret("p"))),
        ({"password": "p"}, {"username": "me"}, UserPassword("me", Secret("p"))),
        ({"username": "u", "password": "p"}, {"username": "me"}, UserPassword("me", Secret("p"))),
        ({"username": "u", "password": "p"}, {"field": "password"}, PlainSecret(Secret("p"))),
        ({"api_key": "k"}, {}, PlainSecret(Secret("k"))),
        ({"api_key": "k", "user": "u"}, {"field": "api_key"}, PlainSecret(Secret("k"))),
        (
            {"access_key": "a", "secret_key": "s"},
            {"field": "secret_key", "username_field": "access_key"},
            UserPassword("a", Secret("s")),
        ),
        ({"a": "b", "n": 1}, {"field": "*"}, PlainSecret(Secret('{"a": "b", "n": 1}'))),
        (
            {"type": "service_account"},
            {"field": "*", "username": "_json_key"},
            UserPassword("_json_key", Secret('{"type": "service_account"}')),
        ),
        ({"pin": 1234}, {}, PlainSecret(Secret("1234"))),
    ],
)
async def test_the_rule_or_the_secret_itself_says_which_field_is_sent(
    fields: dict[str, object], options: dict[str, str], wanted: Stored
) -> None:
    """A user name and a password are a login; a secret with one field is that field."""
    world = World()
    world.server.kv["secret/data/ci"] = fields
    assert (await login(world.source(**options))).stored == wanted


async def test_a_secret_with_several_fields_wants_one_named() -> None:
    """Its fields are named, and none of their values."""
    world = World()
    world.server.kv["secret/data/ci"] = {"b": "canary-1", "a": "canary-2"}
    failure = await failure_of(world.source())
    assert failure.message == ("the secret 'secret/data/ci' of Vault 'vault.test:8200' has several fields: 'a', 'b'")
    filled(failure.hint, 'name the one to send: field = "..."')
    assert await text(world.source(field="a")) == "canary-2"


async def test_a_field_that_is_not_there_is_reported_with_those_that_are() -> None:
    """And so is that of the user's name."""
    world = World()
    failure = await failure_of(world.source(field="token"))
    assert "has no field 'token': it has 'password'" in failure.message
    filled(failure.hint, 'name one that it has: field = "...", username_field = "..."')
    assert await text(world.source(field="password")) == "kv-1"
    assert "has no field 'user'" in (await failure_of(world.source(username_field="user"))).message


async def test_a_field_that_is_empty_says_where_to_store_it() -> None:
    """With the command for it."""
    world = World()
    world.server.kv["secret/data/ci"] = {"password": "null"}
    failure = await failure_of(world.source())
    assert "the field 'password' of secret 'secret/data/ci'" in failure.message
    filled(failure.hint, "store the secret itself in that field: vault kv patch, or bao kv patch")
    world.server.kv["secret/data/ci"] = {"password": "p"}
    assert await text(world.source()) == "p"


async def test_a_stored_secret_is_looked_up_again_within_five_minutes() -> None:
    """Nothing derived from it is used for longer."""
    world = World()
    source = world.source()
    found = await login(source)
    lifetime = dressed(found, "x", boot=world.clock.boot())
    assert remaining(lifetime, world.clock.boot(), wall=world.clock.wall()) == 300
    world.clock.suspend(200)
    await login(source)
    assert world.server.asked == ["secret/data/ci"]
    world.server.kv["secret/data/ci"] = {"password": "kv-2"}
    before = await identity_of(source)
    world.clock.suspend(50)
    assert await text(source) == "kv-2"
    assert await identity_of(source) != before


async def test_a_refused_secret_is_looked_up_at_once() -> None:
    """It may have been rotated."""
    world = World()
    source = world.source()
    await login(source)
    world.server.kv["secret/data/ci"] = {"password": "kv-2"}
    assert await text(source, anew=True) == "kv-2"
    await text(source, anew=True)
    assert len(world.server.asked) == 2


async def test_a_version_that_will_be_deleted_is_used_no_longer() -> None:
    """By Vault's own ``delete_version_after``."""
    world = World()
    end = "2026-01-01T00:01:40Z"  # 100 s after T0
    metadata = {"version": 1, "deletion_time": end}
    body = {"data": {"data": {"password": "p"}, "metadata": metadata}}
    world.server.answers["secret/data/ci"] = world.server._say(200, body)
    found = await login(world.source())
    assert (found.until, found.wall_until) == (world.clock.boot() + 100, T0 + 100)


async def test_version_one_says_itself_how_long_it_is_good() -> None:
    """By the secret's ``ttl``."""
    world = World()
    body = {"lease_duration": 60, "data": {"password": "p", "ttl": "60s"}}
    world.server.answers["secret/data/ci"] = world.server._say(200, body)
    assert (await login(world.source())).keep == 60


async def test_a_dynamic_secret_ends_with_its_lease_which_is_renewed_while_in_use() -> None:
    """Of 20 s, for 60 s at most; then another one is made, before the old one ends."""
    world = World()
    world.server.dynamic[LEASED] = 20.0
    source = world.source(path=LEASED)
    seen: dict[str, float] = {}
    for _ in range(60):
        now = world.clock.boot()
        found = await login(source)
        assert isinstance(found.stored, UserPassword)
        assert found.until is not None
        assert now < found.until <= now + 20
        made = found.stored.password.reveal()
        seen.setdefault(made, now)
        assert found.until <= seen[made] + 60
        world.clock.suspend(5)
    assert 5 <= len(seen) <= 9
    assert world.server.asked.count("sys/leases/renew") > len(seen)


async def test_an_unused_lease_is_not_renewed() -> None:
    """It lapses."""
    world = World()
    world.server.dynamic[LEASED] = 20.0
    source = world.source(path=LEASED)
    first = await text(source)
    world.clock.suspend(300)
    assert await text(source) != first
    assert "sys/leases/renew" not in world.server.asked


@pytest.mark.parametrize("status", [400, 403, 404, 500])
async def test_a_lease_that_cannot_be_renewed_makes_room_for_another_secret(status: int) -> None:
    """It is gone, or the token may not renew it, or the server has problems."""
    world = World()
    world.server.dynamic[LEASED] = 20.0
    source = world.source(path=LEASED)
    first = await text(source)
    world.server.answers["sys/leases/renew"] = world.server._say(status, {"errors": ["lease not found"]})
    world.clock.suspend(15)
    assert await text(source) != first


async def test_a_refused_dynamic_secret_is_replaced_and_not_renewed() -> None:
    """It may have been revoked there."""
    world = World()
    world.server.dynamic[LEASED] = 20.0
    source = world.source(path=LEASED)
    first = await text(source)
    assert await text(source, anew=True) != first
    assert "sys/leases/renew" not in world.server.asked


@pytest.mark.parametrize(("options", "wanted"), [({}, 12.0), ({"auth": JWT_AUTH}, 30.0)])
async def test_a_dynamic_secret_ends_with_the_token_that_it_was_read_with(
    options: dict[str, object], wanted: float
) -> None:
    """Vault revokes it then, whatever its lease says."""
    world = World()
    world.server.dynamic[LEASED] = 3600.0
    world.server.tokens["own"] = world.clock.boot() + 12
    found = await login(world.source(path=LEASED, **options))
    assert found.until == world.clock.boot() + wanted
    assert found.wall_until == T0 + wanted


async def test_without_an_address_it_says_which_variables_name_none() -> None:
    """And in a list the next source is asked."""
    source = World({"VAULT_ADDR": ""}).source()
    assert await identity_of(source) is None
    assert source.trouble(TARGET) is None
    assert source.looked(TARGET) == (
        "neither BAO_ADDR nor VAULT_ADDR is set in the daemon's environment, and the rule has no address",
    )
    source.forget()


@pytest.mark.parametrize(
    ("environ", "options", "says"),
    [
        ({"VAULT_ADDR": "http://vault.test:8200"}, {}, "over plain http others could read the token"),
        ({"VAULT_ADDR": "unix:///run/agent"}, {}, "wanted the address of a server"),
        ({"VAULT_ADDR": "https://vault.test/v1"}, {}, "nothing but a host and a port"),
    ],
)
async def test_an_address_of_the_environment_is_judged_as_that_of_a_rule(
    environ: dict[str, str], options: dict[str, str], says: str
) -> None:
    """The check of the configuration cannot see it."""
    world = World(environ)
    failure = await failure_of(world.source(**options))
    assert says in failure.message
    filled(failure.hint, 'address = "https://..." in the rule')
    assert await text(world.source(address=ADDRESS)) == "kv-1"


@pytest.mark.parametrize("status", [307, 200])
async def test_a_server_that_is_not_vault_is_reported(status: int) -> None:
    """A node that stands by redirects; a web page is not Vault's API."""
    world = World()
    world.http.script["https://other.test"] = [Response(status, (), b"<html>", 0.0, 0.0)]
    failure = await failure_of(world.source(address="https://other.test"))
    if status == 307:
        filled(failure.hint, 'name the server that answers itself: address = "https://..."')
    else:
        filled(failure.hint, "is that the address of Vault's API, without a path?")
    assert await text(world.source(address=ADDRESS)) == "kv-1"


async def test_a_path_that_is_not_a_secret_is_reported() -> None:
    """Such as one that answers with a wrapped secret, or with nothing but warnings."""
    world = World()
    world.server.answers["sys/x"] = world.server._say(200, {"data": None, "warnings": ["canary"]})
    failure = await failure_of(world.source(path="sys/x"))
    filled(failure.hint, "name the path of a secret, as in vault read: warnings and wrapped answers are none")
    assert await text(world.source()) == "kv-1"


async def test_openbaos_variables_take_precedence_over_vaults_and_the_rule_before_both() -> None:
    """As in ``bao`` itself."""
    names = {"ADDR": "https://{}.test", "NAMESPACE": "{}", "CACERT": "/{}.pem"}
    environ = {f"{kind}_{name}": form.format(kind.lower()) for kind in ("BAO", "VAULT") for name, form in names.items()}
    server = VaultSource("p").server(environ)
    assert server is not None
    assert (server.origin, server.namespace, server.dial.ca_bundle) == ("https://bao.test", "bao", "/bao.pem")
    server = VaultSource("p", address="https://a.test/", namespace="/b/", ca_bundle="/c").server(environ)
    assert server is not None
    assert (server.origin, server.namespace, server.dial.ca_bundle) == ("https://a.test", "b", "/c")
    server = VaultSource("p", namespace="").server({"VAULT_ADDR": "https://a.test", "VAULT_NAMESPACE": "x"})
    assert server is not None
    assert server.namespace == ""


def test_the_client_certificate_of_the_rule_or_else_of_the_environment_with_its_own_key() -> None:
    """A key is never taken from one place and its certificate from another."""
    named = {f"{kind}_CLIENT_{name}": f"/{kind}.{name}" for kind in ("BAO", "VAULT") for name in ("CERT", "KEY")}
    environ = {"VAULT_ADDR": "https://vault.test", **named}
    for source, wanted in (
        (VaultSource("p"), ("/BAO.CERT", "/BAO.KEY")),
        (VaultSource("p", client_cert="/c", client_key="/k"), ("/c", "/k")),
        (VaultSource("p", client_cert="/both"), ("/both", None)),
    ):
        server = source.server(environ)
        assert server is not None
        assert (server.dial.client_cert, server.dial.client_key) == wanted


def test_sources_with_another_client_certificate_do_not_share_a_token() -> None:
    """It may be who they are."""
    ground = Ground()
    ground.environ["VAULT_ADDR"] = "https://vault.test"
    tools = ground.source_tools()
    for certificate in ("/one", "/two", "/one"):
        sources.make(VaultSource("p", client_cert=certificate), tools)
    assert len(tools.vaults) == 2


async def test_explain_sends_no_request() -> None:
    """Only known facts are shown."""
    world = World()
    source = world.source()
    identity = await identity_of(source)
    assert identity is not None
    assert str(identity) == "vault:vault.test:8200/secret/data/ci"
    assert await source.peek(identity, TARGET) is None
    assert world.server.asked == []
    await login(source)
    assert await source.peek(identity, TARGET) is not None


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"path": ""}, ("path",)),
        ({"path": "/secret/x"}, ("path",)),
        ({"path": "secret//x"}, ("path",)),
        ({"path": "v1/secret/x"}, ("path",)),
        ({"path": "secret/../sys"}, ("path",)),
        ({"path": "secret/x\n"}, ("path",)),
        ({"namespace": "a b\n"}, ("namespace",)),
        ({"address": "vault.test"}, ("address",)),
        ({"address": "http://vault.test"}, ("address",)),
        ({"address": "https://u:p@vault.test"}, ("address",)),
        ({"username": "a", "username_field": "b"}, ("username_field",)),
        ({"username": "a:b"}, ("username",)),
        ({"ca_bundle": "x"}, ("ca_bundle",)),
        ({"client_cert": "x"}, ("client_cert",)),
        ({"client_cert": "/x", "client_key": "y"}, ("client_key",)),
        ({"client_key": "/y"}, ("client_cert",)),
        ({"auth": {**JWT_AUTH, "mount": "/auth/jwt"}}, ("auth", "mount")),
        ({"auth": {**JWT_AUTH, "jwt": {"source": "file", "path": "x"}}}, ("auth", "jwt", "path")),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], key: tuple[str, ...]) -> None:
    """With the key that is wrong."""
    settings = msgspec.convert({"source": "vault", "path": "secret/data/ci", **options}, VaultSource)
    assert key in {path for path, _ in settings.problems()}


def test_plain_http_is_only_for_loopback_or_if_configured() -> None:
    """``bao server -dev`` speaks nothing else."""
    for options in ({"address": "http://127.0.0.1:8200"}, {"address": "http://vault.test", "insecure": True}):
        assert not list(msgspec.convert({"source": "vault", "path": "a", **options}, VaultSource).problems())


def test_files_that_it_names_are_judged_before_they_are_trusted() -> None:
    """Its certificates, and the proof for the login."""
    auth = {**JWT_AUTH, "jwt": {"source": "file", "path": "/jwt"}}
    named = {"ca_bundle": "/ca", "client_cert": "/cert", "client_key": "/key"}
    settings = msgspec.convert({"source": "vault", "path": "a", "auth": auth, **named}, VaultSource)
    certificates = {Bundle("/ca"), Bundle("/cert", "client_cert", "/key"), SecretFile("/key", pem=True)}
    assert set(settings.uses()) == {SecretFile("/jwt"), *certificates}
    default = msgspec.convert(
        {"source": "vault", "path": "a", "auth": {"method": "kubernetes", "role": "r"}}, VaultSource
    )
    assert set(default.uses()) == {SecretFile("/var/run/secrets/kubernetes.io/serviceaccount/token")}


def put(ground: Ground, secret: str) -> None:
    """Store it."""
    server = serving(ground)
    server.kv["secret/data/ci"] = {"password": secret}


def broken(ground: Ground) -> None:
    """A field that cannot be sent."""
    server = serving(ground)
    server.kv["secret/data/ci"] = {"password": f"{CANARY}\n{CANARY}"}


def serving(ground: Ground) -> VaultServer:
    """A Vault in the ground's world."""
    ground.environ |= {"VAULT_ADDR": ADDRESS, "VAULT_TOKEN": "own"}
    server = VaultServer(ground.clock)
    ground.http.script[ADDRESS] = [server.handle]
    return server


CONTRACTS = {"vault": SourceContract(VaultSource("secret/data/ci"), put, broken)}
