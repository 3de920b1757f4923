"""What the daemon and the worker tell each other: one message per frame, in MessagePack, of these types only.

The worker is the process in which the libraries of clouds run: google-auth, botocore, azure-identity. It is one of ours, but
what it has imported is large, may break, and talks to the network: the daemon takes nothing from it but these messages.

A question for a library is a struct here, in ``LibraryQuestion``, and so is its answer; a function of ``credproxy/worker``
answers it.
"""

from typing import ClassVar, Final, Literal

import msgspec

from credproxy.core.ask.private_message import PrivateMessage
from credproxy.core.errors import Failure


VERSION: Final = 1
"""Version of these messages. Both ends come from one installation; an upgrade under a running daemon may make them differ."""

TO_WORKER: Final = 64 * 1024
"""Bytes of the daemon's frame: names, paths, scopes, and a proxy's URL."""

FROM_WORKER: Final = 256 * 1024
"""Bytes of the worker's frame: the largest is a token, of which an upstream may send BODY_LIMIT."""


AzureWay = Literal["environment", "workload", "managed", "cli"]
"""Where an Azure login may be, in the order in which its library looks."""


class WorkerReport(msgspec.Struct, frozen=True):
    """The worker, for ``status``.

    Attributes:
        state: ``running`` or ``not started``: nothing was asked yet, or nothing for a while.
        pid: None while it does not run.
        calls: questions since the daemon's start.
        restarts: how often it died, broke the rules of its channel or hung, and another one was needed.
        memory_bytes: as the kernel reports; 0 while it does not run, or where that cannot be read.
        installed: extras of the package whose library could be imported.
        missing: the other ones.
        install: the command that installs those into the daemon's environment; "" if none is missing.
    """

    state: Literal["running", "not started"]
    pid: int | None
    calls: int
    restarts: int
    memory_bytes: int
    installed: tuple[str, ...]
    missing: tuple[str, ...]
    install: str = ""


class GoogleObjects(PrivateMessage, frozen=True, array_like=True):
    """The objects of a bucket whose names begin with a prefix, which may be empty."""

    bucket: str
    prefix: str = ""


class GoogleToken(PrivateMessage, frozen=True, array_like=True, tag="google"):
    """A Google token, by Application Default Credentials. Its answer is a LibraryToken.

    Attributes:
        scopes: of an access token, whole URLs.
        credentials: path of the file that they are in, as gcloud or the console writes it; "" for the metadata server of
            this machine.
        audience: of an ID token, which is then wanted instead; "" for an access token.
        impersonate: e-mail address of the service account that is acted for; "" for none.
        objects: all that an access token may read; None for whatever its login may.
        proxy: ``http://[user:password@]host:port``, or None.
        ca_bundle: path of certificates that are trusted besides the system's, or None.
    """

    library: ClassVar[str] = "google-auth"
    by_hand: ClassVar[str] = "gcloud auth application-default print-access-token"

    scopes: tuple[str, ...]
    credentials: str = ""
    audience: str = ""
    impersonate: str = ""
    objects: GoogleObjects | None = None
    proxy: str | None = None
    ca_bundle: str | None = None


class AwsChain(PrivateMessage, frozen=True, array_like=True, tag="aws"):
    """An access key by the chain of Amazon's own tools. Its answer is an AwsAccess.

    Attributes:
        profile: of their files; None for what their variables say, before the profile ``default``.
        role_arn: of a role to assume with what is found, or None.
        region: in which that is asked for; None for that of the profile.
    """

    library: ClassVar[str] = "botocore"
    by_hand: ClassVar[str] = "aws sts get-caller-identity"

    profile: str | None = None
    role_arn: str | None = None
    region: str | None = None


class AwsAccess(PrivateMessage, frozen=True, array_like=True, tag="aws-access"):
    """An access key.

    Attributes:
        key_id: "" if there is none anywhere.
        secret: that goes with it.
        session_token: likewise; "" for a lasting one.
        until: POSIX seconds of its end, by this machine's clock; None if it does not end.
    """

    key_id: str
    secret: str
    session_token: str = ""
    until: float | None = None


class AzureToken(PrivateMessage, frozen=True, array_like=True, tag="azure"):
    """An access token of Microsoft Entra ID. Its answer is a LibraryToken.

    Attributes:
        scope: whose API it is for, and ``/.default``.
        ways: where the login is: each is tried, until one has one.
        authority: the host that is asked.
        tenant, client_id: whose login, if there are several; "" for what the environment says.
        proxy: ``http://[user:password@]host:port``, or None.
        ca_bundle: path of certificates that are trusted besides the system's, or None.
    """

    library: ClassVar[str] = "azure-identity"
    by_hand: ClassVar[str] = "az account get-access-token"

    scope: str
    ways: tuple[AzureWay, ...]
    authority: str
    tenant: str = ""
    client_id: str = ""
    proxy: str | None = None
    ca_bundle: str | None = None


class LibraryToken(PrivateMessage, frozen=True, array_like=True, tag="token"):
    """A token that an issuer gave.

    Attributes:
        token: the secret.
        until: POSIX seconds of its end, by this machine's clock; None if it does not say.
        account: whose it is, if the library knows that: an e-mail address.
        project: that pays for requests which are sent with it; "" for its own.
    """

    token: str
    until: float | None = None
    account: str = ""
    project: str = ""


LibraryQuestion = GoogleToken | AwsChain | AzureToken
LibraryAnswer = LibraryToken | AwsAccess


class LibraryCall(PrivateMessage, frozen=True, array_like=True, tag="call"):
    """A question, with a number for its answer, and the seconds for which that is waited for."""

    number: int
    limit: float
    question: LibraryQuestion


class WorkerReady(PrivateMessage, frozen=True, array_like=True, tag="ready"):
    """The first message."""

    version: int


class LibraryAnswered(PrivateMessage, frozen=True, array_like=True, tag="answered"):
    """A question's answer."""

    number: int
    answer: LibraryAnswer


class LibraryFailed(PrivateMessage, frozen=True, array_like=True, tag="failed"):
    """A question's answer: there is none, and why."""

    number: int
    failure: Failure


FromWorker = WorkerReady | LibraryAnswered | LibraryFailed
