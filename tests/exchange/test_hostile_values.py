"""Each conversation, given each odd value for each member of an answer: a failure in our words, or something that can be used.

Not a bug of ours, no token that no header can carry, no time without end, and nothing of the answer in a message.
"""

import math
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import fields, is_dataclass

import pytest

from credproxy.core.ask.credential import IdentityToken, Secret, UserPassword, reveal
from credproxy.core.ask.http import Dial, Request, Response
from credproxy.core.ask.names import Authority
from credproxy.core.ask.token_calls import codeartifact_call, ecr_call
from credproxy.core.ask.vault_values import Lease, VaultLogin, VaultServer
from credproxy.core.errors import Failed
from credproxy.exchange.acr_exchange import acr_refresh_token
from credproxy.exchange.amazon_token import amazon_token
from credproxy.exchange.cloudflare_token import cloudflare_keys
from credproxy.exchange.discovery import Asks, Found
from credproxy.exchange.installation_token import TokenRequest, installation_token
from credproxy.exchange.job_token import ask_job_token
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_device import DeviceLogin, ask, begin
from credproxy.exchange.oauth_server import OauthServer, find
from credproxy.exchange.oauth_token import OF_CLIENT, OauthLimits, obtain as obtain_token
from credproxy.exchange.registry_token import Order, obtain
from credproxy.exchange.vault_api import log_in, read_secret, renew_lease, renew_token, token_lease


CANARY = Secret("canary-sent")
SERVER = OauthServer(
    Dial(), "https://id.test", "https://id.test/token", "https://id.test/device", "https://id.test/auth"
)
CLIENT = OauthClient("client", "client_secret_basic", CANARY, "env:X")
LIMITS = OauthLimits(("read",))
VAULT = VaultServer("https://vault.test")
BEARER = Found(Asks.BEARER, "https://reg.test/t", "reg.test", "s")
ECR = ecr_call("123456789012.dkr.ecr.eu-west-1.amazonaws.com")
CODEARTIFACT = codeartifact_call("d-123456789012.d.codeartifact.eu-west-1.amazonaws.com")
assert ECR is not None
assert CODEARTIFACT is not None
ECR_CALL, CODEARTIFACT_CALL = ECR, CODEARTIFACT

Begin = Callable[[], Generator[Request, Response, object]]

CONVERSATIONS: dict[str, Begin] = {
    "a token": lambda: obtain_token(SERVER, CLIENT, proof=OF_CLIENT, limits=LIMITS),
    "an issuer's document": lambda: find(OauthServer(Dial(), "https://id.test")),
    "a code for another device": lambda: begin(SERVER, CLIENT, limits=LIMITS, verifier=CANARY),
    "a poll": lambda: ask(
        SERVER, CLIENT, login=DeviceLogin("AB", "https://id.test/d", "", 5, 600, CANARY, CANARY), limits=LIMITS
    ),
    "a login at Vault": lambda: log_in(VAULT, VaultLogin("jwt", "r", {"jwt": CANARY})),
    "Vault's token, renewed": lambda: renew_token(VAULT, CANARY),
    "the rest of Vault's token": lambda: token_lease(VAULT, CANARY),
    "a secret": lambda: read_secret(VAULT, "secret/data/x", token=CANARY),
    "a lease": lambda: renew_lease(VAULT, Lease(0, 60, renewable=True, id="l"), token=CANARY),
    "Cloudflare's": lambda: cloudflare_keys(CANARY, "account"),
    "GitHub's": lambda: installation_token(
        TokenRequest("https://api.github.com", "1", Dial(), "o", 7, (), {"contents": "read"}), CANARY
    ),
    "a job's": lambda: ask_job_token("https://job.test/?a=b", CANARY, audience="a"),
    "Azure's registry": lambda: acr_refresh_token(Authority("x.azurecr.io"), CANARY, tenant=""),
    "a registry by its password": lambda: obtain(
        Order(BEARER, ("repository:a:pull",), UserPassword("u", CANARY), "c", "r")
    ),
    "a registry by its token": lambda: obtain(Order(BEARER, ("repository:a:pull",), IdentityToken(CANARY), "c", "r")),
    "ECR": lambda: amazon_token(ECR_CALL, ()),
    "CodeArtifact": lambda: amazon_token(CODEARTIFACT_CALL, ()),
}

