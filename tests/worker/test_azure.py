"""Tokens of Microsoft Entra ID in each way, with azure-identity itself as the client of a stand-in."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from credproxy.core.ask.worker_messages import AzureToken, AzureWay, LibraryToken
from credproxy.core.errors import Code, Failed, Failure
from credproxy.worker.azure import azure_token
from tests.adapters.test_pump import Trusted
from tests.hints import filled
from tests.worker.token_server import TokenServer


SCOPE = "https://storage.azure.com/.default"
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
TOKEN = f"/{TENANT}/oauth2/v2.0/token"


@pytest.fixture
def entra(trusted: Trusted) -> Iterator[TokenServer]:
    """The server of a tenant, which has TLS, since nothing else is asked."""
    with TokenServer(trusted.context) as server:
        server.replies |= {
            f"/{TENANT}/v2.0/.well-known/openid-configuration": (
                200,
                {
                    "token_endpoint": f"{server.url}{TOKEN}",
                    "authorization_endpoint": f"{server.url}/{TENANT}/oauth2/v2.0/authorize",
                    "issuer": f"{server.url}/{TENANT}/v2.0",
                },
            ),
            TOKEN: (200, {"access_token": "canary-azure", "expires_in": 3599, "token_type": "Bearer"}),
        }
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """With a tenant and an application in it."""
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    return monkeypatch


def question(entra: TokenServer | None, trusted: Trusted | None, *ways: AzureWay) -> AzureToken:
    """For storage."""
    place = "127.0.0.1:1" if entra is None else entra.place
    return AzureToken(SCOPE, ways, place, ca_bundle=None if trusted is None else trusted.dial.ca_bundle)


def token(asked: AzureToken) -> LibraryToken:
    """Ask."""
    return azure_token(asked, 5.0)


def refused(asked: AzureToken) -> Failure:
    """Why there is none; nothing secret is in that."""
    with pytest.raises(Failed) as caught:
        token(asked)
    assert "canary" not in repr(caught.value.failure)
    assert caught.value.failure.hint
    return caught.value.failure


def form_of(server: TokenServer) -> dict[str, list[str]]:
    """What the token endpoint was asked."""
    (form,) = [form for _, path, form in server.asked if path == TOKEN]
    return form


def test_a_secret_of_the_environment(entra: TokenServer, trusted: Trusted, environment: pytest.MonkeyPatch) -> None:
    """The tenant's own server is asked and nobody else, not even who else it may be."""
    environment.setenv("AZURE_CLIENT_SECRET", "canary-secret")
    found = token(question(entra, trusted, "environment"))
    assert found.token == "canary-azure"
    assert found.until is not None
    form = form_of(entra)
    assert (form["grant_type"], form["scope"]) == (["client_credentials"], [SCOPE])
    assert form["client_secret"] == ["canary-secret"]


def test_a_tenant_that_cannot_be_one_is_told(
    entra: TokenServer, trusted: Trusted, environment: pytest.MonkeyPatch
) -> None:
    """Corrected, it works."""
    environment.setenv("AZURE_CLIENT_SECRET", "canary-secret")
    environment.setenv("AZURE_TENANT_ID", "not a tenant")
    failure = refused(question(entra, trusted, "environment"))
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert filled(failure.hint, "correct AZURE_TENANT_ID and AZURE_CLIENT_ID, or the rule") == ()
    environment.setenv("AZURE_TENANT_ID", TENANT)
    assert token(question(entra, trusted, "environment")).token == "canary-azure"


def test_the_identity_of_a_pod(
    entra: TokenServer, trusted: Trusted, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its projected token is what it is proven by."""
    (tmp_path / "token").write_text("canary-projected")
    environment.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    assert token(question(entra, trusted, "workload")).token == "canary-azure"
    assert form_of(entra)["client_assertion"] == ["canary-projected"]


def test_the_identity_of_a_machine(environment: pytest.MonkeyPatch) -> None:
    """Of its metadata server, which a variable names here; by client ID where a rule says so."""
    with TokenServer() as server:
        environment.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url)
        grant: dict[str, object] = {
            "access_token": "canary-machine",
            "expires_in": "3599",
            "expires_on": "1893456000",
            "resource": SCOPE,
        }
        server.replies["/metadata/identity/oauth2/token"] = (200, grant)
        asked = msgspec.structs.replace(question(None, None, "managed"), client_id=CLIENT)
        assert token(asked).token == "canary-machine"
        ((method, path, _),) = server.asked
        assert method == "GET"
        assert f"client_id={CLIENT}" in path
        assert server.headers["metadata"] == "true"


@pytest.mark.parametrize("variable", ["AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT"])
def test_another_machine_is_not_asked_for_an_identity_in_plain_http(
    environment: pytest.MonkeyPatch, variable: str
) -> None:
    """A secret of App Service's goes along, and a token comes back."""
    environment.setenv("IDENTITY_HEADER", "canary-header")
    environment.setenv(variable, "http://10.0.0.1/msi/token")
    failure = refused(question(None, None, "managed"))
    assert (failure.code, variable in failure.message) == (Code.DOWNGRADE, True)


def test_a_machine_without_an_identity_is_passed_over(
    entra: TokenServer, trusted: Trusted, environment: pytest.MonkeyPatch
) -> None:
    """As on a developer's virtual machine, where somebody has logged in; alone it is told."""
    with TokenServer() as server:
        environment.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url)
        refusal: dict[str, object] = {"error": "invalid_request", "error_description": "Identity not found canary"}
        server.replies["/metadata/identity/oauth2/token"] = (400, refusal)
        environment.setenv("AZURE_CLIENT_SECRET", "s")
        assert token(question(entra, trusted, "managed", "environment")).token == "canary-azure"
        failure = refused(question(None, None, "managed"))
        assert failure.message == "there is no login of Azure's: the managed identity of this machine is not assigned"
        assert filled(failure.hint, "az login") == ()


