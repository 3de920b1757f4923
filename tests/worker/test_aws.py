"""Keys of Amazon's chain, from each place that it knows, with botocore itself as the client of a stand-in."""

import hashlib
import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import pytest
from botocore.credentials import SSOProvider
from botocore.exceptions import ClientError, LoginTokenLoadError
from botocore.tokens import SSOTokenProvider
from botocore.utils import ContainerMetadataFetcher

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.own_metadata import own_copy
from credproxy.core.ask.worker_messages import AwsAccess, AwsChain
from credproxy.core.errors import Code, Failed, Failure
from credproxy.worker.aws import aws_access
from credproxy.worker.aws_refusals import told
from tests.hints import filled
from tests.worker.amazon import END, Amazon


ROLE = "arn:aws:iam::123456789012:role/build"
UNTIL = datetime(2099, 1, 1, tzinfo=UTC).timestamp()
SESSION = ("ASIAROLE", "canary-role", "canary-session", UNTIL)
PLAIN = "aws_access_key_id = AKID\naws_secret_access_key = canary-plain\n"


@pytest.fixture
def amazon() -> Iterator[Amazon]:
    """Every service of Amazon's that is asked."""
    with Amazon() as running:
        yield running


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, amazon: Amazon, tmp_path: Path) -> Path:
    """A home, in an environment without anything else of Amazon's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", amazon.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for library in (SSOProvider, SSOTokenProvider):  # they have read HOME when they were imported
        monkeypatch.setattr(library, "_SSO_TOKEN_CACHE_DIR", str(tmp_path / ".aws" / "sso" / "cache"))
    (tmp_path / ".aws").mkdir()
    return tmp_path


def config(home: Path, text: str) -> None:
    """Write Amazon's file of profiles."""
    (home / ".aws" / "config").write_text(text)


def found(**question: str) -> tuple[str, str, str, float | None]:
    """What the chain gives."""
    access = aws_access(AwsChain(**question), 5.0)
    assert isinstance(access, AwsAccess)
    return access.key_id, access.secret, access.session_token, access.until


def refused(**question: str) -> Failure:
    """Why there is none; nothing that a library, a server or a program said is in that."""
    with pytest.raises(Failed) as caught:
        aws_access(AwsChain(**question), 5.0)
    assert "canary" not in repr(caught.value.failure)
    return caught.value.failure


def test_a_key_in_plain_and_nothing_at_all(home: Path) -> None:
    """Without a place to ask there is no key, which is not an error."""
    assert found() == ("", "", "", None)
    config(home, f"[default]\n{PLAIN}")
    assert found() == ("AKID", "canary-plain", "", None)


def test_variables_go_before_a_profile_unless_the_rule_names_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the daemon has it, which reads these two itself."""
    config(home, f"[profile p]\n{PLAIN}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_PROFILE", "p")
    assert found()[0] == "ENV"
    assert found(profile="p")[0] == "AKID"


def test_a_profile_may_name_a_role_and_a_rule_may_as_well(home: Path, amazon: Amazon) -> None:
    """The one is assumed with another profile's key, the other with what the chain found."""
    config(home, f"[default]\n{PLAIN}[profile r]\nrole_arn = {ROLE}\nsource_profile = default\nregion = eu-west-1\n")
    amazon.granting_role()
    assert found(profile="r") == SESSION
    assert found(role_arn=ROLE, region="eu-west-1") == SESSION
    assert [form["RoleArn"] for form in amazon.forms] == [ROLE, ROLE]
    assert amazon.forms[1]["RoleSessionName"] == "credproxy"
    assert "AKID/" in amazon.headers["Authorization"]
    assert "/eu-west-1/sts/" in amazon.headers["Authorization"]


