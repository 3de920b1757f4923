"""Names of registries as docker's configuration has them: hosts, URLs, and paths below a registry."""

from collections.abc import Iterator

from credproxy.core.ask.docker_hub import login_name
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.uri import canonical_authority


def canonical_key(key: str) -> str | None:
    """Give ``host[:port][/path]`` of a key, URL forms normalised to the host (DC-8); None if it names no registry."""
    scheme, _, rest = key.rpartition("://")
    host, _, path = rest.partition("/")
    authority = canonical_authority(host, "http" if scheme == "http" else "https")
    if authority is None:
        return None
    path = path.strip("/")
    if scheme or path in {"v1", "v2", ""}:
        path = "" if path in {"v1", "v2", ""} else path
    return login_name(authority) + (f"/{path}" if path else "")


def login_again(key: str) -> str:
    """The hint for an entry that cannot be used."""
    return f"log in again: docker login {canonical_key(key) or key}"


def hierarchy(host: str, repository: RepositoryName | None) -> Iterator[str]:
    """``host/a/b``, ``host/a``, ``host``: whole segments only (DC-8)."""
    parts = repository.split("/") if repository else []
    for count in range(len(parts), -1, -1):
        yield "/".join([host, *parts[:count]])
