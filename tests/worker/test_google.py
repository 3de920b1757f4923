"""Google tokens for each type of credentials, with google-auth itself as the client of a stand-in."""

import json
import socket
from base64 import urlsafe_b64decode
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest

from credproxy.core.ask.worker_messages import GoogleObjects, GoogleToken, LibraryToken
from credproxy.core.errors import Code, Failed, Failure
from credproxy.worker.egress import Network
from credproxy.worker.google import google_token
from credproxy.worker.google_credentials import PLATFORM
from tests.adapters.scripted import Scripted, Wire, answering
from tests.adapters.test_pump import Trusted
from tests.hints import filled
from tests.worker.token_server import TokenServer, written


SCOPES = ("https://www.googleapis.com/auth/devstorage.read_only",)

IMPERSONATE = "/v1/projects/-/serviceAccounts/sa@corp.test:generateAccessToken"

IDENTIFY = "/v1/projects/-/serviceAccounts/sa@corp.test:generateIdToken"

USER = {"type": "authorized_user", "client_id": "id", "client_secret": "canary", "refresh_token": "canary"}


READING = GoogleToken(SCOPES)


def token(path: str, question: GoogleToken = READING, *, network: Network = Network()) -> LibraryToken:  # noqa: B008  a value
    """Ask."""
    return google_token(msgspec.structs.replace(question, credentials=path), 5.0, network=network)


def refused(path: str, question: GoogleToken = READING, *, network: Network = Network()) -> Failure:  # noqa: B008  a value
    """Why there is none; nothing secret is in that."""
    with pytest.raises(Failed) as caught:
        token(path, question, network=network)
    assert "canary" not in repr(caught.value.failure)
    assert "BEGIN" not in repr(caught.value.failure)
    assert caught.value.failure.hint
    return caught.value.failure


def claims_of(assertion: str) -> dict[str, str]:
    """What a service account has signed."""
    part = assertion.split(".")[1]
    found: dict[str, str] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_a_service_account_asks_for_the_scopes(server: TokenServer, tmp_path: Path) -> None:
    """By what its key signs; the e-mail address is told, and who pays."""
    path = server.service_account(tmp_path, quota_project_id="payer")
    found = token(path)
    assert (found.token, found.account, found.project) == ("canary-google", "build@corp.test", "payer")
    (_, _, form), *_ = server.asked
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]


def test_its_end_is_counted_by_this_machine(server: TokenServer, tmp_path: Path) -> None:
    """Only the next hour depends on that clock."""
    server.granting(seconds=60)
    first = token(server.service_account(tmp_path)).until
    server.granting(seconds=3660)
    second = token(server.service_account(tmp_path)).until
    assert first is not None
    assert second is not None
    assert 3590 < second - first < 3660


def test_each_answer_is_asked_for(server: TokenServer, tmp_path: Path) -> None:
    """The daemon remembers; a library that gave what it had would give what was refused."""
    path = server.service_account(tmp_path)
    token(path)
    server.granting("canary-second")
    assert token(path).token == "canary-second"


def test_a_changed_file_is_another_login(server: TokenServer, tmp_path: Path) -> None:
    """At once."""
    path = server.service_account(tmp_path)
    assert token(path).account == "build@corp.test"
    server.service_account(tmp_path, client_email="other-user@corp.test")
    assert token(path).account == "other-user@corp.test"


def tunnel(trusted: Trusted, server: TokenServer) -> Scripted:
    """A proxy at whose other end is the stand-in, whatever host is asked for: Google's own hosts cannot be configured."""

    def play(wire: Wire) -> None:
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\n\r\n")
        wire.encrypt(trusted.context)
        head = wire.head()
        length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
        form = wire.body(length, chunked=False).decode()
        status, content = server.reply(head.split()[1], form)
        text = json.dumps(content).encode()
        wire.send(f"HTTP/1.1 {status} OK\r\nContent-Length: {len(text)}\r\n\r\n", text)

    return Scripted(play)


@pytest.fixture
def google(tmp_path: Path) -> Trusted:
    """Google's own hosts."""
    hosts = ("oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com")
    return Trusted(tmp_path / "google.pem", *hosts)


def test_a_user_refreshes_with_the_scopes_that_were_agreed_to(
    server: TokenServer, google: Trusted, tmp_path: Path
) -> None:
    """Google refuses others, even narrower ones. Through a proxy, and at Google's own host, whatever the file says."""
    path = written(tmp_path, {**USER, "token_uri": "https://evil.test", "quota_project_id": "payer", "account": "u@x"})
    with tunnel(google, server) as proxy:
        found = token(path, GoogleToken(SCOPES, proxy=proxy.url, ca_bundle=google.dial.ca_bundle))
    assert (found.token, found.project, found.account) == ("canary-google", "payer", "u@x")
    assert proxy.heads[0].startswith("CONNECT oauth2.googleapis.com:443 ")
    (_, _, form), *_ = server.asked
    assert (form["grant_type"], "scope" in form) == (["refresh_token"], False)


