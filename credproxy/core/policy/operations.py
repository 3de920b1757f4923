"""What a request does to a repository, in the words of the actions policy.

Source: rules_img ``img_tool/pkg/serve/gateway/classify.go``.
"""

from credproxy.core.ask.endpoint import Kind
from credproxy.core.policy.rules import Operation


READ: tuple[Operation, ...] = ("blob:read", "manifest:read")
"""What pulling takes."""

EVERYTHING: tuple[Operation, ...] = (*READ, "blob:write", "manifest:write")
"""What pushing takes: a registry's push token can overwrite tags and read everything, whatever was asked for."""


def needed(method: str, path: str, *, kind: Kind) -> tuple[Operation, ...]:
    """Give the operations of which one has to be allowed; none if nothing allows this method.

    Each step of an upload writes, and so does any method but GET and HEAD; a HEAD is part of pulling and of
    pushing.

    Args:
        method: in upper case.
        path: of an endpoint that names a repository.
        kind: of the path, as ``classify`` reads it.
    """
    if kind is Kind.UPLOAD:
        return ("blob:write",)
    read = read_operation(path)
    if method == "GET":
        return (read,)
    if kind is Kind.READ and read == "manifest:read":
        return (read,) if method == "HEAD" else ()
    write: Operation = "blob:write" if read == "blob:read" else "manifest:write"
    return (read, write) if method == "HEAD" else (write,)


def read_operation(path: str) -> Operation:
    """What reading this path is: tags and referrers are read as manifests are."""
    return "blob:read" if path.split("/")[-2:-1] == ["blobs"] else "manifest:read"
