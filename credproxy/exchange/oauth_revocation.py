"""Revoking a refresh token: one request, after which the server no longer accepts it. Source: RFC 7009, section 2."""

from collections.abc import Generator
from http import HTTPStatus
from typing import Final

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, failed
from credproxy.exchange.oauth_client import OauthClient, post
from credproxy.exchange.oauth_refusals import error_of
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.statuses import transient


_CODES: Final = frozenset({"unsupported_token_type", "invalid_client", "invalid_request", "unauthorized_client"})
"""Of refusals, that are repeated. Source: RFC 7009, section 2.2.1; RFC 6749, section 5.2."""


def revoke(server: OauthServer, client: OauthClient, *, token: Secret) -> Generator[Request, Response, None]:
    """Revoke a refresh token. Doing it twice does no harm, and a token that the server does not know counts as revoked.

    Args:
        server: has a ``revocation_url``.
        client: that the token was given to.
        token: a refresh token.

    Raises:
        Failed: denied; upstream_unavailable, rate_limited.
    """
    form = (("token", token), ("token_type_hint", "refresh_token"))
    response = yield post(server, server.revocation_url, client=client, form=form)
    if response.status == HTTPStatus.OK:
        return
    if (passing := transient(response, server.subject)) is not None:
        raise passing
    error = error_of(response)
    said = f"{response.status} {error}" if error in _CODES else str(response.status)
    message = f"{server.subject} revokes nothing for the client {client.id!r}: it answered {said}"
    raise failed(Code.DENIED, message, hint="ask its administrator to let the client revoke its tokens")