def az(folder: Path, script: str) -> str:
    """A program that is called az."""
    program = folder / "az"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return f"{folder}:/usr/bin:/bin"


def test_the_login_of_az(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program is asked for the API that the scope is of."""
    script = (
        f'echo "$@" > {tmp_path}/asked\n'
        'echo \'{"accessToken": "canary-az", "expiresOn": "2030-01-01 00:00:00.000000", "expires_on": 1893456000}\''
    )
    environment.setenv("PATH", az(tmp_path, script))
    found = token(msgspec.structs.replace(question(None, None, "cli"), tenant=TENANT))
    assert (found.token, found.until) == ("canary-az", 1893456000.0)
    said = (tmp_path / "asked").read_text()
    assert "--resource https://storage.azure.com" in said
    assert f"--tenant {TENANT}" in said


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo \"Please run 'az login' to setup account canary.\" >&2; exit 1",
            "the login of az has expired, or there is none",
        ),
        (
            "echo 'AADSTS700082: canary' >&2; exit 1",
            "the login of az has expired, since it was not used for long (AADSTS700082)",
        ),
        (
            "echo 'AADSTS50076: canary' >&2; exit 1",
            "the login of az has to be confirmed with a second factor (AADSTS50076)",
        ),
        ("echo canary", "Microsoft Entra ID refuses the login of az"),
    ],
    ids=["none", "old", "second factor", "garbage"],
)
def test_what_az_says_is_told_in_our_words(
    script: str, message: str, *, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And the next step is to log in."""
    environment.setenv("PATH", az(tmp_path, script))
    failure = refused(question(None, None, "cli"))
    assert message in failure.message
    assert filled(failure.hint, "az login") == ()


def test_az_that_is_not_there_is_told(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where its files are."""
    environment.setenv("PATH", str(tmp_path))
    assert "needs the program az on PATH" in refused(question(None, None, "cli")).message


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (401, "AADSTS7000215: Invalid client secret canary", "has a client secret that is not the application's"),
        (401, "AADSTS7000222: The provided client secret keys are expired", "has a client secret that has expired"),
        (400, "AADSTS700016: Application canary", "names an application that is not in that tenant"),
        (400, "AADSTS700024: Client assertion", "is this machine's clock right?"),
        (401, "AADSTS7000112: canary", "names an application that is disabled"),
        (400, "AADSTS65001: canary", "has no consent for the API"),
        (400, "AADSTS90072: canary", "is of a user who is not in that tenant"),
        (400, "AADSTS700213: canary", "shows a token that no federated credential of the application is for"),
        (400, "AADSTS53003: canary", "is kept out by a rule for conditional access"),
        (400, "canary", "Microsoft Entra ID refuses the login in the variables AZURE_..."),
        (400, "AADSTS9999999: canary", "(AADSTS9999999)"),
    ],
)
def test_what_entra_refuses_is_told_in_our_words(
    status: int, content: str, said: str, *, entra: TokenServer, trusted: Trusted, environment: pytest.MonkeyPatch
) -> None:
    """By its code; its text may quote anything."""
    environment.setenv("AZURE_CLIENT_SECRET", "canary-secret")
    entra.replies[TOKEN] = (status, {"error": "invalid_client", "error_description": content})
    failure = refused(question(entra, trusted, "environment"))
    assert failure.code is Code.BAD_CREDENTIALS
    assert said in failure.message


def test_consent_is_asked_for_by_the_scope_that_lacks_it(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command that helps names it."""
    environment.setenv("PATH", az(tmp_path, "echo 'AADSTS65001: canary' >&2; exit 1"))
    failure = refused(question(None, None, "cli"))
    assert failure.hint == f"az login --scope {SCOPE}; an administrator may have to consent"


@pytest.mark.parametrize(
    ("status", "code"), [(429, Code.RATE_LIMITED), (500, Code.UPSTREAM_UNAVAILABLE), (503, Code.UPSTREAM_UNAVAILABLE)]
)
def test_a_server_that_is_busy_refuses_nobody(
    status: int, code: Code, *, entra: TokenServer, trusted: Trusted, environment: pytest.MonkeyPatch
) -> None:
    """It is asked twice, and the login is as good as before."""
    environment.setenv("AZURE_CLIENT_SECRET", "canary-secret")
    entra.replies[TOKEN] = (status, {"error": "canary"})
    failure = refused(question(entra, trusted, "environment"))
    assert failure.code is code
    assert failure.message.startswith("host '127.0.0.1' ")
    assert [path for _, path, _ in entra.asked].count(TOKEN) == 2


def test_what_the_network_does_is_told_as_everywhere(
    entra: TokenServer, trusted: Trusted, environment: pytest.MonkeyPatch
) -> None:
    """Nobody is at the port; the certificate is not trusted."""
    environment.setenv("AZURE_CLIENT_SECRET", "canary-secret")
    down = refused(question(None, trusted, "environment"))
    assert down.message == "host '127.0.0.1' cannot be reached: connection refused"
    assert refused(question(entra, None, "environment")).code is Code.TLS_FAILED