def test_the_identity_of_a_job_is_exchanged(home: Path, amazon: Amazon, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Kubernetes: a file and the ARN of a role."""
    (home / "token").write_text("canary-jwt")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(home / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    amazon.granting_role("AssumeRoleWithWebIdentity")
    assert found() == SESSION
    assert amazon.forms[0]["WebIdentityToken"] == "canary-jwt"


def identity(**said: object) -> str:
    """An identity token, whose signature nobody here looks at."""
    parts = ({"alg": "RS256"}, {"iss": "https://ci.test", "sub": "job", "aud": "other", "exp": 4_000_000_000} | said)
    return ".".join((*(b64url(json.dumps(part).encode()) for part in parts), "canary-signature"))


def b64url(content: bytes) -> str:
    """As a JWT has it."""
    return urlsafe_b64encode(content).decode().rstrip("=")


@pytest.mark.parametrize("of", ["variable", "profile"])
def test_an_identity_that_the_role_does_not_take_says_whose_it_is(
    home: Path, amazon: Amazon, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """Amazon's code does not tell which claim is wrong, and the token does not show its own; nothing of its signature is told."""
    path = home / "token"
    config(home, f"[default]\nrole_arn = {ROLE}\nweb_identity_token_file = {path}\nregion = eu-west-1\n")
    if of == "variable":
        (home / ".aws" / "config").unlink()
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(path))
        monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    path.write_text(identity())
    amazon.refusing("AssumeRoleWithWebIdentity", "InvalidIdentityToken", 400)
    failure = refused()
    assert failure.code is Code.DENIED
    assert failure.inside
    assert failure.message == (
        f"the role {ROLE!r} is not to be had with the identity token in {str(path)!r}: Amazon says InvalidIdentityToken; "
        "it is for 'other', from the issuer 'https://ci.test', of the subject 'job'"
    )
    assert (
        filled(
            failure.hint,
            "compare that with the role's trust policy, and with the audiences of the identity provider in IAM",
        )
        == ()
    )
    path.write_text("canary")
    assert refused().message.endswith("it is not a JWT")
    amazon.granting_role("AssumeRoleWithWebIdentity")
    path.write_text(identity(aud="sts.amazonaws.com"))
    assert found() == SESSION


