"""The actions socket once more, on a loopback TCP port, for clients that cannot use a Unix socket (T34).

The kernel does not say who connects to a port: other users of the machine may, and a web page through DNS rebinding. So
each request brings a token, names the port's own address as its Host, and has a header that no browser adds on its own.
Any address but a loopback one would need TLS and client authentication, and is refused by the configuration.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog
from aiohttp import web

from credproxy.core.ask.credential import Secret
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.server.peer import Peer
from credproxy.server.responses import failure_response


UNPROVEN: Final = "without a token"
"""The account of connections that have not shown the token: together they have one share."""

REQUIRED: Final = "X-Credproxy-Request"
"""Its value does not matter: a page of another origin cannot add it without a preflight request (as Vault's agent does)."""

WRONG: Final = Failure(
    Code.PEER_REFUSED,
    "the token is missing or wrong",
    "Authorization: Bearer, with the token of actions.listen_token",
)

log = structlog.get_logger("credproxy.server")


Shows = Callable[[Peer, str], Awaitable[bool]]
"""Whether a caller shows the token, by its Authorization. Raises Failed: there is none."""


class Guard:
    """Judges each request of a port.

    Args:
        shows: knows the token that callers must bring.
    """

    def __init__(self, shows: Shows) -> None:
        self._shows = shows

    def refuse(self, failure: Failure) -> web.StreamResponse:
        """Answer with a failure, on a connection that ends with it."""
        log.info("question failed", socket="tcp", path="", code=failure.code.value, reason=failure.message)
        response = failure_response(failure, plain=False)
        response.force_close()
        return response

    async def judge(self, request: web.BaseRequest, peer: Peer, *, port: int) -> None:
        """Let a request pass. Raises Failed(peer_refused)."""
        # In this order: checks that tell an attacker nothing come first, the token last.
        own = {f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not {name.lower() for name in (*hosts, *_authority(request.raw_path))} <= own:
            raise failed(Code.PEER_REFUSED, "the Host header is not this port's own address", hint="use 127.0.0.1:PORT")
        if REQUIRED not in request.headers:
            raise failed(Code.PEER_REFUSED, f"the header {REQUIRED} is missing", hint=f"add {REQUIRED}: true")
        shown = request.headers.getall("Authorization", [])
        if len(shown) != 1 or not _is_text(shown[0]) or not await self._shows(peer, shown[0]):
            raise Failed(WRONG)


def _authority(target: str) -> tuple[str, ...]:
    """What a request target in absolute form names: it counts for more than Host (RFC 9112, section 3.2.2)."""
    _, absolute, rest = target.partition("://")
    return (rest.partition("/")[0],) if absolute and not target.startswith("/") else ()


def _is_text(value: str) -> bool:
    """Whether a field is UTF-8, as a token is: what is not cannot even be passed on."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class TokenOf(Protocol):
    """Gives a token; see ``shows``."""

    def __call__(self, *, anew: bool) -> Awaitable[Secret]:
        """Give it."""
        ...


async def shows(shown: str, token: TokenOf) -> bool:
    """Whether an Authorization shows a token.

    Args:
        shown: as it was sent.
        token: gives the token, with ``anew`` after a look at where it comes from; raises Failed.
    """
    # A program that prints the token may print another one by now, which callers know before we do.
    return await _right(shown, token, anew=False) or await _right(shown, token, anew=True)


async def _right(shown: str, token: TokenOf, *, anew: bool) -> bool:
    scheme, _, proof = shown.partition(" ")
    wanted = (await token(anew=anew)).reveal().encode()
    # The name of a scheme is in any case, and any number of spaces may follow: RFC 9110, section 11.4.
    return hmac.compare_digest(proof.lstrip(" ").encode("utf-8", "replace"), wanted) and scheme.lower() == "bearer"
