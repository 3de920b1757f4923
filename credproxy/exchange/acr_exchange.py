"""A refresh token of an Azure container registry, for an access token of Microsoft Entra ID: one request to the registry.

Source: github.com/Azure/acr/blob/main/docs/AAD-OAuth.md, "Calling POST /oauth2/exchange to get an ACR refresh token".
"""

from collections.abc import Generator
from http import HTTPStatus
from urllib.parse import urlencode

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import USER_AGENT, Dial, Request, Response
from credproxy.core.ask.names import Authority
from credproxy.core.errors import Code, Failed, failed
from credproxy.exchange.statuses import transient
from credproxy.exchange.token_answer import decode_object, is_token


_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def acr_refresh_token(registry: Authority, token: Secret, *, tenant: str) -> Generator[Request, Response, Secret]:
    """Exchange a token.

    Args:
        registry: its host is known to be Azure's, because it gets the token.
        token: an access token for registries.
        tenant: of the login; "" if it is not known.

    Raises:
        Failed: bad_credentials, bad_token, redirect_refused, rate_limited, upstream_unavailable.
    """
    name = f"registry {registry!r}"
    form = {"grant_type": "access_token", "service": registry, "access_token": token.reveal()}
    response = yield Request(
        "POST",
        f"https://{registry}/oauth2/exchange",
        headers=(
            ("Accept", "application/json"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("User-Agent", USER_AGENT),
        ),
        body=Secret(urlencode(form | ({"tenant": tenant} if tenant else {}))),
        dial=Dial(own=True),
        subject=name,
    )
    if response.status != HTTPStatus.OK:
        raise _refused(response, name, tenant)
    value = (decode_object(response.body) or {}).get("refresh_token")
    if not is_token(value):
        raise failed(Code.BAD_TOKEN, f"{name} gave no refresh token that can be used", hint="ask its administrator")
    return Secret(value)


def _refused(response: Response, name: str, tenant: str) -> Failed:
    passing = transient(response, name)
    if passing is not None:
        return passing
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        message = f"{name} redirects, and a login's token is not sent on"
        return failed(Code.REDIRECT_REFUSED, message, hint="ask its administrator")
    if response.status in _REFUSED:
        whose = f"of the tenant {tenant!r}" if tenant else "of Azure's"
        message = f"{name} does not know the login {whose} (status {response.status})"
        return failed(Code.BAD_CREDENTIALS, message, hint='log in to its tenant, and name that: tenant = "..."')
    message = f"{name} answered {response.status} to the exchange of a login"
    return failed(Code.BAD_TOKEN, message, hint="ask its administrator")