def test_an_identity_that_is_over_is_told_so(home: Path, amazon: Amazon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some servers of the kind say no more than that access is denied; a busy one may pass."""
    (home / "token").write_text(identity(exp=1_000_000_000))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(home / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    amazon.refusing("AssumeRoleWithWebIdentity", "AccessDenied")
    failure = refused()
    assert failure.code is Code.BAD_CREDENTIALS
    assert "; it ended " in failure.message
    assert (
        filled(
            failure.hint,
            "have it made anew: one of a CI job ends with the job, one of a pod is replaced by its kubelet",
        )
        == ()
    )
    amazon.refusing("AssumeRoleWithWebIdentity", "IDPCommunicationError", 400)
    assert refused().code is Code.UPSTREAM_UNAVAILABLE


SSO = """[profile corp]
sso_session = it
sso_account_id = 123456789012
sso_role_name = build
region = eu-west-1
[sso-session it]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
"""


def logged_in(home: Path, end: str = END) -> None:
    """What ``aws sso login`` leaves."""
    folder = home / ".aws" / "sso" / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    token = {
        "startUrl": "https://corp.awsapps.com/start",
        "region": "eu-west-1",
        "accessToken": "canary",
        "expiresAt": end,
    }
    (folder / f"{hashlib.sha1(b'it', usedforsecurity=False).hexdigest()}.json").write_text(json.dumps(token))


def test_single_sign_on_and_the_command_that_renews_it(home: Path, amazon: Amazon) -> None:
    """Never made, over, and refused by Amazon: the remedy is the same, with the profile."""
    config(home, SSO)
    keys = {"accessKeyId": "ASIASSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": int(UNTIL * 1000)}
    amazon.replies["/federation/credentials"] = (200, json.dumps({"roleCredentials": keys}))
    for state in ("none", "over", "refused"):
        if state == "over":
            logged_in(home, "2020-01-01T00:00:00Z")
        if state == "refused":
            logged_in(home)
            amazon.replies["/federation/credentials"] = (401, json.dumps({"__type": "UnauthorizedException"}))
        failure = refused(profile="corp")
        assert failure.code is Code.BAD_CREDENTIALS, state
        assert filled(failure.hint, "aws sso login{}") == (" --profile corp",)
    logged_in(home)
    amazon.replies["/federation/credentials"] = (200, json.dumps({"roleCredentials": keys}))
    assert found(profile="corp") == ("ASIASSO", "s", "t", UNTIL)
    assert amazon.headers["x-amz-sso_bearer_token"] == "canary"


def test_a_container_and_an_instance_are_asked(home: Path, amazon: Amazon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where variables name them; an instance gives a token first (IMDSv2)."""
    del home
    keys = {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "t", "Expiration": END, "Code": "Success"}
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{amazon.url}/creds")
    amazon.replies["/creds"] = (200, json.dumps(keys))
    assert found() == ("ASIA", "s", "t", UNTIL)
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", amazon.url)
    role = "/latest/meta-data/iam/security-credentials/"
    amazon.replies |= {
        "/latest/api/token": (200, "imds-token"),
        role: (200, "build"),
        f"{role}build": (200, json.dumps(keys)),
    }
    assert found()[:3] == ("ASIA", "s", "t")
    assert "/latest/api/token" in amazon.asked
    assert amazon.headers["x-aws-ec2-metadata-token"] == "imds-token"


def test_a_container_that_gives_nothing_may_pass(home: Path, amazon: Amazon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its agent may be starting."""
    del home
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{amazon.url}/creds")
    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    amazon.replies["/creds"] = (404, "canary")
    failure = refused()
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert failure.hint == "try again in a minute"


@pytest.mark.parametrize("how", ["profile", "rule"])
def test_nobody_is_asked_for_the_code_of_a_device(home: Path, amazon: Amazon, how: str) -> None:
    """The library would read it from the terminal."""
    device = "arn:aws:iam::123456789012:mfa/me"
    config(home, f"[default]\n{PLAIN}[profile m]\nrole_arn = {ROLE}\nsource_profile = default\nmfa_serial = {device}\n")
    amazon.granting_role()
    if how == "rule":
        assert found(profile="default", role_arn=ROLE) == SESSION
        return
    failure = refused(profile="m")
    assert failure.code is Code.BAD_CREDENTIALS
    assert failure.message == f"the role wants the code of {device!r} (mfa_serial), and nobody can be asked for it here"
    filled(
        failure.hint,
        "get temporary keys with it yourself, for another profile that the rule names: aws sts get-session-token "
        "--serial-number ARN --token-code CODE",
    )
    assert amazon.asked == []


REFUSALS: Mapping[str, tuple[int, Code, Callable[[str], tuple[str, ...]]]] = {
    "AccessDenied": (
        403,
        Code.DENIED,
        lambda hint: filled(
            hint, "see which identity is used, and whether the role trusts it: aws sts get-caller-identity{}"
        ),
    ),
    "ExpiredToken": (
        403,
        Code.BAD_CREDENTIALS,
        lambda hint: filled(hint, "log in again, then see: aws sts get-caller-identity{}"),
    ),
    "InvalidClientTokenId": (
        403,
        Code.BAD_CREDENTIALS,
        lambda hint: filled(hint, "store one that it knows: aws configure{}"),
    ),
    "SignatureDoesNotMatch": (
        403,
        Code.BAD_CREDENTIALS,
        lambda hint: filled(hint, "store the right one: aws configure{}"),
    ),
    "RequestExpired": (
        400,
        Code.BAD_CREDENTIALS,
        lambda hint: filled(hint, "timedatectl, then aws sts get-caller-identity{}"),
    ),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_of_amazons_names_what_to_do(home: Path, amazon: Amazon, code: str) -> None:
    """By its code; its text is never repeated."""
    status, wanted, followed = REFUSALS[code]
    config(home, f"[profile p]\n{PLAIN}")
    amazon.refusing("AssumeRole", code, status)
    failure = refused(profile="p", role_arn=ROLE)
    assert failure.code is wanted
    assert code in failure.message
    assert followed(failure.hint) == (" --profile p",)
    amazon.granting_role()
    assert found(profile="p", role_arn=ROLE) == SESSION


@pytest.mark.parametrize(("minutes", "said"), [(20, "20 minutes behind"), (-20, "20 minutes ahead")])
def test_a_clock_that_is_off_is_told_from_a_wrong_secret(minutes: int, said: str) -> None:
    """By the date of the answer."""
    date = formatdate(SystemClock().wall() + 60 * minutes, usegmt=True)
    answer = {
        "Error": {"Code": "SignatureDoesNotMatch", "Message": "canary"},
        "ResponseMetadata": {"HTTPHeaders": {"date": date}},
    }
    failure = told(ClientError(answer, "AssumeRole"), AwsChain(), profile="p", said={}).failure  # type: ignore[arg-type]  # botocore-stubs want every member of an answer
    assert (
        failure.message
        == f"Amazon takes no signature of the profile 'p': this machine's clock is {said} (SignatureDoesNotMatch)"
    )
    assert failure.hint == "set the clock: timedatectl set-ntp true"


def test_a_login_of_the_console_is_not_single_sign_on(home: Path) -> None:
    """``aws login`` needs a library of its own, and is another command."""
    config(home, "[profile p]\nlogin_session = arn:aws:iam::123456789012:user/me\nregion = eu-west-1\n")
    failure = refused(profile="p")
    assert failure.code is Code.HELPER_FAILED
    assert failure.hint == own_copy().adding("botocore[crt]")
    over = told(LoginTokenLoadError(error_msg="canary"), AwsChain("p"), profile="p", said={}).failure
    assert over.code is Code.BAD_CREDENTIALS
    assert "canary" not in repr(over)
    assert filled(over.hint, "aws login{}") == (" --profile p",)
    config(home, f"[profile p]\n{PLAIN}")
    assert found(profile="p")[0] == "AKID"


def test_a_program_that_gives_no_key_is_named_and_not_quoted(home: Path) -> None:
    """Its output may hold one."""
    config(home, '[profile p]\ncredential_process = sh -c "echo canary >&2; exit 3"\n')
    failure = refused(profile="p")
    assert failure.code is Code.HELPER_FAILED
    assert filled(failure.hint, "see what it says: aws configure export-credentials{}") == (" --profile p",)
    keys = {"Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": END}
    (home / "keys").write_text(json.dumps(keys))
    config(home, f"[profile p]\ncredential_process = cat {home}/keys\n")
    assert found(profile="p") == ("ASIA", "s", "t", UNTIL)


INCOMPLETE: Mapping[str, str] = {
    "role without a source": f"[profile p]\nrole_arn = {ROLE}\n",
    "role of nobody": f"[profile p]\nrole_arn = {ROLE}\nsource_profile = gone\n",
    "session that is nowhere": "[profile p]\nsso_session = gone\nsso_account_id = 1\nsso_role_name = r\n",
    "half of a key": "[profile p]\naws_access_key_id = canary\n",
}


@pytest.mark.parametrize("text", INCOMPLETE.values(), ids=INCOMPLETE.keys())
def test_a_profile_that_lacks_something_is_named(home: Path, text: str) -> None:
    """With the command that shows what it has."""
    config(home, text)
    failure = refused(profile="p")
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert "the profile 'p' is incomplete" in failure.message
    assert filled(failure.hint, "see what it lacks: aws configure list{}") == (" --profile p",)
    config(home, f"[profile p]\n{PLAIN}")
    assert found(profile="p")[0] == "AKID"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("credential_process = /none/x", "leads to '/none/x': no such file or directory"),
        ("credential_process = /", "leads to '/': permission denied"),
        ("credential_process =", "cannot be used (IndexError)"),
        (f"role_arn = {ROLE}\nweb_identity_token_file = /none/t", "leads to '/none/t': no such file or directory"),
        ("credential_process = 'open", "cannot be used (ValueError)"),
    ],
)
def test_what_a_profile_leads_to_is_named(home: Path, text: str, said: str) -> None:
    """Not as an answer that the library cannot read, with a line of its source."""
    config(home, f"[profile p]\n{text}\n")
    failure = refused(profile="p")
    assert (failure.code, failure.message) == (Code.CREDENTIAL_UNREADABLE, f"the profile 'p' {said}")
    assert filled(failure.hint, "see what it lacks: aws configure list{}") == (" --profile p",)


def test_a_profile_that_is_nowhere_is_told(home: Path) -> None:
    """The daemon sees it first, unless the file has changed meanwhile."""
    failure = refused(profile="gone")
    assert failure.message == "the profile 'gone' is in none of the files of Amazon's tools"
    assert filled(failure.hint, "aws configure{}") == (" --profile gone",)
    config(home, f"[profile gone]\n{PLAIN}")
    assert found(profile="gone")[0] == "AKID"


def test_a_busy_service_may_pass(home: Path, amazon: Amazon) -> None:
    """After the library's own two tries, between which it pauses."""
    config(home, f"[default]\n{PLAIN}")
    amazon.refusing("AssumeRole", "Throttling", 400)
    failure = refused(profile="default", role_arn=ROLE)
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert amazon.asked == ["AssumeRole"] * 2


@pytest.mark.parametrize(
    ("status", "content"), [(429, ""), (502, "<html><br>canary"), (503, "null"), (503, '["canary"]')]
)
def test_what_stands_before_a_service_may_be_busy_as_well(
    home: Path, amazon: Amazon, status: int, content: str
) -> None:
    """A balancer's page is not what the library expects, which would have it for a bug."""
    config(home, f"[default]\n{PLAIN}{SSO}")
    logged_in(home)
    amazon.replies["AssumeRole"] = amazon.replies["/federation/credentials"] = (status, content)
    for question in ({"role_arn": ROLE}, {"profile": "corp"}):
        failure = refused(**question)
        assert failure.code is Code.UPSTREAM_UNAVAILABLE
        assert failure.hint == "try again in a minute"


def test_a_key_that_had_ended_when_it_came_is_told(home: Path) -> None:
    """As of a program that remembers for too long, or where the clock is wrong."""
    key = {
        "Version": 1,
        "AccessKeyId": "A",
        "SecretAccessKey": "canary",
        "SessionToken": "t",
        "Expiration": "2020-01-01T00:00:00Z",
    }
    (home / "printed").write_text(json.dumps(key))
    config(home, f"[profile p]\ncredential_process = /bin/cat {home}/printed\n")
    failure = refused(profile="p")
    assert failure.code is Code.EXPIRED_ON_ARRIVAL
    assert failure.message.startswith("the access key that the profile 'p' gave had ended when it came")
    assert filled(failure.hint, "timedatectl, then aws configure export-credentials{}") == (" --profile p",)
    (home / "printed").write_text(json.dumps(key | {"Expiration": END}))
    assert found(profile="p")[0] == "A"


@pytest.mark.parametrize("of", ["variable", "profile"])
def test_the_address_of_an_instances_metadata_is_on_its_own_link(
    home: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """The library asks there by itself, in plain http: a key that anybody on the way could read, or give."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    if of == "variable":
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://imds.test:1338/")
    config(home, "[default]\nec2_metadata_service_endpoint = http://imds.test:1338/\n")
    failure = refused()
    assert failure.code is Code.DOWNGRADE
    assert failure.message.startswith("host 'imds.test'")
    assert ("AWS_EC2_METADATA_SERVICE_ENDPOINT" in failure.hint) is (of == "variable")


@pytest.mark.parametrize("of", ["variable", "profile"])
def test_a_service_of_amazons_is_not_asked_in_plain_http(home: Path, monkeypatch: pytest.MonkeyPatch, of: str) -> None:
    """An address of the environment's, or of the services of a profile; a loopback one serves every other test here."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    if of == "variable":
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://10.0.0.1:4566")
    profile = f"[default]\n{PLAIN}region = eu-west-1\nservices = local\n"
    config(home, f"{profile}[services local]\nsts =\n  endpoint_url = http://10.0.0.1:4566\n")
    failure = refused(role_arn=ROLE)
    assert failure.code is Code.DOWNGRADE
    assert failure.message.startswith("host '10.0.0.1'")
    assert ("AWS_ENDPOINT_URL_STS" in failure.hint) is (of == "variable")
