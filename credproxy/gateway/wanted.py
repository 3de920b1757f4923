"""What a request asks for: the endpoint that policy decides about, and what its token must grant."""

from enum import Enum
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct
from msgspec.structs import replace

from credproxy.core.ask.endpoint import Endpoint
from credproxy.core.ask.http import Method
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.target import Granted, Target
from credproxy.core.policy.rules import Operation


class What(Enum):
    """The kind of thing that a request names."""

    BLOB = "blob"
    MANIFEST = "manifest"
    TAGS = "list of tags"
    REFERRERS = "list of referrers"
    UPLOADS = "place for uploads"
    SESSION = "begun upload"
    OBJECT = "object"

    __hash__ = object.__hash__  # Enum's own is in Python, and slow for a key of many look-ups


class Wanted(Struct, frozen=True):
    """One operation.

    Attributes:
        registry: canonical authority.
        reference: a digest, a tag, or the id of an upload session; "" for a list and for a new upload.
        endpoint: what policy decides about.
        operation: what it does, for messages.
        grants: what the registry's token must grant.
        query: as it goes to the registry.
        digest: from the query of an upload or a mount.
        object: set if the target is not part of a registry; then ``registry`` is its host, and everything about
            repositories is empty.
    """

    method: Method
    registry: Authority
    repository: RepositoryName
    what: What
    reference: str
    endpoint: Endpoint
    operation: Operation | Method
    grants: tuple[Granted, ...]
    query: str = ""
    digest: str = ""
    object: Target | None = None

    @property
    def upstream(self) -> str:
        """What messages call the upstream."""
        return f"{'registry' if self.object is None else 'host'} {self.registry!r}"

    @property
    def described(self) -> str:
        """The operation, for messages: never with a query, which may be a secret."""
        name = self.repository if self.object is None else f"{self.object.origin}{self.object.path}"
        return f"{self.operation} of {name!r}"

    @property
    def path(self) -> str:
        """Its path on the registry; for an upload session, whose path only the registry knows, the one where it was begun."""
        if self.object is not None:
            return self.object.path
        return f"/v2/{self.repository}/{_PLACES[self.what]}{'' if self.what is What.SESSION else self.reference}"

    def unmounted(self) -> "Wanted | None":
        """The upload that a mount becomes if the registry does not mount; None for everything else.

        Source: OCI distribution specification, "Mounting a blob from another repository": 202, and the upload
            continues.
        """
        if self.endpoint.mount_from is None:
            return None
        fields = {name: value for name, value in parse_qsl(self.query) if name not in MOUNT}
        return replace(
            self,
            endpoint=replace(self.endpoint, mount_from=None),
            grants=self.grants[:1],
            query=urlencode(fields, safe=":/"),
            digest=fields.get("digest", ""),
        )

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, so that it may be repeated and redirected."""
        return self.method in {"GET", "HEAD"}


_PLACES = {
    What.BLOB: "blobs/",
    What.MANIFEST: "manifests/",
    What.TAGS: "tags/list",
    What.REFERRERS: "referrers/",
    What.UPLOADS: "blobs/uploads/",
    What.SESSION: "blobs/uploads/",
}

LISTS = frozenset({What.TAGS, What.REFERRERS})

MOUNT = frozenset({"mount", "from"})
"""Forwarded together or not at all: without a source a registry may look for the blob in every repository that our
login can read, and the action would get what it may not read (TX-22). What is left begins an upload."""
