"""A blob of Azure Storage with the token of a login, by the library itself in the worker and a storage that checks tokens."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import jwt
import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.libraries import WorkerLibraries
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.parse import load
from credproxy.daemon.build import World, build_table
from credproxy.providers.learned import Learned
from tests.fakes import FakeFiles, FakeHttp, FakeProcesses, FakeSigner, FixedTerms
from tests.real.azurite import ACCOUNT, Azurite
from tests.real.pki import Pki
from tests.worker.token_server import TokenServer


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

TENANT = "11111111-2222-3333-4444-555555555555"
VERSION = "2021-12-02"
TOKEN = f"/{TENANT}/oauth2/v2.0/token"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Of both servers."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Azurite]:
    """With one blob."""
    with Azurite(tmp_path_factory.mktemp("azurite") / "data", pki) as running:
        bearer = f"Bearer {token()}"
        made = running.ask("PUT", "/builds?restype=container", {"Authorization": bearer, "x-ms-version": VERSION})
        assert made[0] == 201, made
        put = {"Authorization": bearer, "x-ms-version": VERSION, "x-ms-blob-type": "BlockBlob"}
        stored = running.ask("PUT", "/builds/blob", put, b"content")
        assert stored[0] == 201, stored
        yield running


def token(*, audience: str = "https://storage.azure.com", life: int = 3600) -> str:
    """As Entra ID makes it."""
    now = int(time.time())  # noqa: TID251  the storage's clock is real
    issuer = f"https://sts.windows.net/{TENANT}/"
    claims = {"iss": issuer, "aud": audience, "nbf": now - 60, "iat": now - 60, "exp": now + life, "oid": "o"}
    return jwt.encode(claims, "k" * 32, "HS256")


@contextmanager
def entra(pki: Pki, given: str) -> Iterator[TokenServer]:
    """The server of a tenant, which gives this."""
    with TokenServer(pki.server_context()) as server:
        base = f"{server.url}/{TENANT}"
        server.replies |= {
            f"/{TENANT}/v2.0/.well-known/openid-configuration": (
                200,
                {
                    "token_endpoint": f"{server.url}{TOKEN}",
                    "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    "issuer": f"{base}/v2.0",
                },
            ),
            TOKEN: (200, {"access_token": given, "expires_in": 3599, "token_type": "Bearer"}),
        }
        yield server


async def fetched(storage: Azurite, pki: Pki, given: str) -> tuple[int, bytes]:
    """Fetch the blob with what a daemon gives, whose environment has the login of an application."""
    with entra(pki, given) as server:
        environ = {
            "HOME": "/nowhere",
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": "66666666-7777-8888-9999-000000000000",
            "AZURE_CLIENT_SECRET": "canary",
            "AZURE_AUTHORITY_HOST": f"https://{server.place}",
        }
        text = f'[[host]]\nmatch = "{storage.authority}"\nprovider = "azure"\ncredentials = {{ source = "azure", ca_bundle = "{pki.bundle}" }}\n'
        libraries = WorkerLibraries(environ)
        files, clock = FakeFiles(), SystemClock()
        parts = (FakeHttp(), FakeProcesses(), files, FakeSigner(), Learned(b"k"))
        world = World(environ, 1000, clock, *parts, libraries=libraries)
        target = parse_uri(f"https://{storage.authority}/{ACCOUNT}/builds/blob")
        try:
            plan = (await build_table(load(text, "test"), world).plan(Question(target, Caller()))).plan
            assert plan is not None
            grant = await plan.run(FixedTerms())
        finally:
            await libraries.close()
        return storage.ask("GET", "/builds/blob", {name: values[0].reveal() for name, values in grant.headers})


async def test_a_blob_is_given_for_the_token_of_a_login(storage: Azurite, pki: Pki) -> None:
    """From nothing but the variables of an application; nobody is given it without."""
    assert await fetched(storage, pki, token()) == (200, b"content")
    assert storage.ask("GET", "/builds/blob", {})[0] == 403


def test_the_storage_checks_what_it_is_given(storage: Azurite) -> None:
    """Whom a token is for, and until when; else the test above would show nothing."""
    for given in (token(audience="https://management.azure.com"), token(life=-1), "x"):
        assert storage.ask("GET", "/builds/blob", {"Authorization": f"Bearer {given}"})[0] == 403
