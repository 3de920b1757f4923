"""How Bazel's options for remote services affect a helper for the same host (docs/design/clients.md#how-bazel-calls-it)."""

import re
from collections.abc import Callable, Iterator, Sequence

from credproxy.doctor.bazelrc_reader import Option
from credproxy.doctor.finding import Finding, Topic


_REMOTE = ("remote_cache", "remote_executor", "remote_downloader")
_SERVERS = {
    "remote_header": _REMOTE,
    "remote_cache_header": ("remote_cache",),
    "remote_exec_header": ("remote_executor",),
    "remote_downloader_header": ("remote_downloader",),
    "bes_header": ("bes_backend",),
}
"""Each header option, and the options that name the servers that the header is sent to."""

_ENDPOINTS = frozenset({*_REMOTE, "bes_backend"})
_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(?:([^/?#]*)@)?(\[[^\]/?#]*\]|[^:/?#@]*)(?::[0-9]+)?(?:[/?#].*)?")

topic = Topic("bazel")


def check(
    options: Sequence[Option], answered: Callable[[str], bool], *, edit: Callable[[str], str]
) -> Iterator[Finding]:
    """Find headers that duplicate the helper's, and URLs that keep Bazel from asking it. No value is ever shown.

    Args:
        options: of all files.
        answered: whether a helper answers for a host.
        edit: the command that opens a ``FILE:LINE``.
    """
    for option in options:
        if option.name in _SERVERS and option.value.partition("=")[0].strip().lower() == "authorization":
            yield from _header(option, options, answered, edit)
        elif option.name in _ENDPOINTS:
            yield from _login(option, edit)


def _header(
    option: Option, options: Sequence[Option], answered: Callable[[str], bool], edit: Callable[[str], str]
) -> Iterator[Finding]:
    servers = [_host(other.value) for other in options if other.name in _SERVERS[option.name]]
    doubled = dict.fromkeys(host for host in servers if host and answered(host))
    said = f"{option.where}: --{option.name}=authorization=... is sent beside the helper's header"
    if doubled:
        yield topic.warning(
            f"{said} to {', '.join(map(repr, doubled))}: a request then carries two", edit(option.where)
        )
    elif not servers:
        yield topic.note(f"{said}, if a helper answers for the server, which no file names", edit(option.where))


def _login(option: Option, edit: Callable[[str], str]) -> Iterator[Finding]:
    found = _URL.fullmatch(option.value)
    if found is None or not found[2]:
        return
    yield topic.warning(
        f"{option.where}: the URL of --{option.name} holds a login, so Bazel asks no helper for {found[3]!r}",
        f"take it out of the file, and let the helper give it: {edit(option.where)}",
    )


def _host(url: str) -> str:
    found = _URL.fullmatch(url)
    return "" if found is None else found[3].lower()