def external(server: TokenServer, source: dict[str, object], **more: object) -> dict[str, object]:
    """An external account, whose subject token is there."""
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{server.url}/v1/token",
        "credential_source": source,
        **more,
    }


def test_an_external_account_of_a_file(server: TokenServer, tmp_path: Path) -> None:
    """The subject token is exchanged, and Google asked for nothing else."""
    (tmp_path / "subject").write_text("canary-subject")
    found = token(written(tmp_path, external(server, {"file": str(tmp_path / "subject")})))
    assert found.token == "canary-google"
    ((_, path, form),) = server.asked
    assert (path, form["subject_token"], form["scope"]) == ("/v1/token", ["canary-subject"], [SCOPES[0]])


def test_an_external_account_of_a_url_that_acts_for_a_service_account(server: TokenServer, tmp_path: Path) -> None:
    """Three conversations through our transport."""
    server.replies |= {
        "/subject": (200, {"t": "canary-subject"}),
        IMPERSONATE: (200, {"accessToken": "canary-impersonated", "expireTime": "2030-01-01T00:00:00Z"}),
    }
    source: dict[str, object] = {
        "url": f"{server.url}/subject",
        "format": {"type": "json", "subject_token_field_name": "t"},
    }
    more = {"service_account_impersonation_url": f"{server.url}{IMPERSONATE}"}
    found = token(written(tmp_path, external(server, source, **more)))
    assert (found.token, found.until) == ("canary-impersonated", 1893456000.0)
    assert [path for _, path, _ in server.asked] == ["/subject", "/v1/token", IMPERSONATE]


@pytest.mark.parametrize("source", [{"file": "/nowhere/canary"}, {"url": "{}/subject"}])
def test_a_subject_token_that_is_not_there_is_not_called_a_refusal_of_googles(
    server: TokenServer, tmp_path: Path, source: dict[str, str]
) -> None:
    """As after the end of a job: Google was not asked."""
    told: dict[str, object] = {key: value.format(server.url) for key, value in source.items()}
    path = written(tmp_path, external(server, told))
    failure = refused(path)
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert failure.message == f"the subject token of the login in {path!r} cannot be had"
    hint = filled(
        failure.hint, "see whether it is where the file's credential_source says: a CI job has one while it runs"
    )
    assert hint == ()
    assert [asked for asked in server.asked if asked[1] == "/v1/token"] == []


