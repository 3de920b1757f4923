"""botocore's chain of credentials: environment, profiles with their roles, single sign-on and programs, containers, instances.

Each question reads everything again: the daemon remembers, and a library that gave what it had would give what was
refused. What is asked of Amazon goes through our own egress; containers and instances are asked by the library itself,
at addresses that its environment names or that are its own.

Source: botocore/credentials.py of botocore 1.44; docs.aws.amazon.com "Credential provider chain".
"""

import functools
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, NoReturn

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialResolver
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from credproxy.core.ask.worker_messages import AwsAccess, AwsChain
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.worker.aws_refusals import told, wants_code
from credproxy.worker.egress import Egress, check_plain


_SESSION: Final = "credproxy"
"""The name of role sessions, for readers of CloudTrail."""


_ATTEMPTS: Final = 2
"""Of one request: a caller waits for eight seconds, and the library would try for longer."""

_SAYS_NOTHING: Final = b"<ErrorResponse><Error><Code>-</Code></Error></ErrorResponse>"

_REGIONS: Final = {
    "arn:aws-cn:": "cn-north-1",
    "arn:aws-us-gov:": "us-gov-west-1",
    "arn:aws-eusc:": "eusc-de-east-1",
    "arn:aws-iso:": "us-iso-east-1",
    "arn:aws-iso-b:": "us-isob-east-1",
    "arn:aws-iso-e:": "eu-isoe-west-1",
    "arn:aws-iso-f:": "us-isof-south-1",
}


def aws_access(question: AwsChain, limit: float) -> AwsAccess:
    """Look for an access key.

    Returns:
        One without an id where there is none anywhere.

    Raises:
        Failed: as ``aws_refusals.told`` says; upstream_unavailable and what else Egress raises.
    """
    session = Session(profile=question.profile)
    session.register_component("data_loader", _loader())
    session.set_config_variable("max_attempts", _ATTEMPTS)
    try:
        if question.region is not None or session.get_config_variable("region") is None:
            session.set_config_variable("region", question.region or _region(question.role_arn or ""))
        if endpoint := session.get_config_variable("ec2_metadata_service_endpoint"):
            check_plain(endpoint)
        egress = Egress(limit, ca_bundle=session.get_config_variable("ca_bundle"))
        # The stubs do not know that what it returns is used as the answer.
        session.register("before-send", _Sender(egress))  # type: ignore[arg-type]  # its stubs name no arguments
        resolver: CredentialResolver = session.get_component("credential_provider")
        roles = resolver.get_provider("assume-role")
        setattr(roles, "_prompter", _refuse)  # noqa: B010  the only way to it; tests/worker/test_aws.py holds it
        found = resolver.load_credentials()
        if found is None:
            return AwsAccess("", "")
        keys, until = found.get_frozen_credentials(), _seconds(getattr(found, "_expiry_time", None))
        if question.role_arn is None:
            return AwsAccess(keys.access_key or "", keys.secret_key or "", keys.token or "", until)
        return _assumed(session, found, question.role_arn)
    except RecursionError:  # of an answer; below, a RuntimeError is the library's own
        raise
    except (BotoCoreError, ClientError, RuntimeError, ValueError, OSError, IndexError) as error:
        raise told(error, question, profile=_profile(session), said=_scoped(session)) from None


@functools.cache
def _loader() -> Loader:
    """The library's own descriptions of services: reading them takes longer than everything else, and they do not change."""
    return create_loader()


class _Sender:
    """Sends what a client of the library would, in its place."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Send a request. Raises Failed, which the library lets pass."""
        body = request.body.encode() if isinstance(request.body, str) else request.body
        assert body is None or isinstance(body, (bytes, bytearray))  # nothing here is streamed
        headers = {str(name): _text(value) for name, value in request.headers.items()}
        found = self._egress.send(request.method or "GET", request.url or "", headers=headers, body=bytes(body or b""))
        said = found.body
        if found.status != HTTPStatus.OK and not _is_refusal(said):
            said = _SAYS_NOTHING if body and b"Action=" in body else b""
        return AWSResponse(request.url, found.status, HTTPHeaders.from_dict(dict(found.headers)), _ReadBody(said))


def _is_refusal(body: bytes) -> bool:
    """Whether a body is one of Amazon's, not of what is on the way: the library reads it before it looks at the status."""
    try:
        return b"<ErrorResponse" in body or isinstance(json.loads(body), dict)
    except UNREADABLE:
        return False


class _ReadBody:
    """A body that has been read."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        """All of it."""
        yield self._content


def _assumed(session: Session, source: object, role_arn: str) -> AwsAccess:
    """Assume the rule's role, with what the chain found."""
    fetcher = AssumeRoleCredentialFetcher(
        session.create_client, source, role_arn, extra_args={"RoleSessionName": _SESSION}, mfa_prompter=_refuse
    )
    found = fetcher.fetch_credentials()
    until = _seconds(datetime.fromisoformat(found["expiry_time"]))
    return AwsAccess(found["access_key"], found["secret_key"], found["token"], until)


def _region(role_arn: str) -> str:
    """A region in which a role's partition has STS: the library wants one, and a session is good everywhere in its partition."""
    return next((region for partition, region in _REGIONS.items() if role_arn.startswith(partition)), "us-east-1")


def _refuse(prompt: str = "") -> NoReturn:
    """Fail instead of asking for a code: nobody sits at this process, and the library would wait for a terminal."""
    raise wants_code(prompt.partition(" for ")[2].rstrip(": "))


def _seconds(end: datetime | None) -> float | None:
    if end is None:
        return None
    return (end if end.tzinfo is not None else end.replace(tzinfo=UTC)).timestamp()


def _profile(session: Session) -> str:
    try:
        return session.profile or "default"
    except BotoCoreError:
        return "default"


def _scoped(session: Session) -> Mapping[str, object]:
    """What the files say of the profile."""
    try:
        return session.get_scoped_config()
    except BotoCoreError:
        return {}


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