GOOD = {
    "access_token": '"t"',
    "token": '"t"',
    "expires_in": "60",
    "token_type": '"Bearer"',
    "scope": '"read"',
    "refresh_token": '"r"',
    "issued_at": '"2020-01-01T00:00:00Z"',
    "issuer": '"https://id.test"',
    "token_endpoint": '"https://id.test/token"',
    "device_authorization_endpoint": '"https://id.test/d"',
    "device_code": '"c"',
    "user_code": '"AB-CD"',
    "verification_uri": '"https://id.test/v"',
    "interval": "5",
    "auth.client_token": '"t"',
    "auth.lease_duration": "60",
    "auth.renewable": "true",
    "data.ttl": "5",
    "data.expire_time": '"x"',
    "data.policies": '["default"]',
    "data.type": '"kv"',
    "data.path": '"secret/"',
    "data.options": '{"version": "1"}',
    "data.data": '{"a": "b"}',
    "data.metadata.version": "1",
    "data.metadata.deletion_time": '"2030-01-01T00:00:00Z"',
    "lease_duration": "60",
    "renewable": "true",
    "errors": '["permission denied"]',
    "result.id": '"i"',
    "result.status": '"active"',
    "result.expires_on": '"2030-01-01T00:00:00Z"',
    "expires_at": '"2030-01-01T00:00:00Z"',
    "permissions": '{"contents": "read"}',
    "repositories": "[]",
    "message": '"m"',
    "value": '"v"',
    "error": '"invalid_grant"',
    "authorizationData.authorizationToken": '"QVdTOnB3"',
    "authorizationData.expiresAt": "2000000000",
    "authorizationToken": '"t"',
    "expiration": "2000000000",
}
"""Members of every answer at once: each conversation reads its own."""

ODD = (
    "-1", "0", "1.5", "1e999", "1e308", "9" * 400, '"9"', '""', "null", "true", "[]", "{}", "[[]]", '{"a": 1}', "[" * 5000,
    r'"\ud800"', r'"a\nb"', r'"\u0000"', r'"\u00e9"', '"' + "x" * 20_000 + '"', '"0001-01-01T00:00:00"',
    '"9999-12-31T23:59:59-14:00"', r'"https://\ud800.test/\u001b[31m"', '"https://[::1"',
)  # fmt: skip


def body(member: str, value: str) -> bytes:
    """An answer with that value for that member."""
    tree: dict[str, object] = {}
    for path, text in (GOOD | {member: value}).items():
        place = tree
        *parents, name = path.split(".")
        for parent in parents:
            found = place.setdefault(parent, {})
            assert isinstance(found, dict)
            place = found
        place[name] = text
    return written(tree).encode()


def written(tree: object) -> str:
    """As JSON, whose values are written already."""
    if not isinstance(tree, dict):
        return str(tree)
    members = (f'"{name}":{written(value)}' for name, value in tree.items())
    return f"{{{','.join(members)}}}"


def outcome(begin: Begin, status: int, content: bytes) -> object:
    """What a conversation gives if each of its requests is answered so; what it sends can be sent."""
    conversation = begin()
    try:
        request = next(conversation)
        for _ in range(9):
            for text in (*(value for _, value in request.headers), request.body or "", request.url):
                reveal(text).encode(errors="surrogateescape")
            request = conversation.send(Response(status, (), content, 100.0, 1.7e9))
    except StopIteration as stop:
        return stop.value
    except Failed as error:
        said = error.failure.message + error.failure.hint
        assert "canary" not in said
        assert said.isprintable()
        return None
    raise AssertionError("it asks for ever")


def parts(found: object) -> Iterator[object]:
    """All that is in it."""
    yield found
    inner: list[object] = []
    if isinstance(found, tuple):
        inner = list(found)
    elif is_dataclass(found):
        inner = [getattr(found, one.name) for one in fields(found)]
    for one in inner:
        yield from parts(one)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_an_odd_value_is_a_failure_or_can_be_used(name: str) -> None:
    """Whichever member has it, in a 200, in a 201 and in refusals."""
    for member in GOOD:
        for value in ODD:
            content = body(member, value)
            for status in (200, 201, 400, 403, 404):
                for part in parts(outcome(CONVERSATIONS[name], status, content)):
                    if isinstance(part, Secret):
                        assert re.fullmatch(r"[!-~]+", part.reveal()), (member, value[:40])
                    if isinstance(part, float):
                        assert math.isfinite(part), (member, value[:40])