def test_an_external_account_of_a_program_wants_the_variable_that_allows_it(
    server: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the library has it: a file alone starts no program."""
    program = tmp_path / "subject"
    program.write_text(
        "#!/bin/sh\n"
        'echo \'{"version": 1, "success": true, "token_type": "urn:ietf:params:oauth:token-type:jwt", "id_token": "canary"}\'\n'
    )
    program.chmod(0o700)
    path = written(tmp_path, external(server, {"executable": {"command": str(program), "timeout_millis": 5000}}))
    assert refused(path).code is Code.CREDENTIAL_UNREADABLE
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    assert token(path).token == "canary-google"


def test_a_token_for_a_folder_is_limited_to_reading_its_objects(
    server: TokenServer, google: Trusted, tmp_path: Path
) -> None:
    """By a boundary that Google checks; the token that it is made of does not leave the worker."""
    server.replies["/v1/token"] = (200, {"access_token": "narrow", "expires_in": 3599, "token_type": "Bearer"})
    question = GoogleToken((), objects=GoogleObjects("bkt", "a/b c/"), ca_bundle=google.dial.ca_bundle)
    with tunnel(google, server) as proxy:
        found = token(server.service_account(tmp_path), msgspec.structs.replace(question, proxy=proxy.url))
    assert found.token == "narrow"
    (_, _, first), (_, path, form) = server.asked
    assert (path, form["subject_token"]) == ("/v1/token", ["canary-google"])
    assert PLATFORM in claims_of(first["assertion"][0])["scope"]
    (rule,) = json.loads(unquote(form["options"][0]))["accessBoundary"]["accessBoundaryRules"]
    assert rule == {
        "availablePermissions": ["inRole:roles/storage.objectViewer"],
        "availableResource": "//storage.googleapis.com/projects/_/buckets/bkt",
        "availabilityCondition": {
            "expression": "resource.name.startsWith('projects/_/buckets/bkt/objects/a/b c/')",
        },
    }


def test_a_login_acts_for_a_service_account(server: TokenServer, google: Trusted, tmp_path: Path) -> None:
    """With the scopes of the rule; the login's own token has the one that this takes."""
    server.replies[IMPERSONATE] = (200, {"accessToken": "canary-acting", "expireTime": "2030-01-01T00:00:00Z"})
    question = GoogleToken(SCOPES, impersonate="sa@corp.test", ca_bundle=google.dial.ca_bundle)
    with tunnel(google, server) as proxy:
        found = token(server.service_account(tmp_path), msgspec.structs.replace(question, proxy=proxy.url))
    assert (found.token, found.until, found.account) == ("canary-acting", 1893456000.0, "sa@corp.test")
    assert json.loads(server.asked[-1][2]["json"][0])["scope"] == [*SCOPES]


def test_a_login_that_may_not_act_for_it_is_told_the_role(server: TokenServer, google: Trusted, tmp_path: Path) -> None:
    """For an access token and for an ID token."""
    server.replies |= dict.fromkeys((IMPERSONATE, IDENTIFY), (403, {"error": {"message": "canary"}}))
    for audience in ("", "https://x.run.app"):
        question = GoogleToken(SCOPES, impersonate="sa@corp.test", audience=audience, ca_bundle=google.dial.ca_bundle)
        with tunnel(google, server) as proxy:
            failure = refused(server.service_account(tmp_path), msgspec.structs.replace(question, proxy=proxy.url))
        assert failure.code is Code.DENIED
        assert failure.hint == "grant roles/iam.serviceAccountTokenCreator on the account that is impersonated"


def test_an_id_token_is_for_its_audience(server: TokenServer, google: Trusted, tmp_path: Path) -> None:
    """Of a service account's own key, or of an account that the login acts for."""
    jwt = "e30.eyJleHAiOjE4OTM0NTYwMDB9.c2ln"
    server.replies |= {"/token": (200, {"id_token": jwt})}
    question = GoogleToken((), audience="https://x.run.app", ca_bundle=google.dial.ca_bundle)
    found = token(server.service_account(tmp_path), question)
    assert (found.token, found.until) == (jwt, 1893456000.0)
    assert claims_of(server.asked[0][2]["assertion"][0])["target_audience"] == "https://x.run.app"
    server.granting()
    server.replies[IDENTIFY] = (200, {"token": "of-another"})
    with tunnel(google, server) as proxy:
        other = msgspec.structs.replace(question, impersonate="sa@corp.test", proxy=proxy.url)
        assert token(server.service_account(tmp_path), other).token == "of-another"
    assert json.loads(server.asked[-1][2]["json"][0])["audience"] == "https://x.run.app"


def test_a_user_has_no_id_token_for_an_audience(tmp_path: Path) -> None:
    """Google gives one for its own program alone; the way out is told."""
    failure = refused(written(tmp_path, USER), GoogleToken((), audience="https://x.run.app"))
    assert failure.message.endswith("is not one that Google gives tokens for an audience to")
    assert filled(failure.hint, 'act for a service account that may: impersonate = "NAME@PROJECT..."') == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("canary", "is not a JSON object with a login of Google's"),
        ("[]", "is not a JSON object with a login of Google's"),
        ('{"type": "canary-type"}', ""),
        ("{}", "has the type ''; known are authorized_user, service_account"),
        ('{"type": "service_account", "client_email": "canary"}', "lacks something that its type needs"),
        ('{"type": "authorized_user"}', "lacks something that its type needs"),
        ('{"type": "external_account", "audience": "canary"}', "lacks something that its type needs"),
        ('{"type": "impersonated_service_account"}', "lacks something that its type needs"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported(content: str, said: str, tmp_path: Path) -> None:
    """What it holds is not."""
    path = tmp_path / "adc.json"
    path.write_text(content.replace("canary-type", "x"))
    failure = refused(str(path))
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert said in failure.message


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    """With what makes one."""
    failure = refused(str(tmp_path / "x"))
    assert failure.message == f"the file '{tmp_path / 'x'}' cannot be read: no such file or directory"
    assert filled(failure.hint, "gcloud auth application-default login") == ()


CANARY = {"error_description": "canary"}


@pytest.mark.parametrize(
    ("status", "content", "code", "said"),
    [
        (400, {"error": "invalid_grant", **CANARY}, Code.BAD_CREDENTIALS, "has expired or was revoked"),
        (401, {"error": "deleted_client", **CANARY}, Code.DENIED, "(deleted_client)"),
        (401, {"error": "disabled_client", **CANARY}, Code.DENIED, "OAuth client that it was made with is disabled"),
        (400, {"error": "admin_policy_enforced", **CANARY}, Code.DENIED, "does not trust the application"),
        (400, {"error": "invalid_scope", **CANARY}, Code.DENIED, "one of the scopes is not known"),
        (403, {"error": {"status": "PERMISSION_DENIED", "message": "canary"}}, Code.BAD_CREDENTIALS, "refuses"),
        (400, {"error": "invalid_grant", "error_subtype": "invalid_rapt"}, Code.BAD_CREDENTIALS, "new login"),
        (
            400,
            {
                "error": "invalid_grant",
                "error_description": "Invalid JWT: Token must be in a reasonable timeframe. canary",
            },
            Code.BAD_CREDENTIALS,
            "this machine's clock is wrong",
        ),
        (
            503,
            {"error": "backend_error", **CANARY},
            Code.UPSTREAM_UNAVAILABLE,
            "cannot give a token now",
        ),
        (200, {"canary": "canary"}, Code.BAD_CREDENTIALS, "refuses"),
    ],
)
def test_what_google_refuses_is_reported_in_our_words(
    status: int, content: dict[str, object], code: Code, said: str, *, server: TokenServer, tmp_path: Path
) -> None:
    """Its own may quote anything."""
    path = server.service_account(tmp_path)
    server.replies["/token"] = (status, content)
    failure = refused(path)
    assert failure.code is code
    assert said in failure.message


def test_a_token_server_that_is_down_is_reported_at_once(tmp_path: Path) -> None:
    """The library would keep retrying after the caller has given up."""
    with TokenServer() as server:
        path = server.service_account(tmp_path, token_uri="http://127.0.0.1:1/token")
    assert refused(path).message == "host '127.0.0.1' cannot be reached: connection refused"


@pytest.mark.parametrize("key", ["token_url", "service_account_impersonation_url", "credential_source"])
def test_no_url_of_a_file_of_credentials_is_asked_in_plain_http_on_another_machine(
    server: TokenServer, tmp_path: Path, key: str
) -> None:
    """Each is sent a secret, or gives one. A link-local address of the machine's own cloud is where some have it."""
    server.replies["/subject"] = (200, {"t": "canary-subject"})
    source: dict[str, object] = {
        "url": f"{server.url}/subject",
        "format": {"type": "json", "subject_token_field_name": "t"},
    }
    away = f"http://10.0.0.1{IMPERSONATE}"
    changed: dict[str, object] = {key: source | {"url": away} if key == "credential_source" else away}
    failure = refused(written(tmp_path, external(server, source) | changed))
    assert (failure.code, "'10.0.0.1'" in failure.message) == (Code.DOWNGRADE, True)
    assert filled(failure.hint, "write https:// {}") == ("where its URL is configured",)


def test_the_token_uri_of_a_service_account_is_not_asked_in_plain_http_on_another_machine(
    server: TokenServer, tmp_path: Path
) -> None:
    """What its key signs is good for an hour."""
    assert refused(server.service_account(tmp_path, token_uri="http://10.0.0.1/token")).code is Code.DOWNGRADE


@pytest.mark.parametrize(
    ("status", "content", "code", "remedy"),
    [
        (
            404,
            "canary",
            Code.DENIED,
            "see which service account the machine has: gcloud compute instances describe NAME",
        ),
        (
            403,
            "canary",
            Code.DENIED,
            "see which service account the machine has: gcloud compute instances describe NAME",
        ),
        (503, "canary", Code.UPSTREAM_UNAVAILABLE, "try again in a minute"),
        (200, "canary", Code.UPSTREAM_UNAVAILABLE, "try again in a minute"),
    ],
)
def test_a_machine_without_a_service_account_is_told_apart_from_a_server_that_is_busy(
    status: int, content: str, code: Code, remedy: str
) -> None:
    """Waiting gives it none."""
    with Scripted(
        answering(content.encode(), "Metadata-Flavor: Google", "Content-Type: application/json", status=f"{status} x")
    ) as server:
        address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", server.port))
        failure = refused("", network=Network(lambda _host, _port: [address]))
    assert failure.code is code
    assert filled(failure.hint, remedy) == ()


def test_an_api_that_is_not_switched_on_is_told_with_its_command(server: TokenServer, tmp_path: Path) -> None:
    """Google's text names the project's number, and the same status is for a role that is missing."""
    (tmp_path / "subject").write_text("canary-subject")
    url = f"{server.url}{IMPERSONATE}"
    found = external(server, {"file": str(tmp_path / "subject")}, service_account_impersonation_url=url)
    said = "IAM Service Account Credentials API has not been used in project canary before or it is disabled."
    server.replies[IMPERSONATE] = (403, {"error": {"code": 403, "message": said, "status": "PERMISSION_DENIED"}})
    failure = refused(written(tmp_path, found))
    assert failure.code is Code.DENIED
    assert filled(failure.hint, "gcloud services enable iamcredentials.googleapis.com") == ()
    server.replies[IMPERSONATE] = (200, {"accessToken": "canary", "expireTime": "2099-01-01T00:00:00Z"})
    assert token(written(tmp_path, found)).token == "canary"
