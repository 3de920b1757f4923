"""What a user typed after ``credproxy login``."""

from dataclasses import dataclass

from credproxy.cli.login_words import LoginError
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import parse_uri, plaintext_allowed
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Failed
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.dressed import DressedHost
from credproxy.core.kinds.oauth2 import Flow


@dataclass(frozen=True, slots=True)
class LoginWish:
    """The host and its rule, the user name, and how to try and store the login.

    Attributes:
        settings: in force.
        key: canonical name of the host, with its path.
        target: what is logged in to.
        rule: of it.
        username: "" for one that was not typed.
        password_stdin: whether the secret is on standard input.
        check_url: the page to try it at; "" for the one that the kind knows.
        no_check: whether it is not tried.
        flow: how an identity provider is asked; None for what the rule says.
    """

    settings: Settings
    key: str
    target: Target
    rule: HostRule
    username: str = ""
    password_stdin: bool = False
    check_url: str = ""
    no_check: bool = False
    flow: Flow | None = None


def check_wish(wish: LoginWish) -> None:
    """Look at what was typed, before anybody is asked for a secret.

    Raises:
        LoginError: the secret would travel in plain http, or to a host that the rule of the login does not cover (SC-4); an option
            means nothing there.
    """
    _encrypted(wish.target, wish.rule)
    if not wish.check_url:
        return
    if not isinstance(wish.rule, DressedHost):
        raise LoginError(f"--check-url means nothing for a host of provider {wish.rule.tag()!r}", "leave it out")
    try:
        page = parse_uri(wish.check_url)
    except Failed as error:
        raise LoginError(error.failure.message, _ANOTHER) from None
    if wish.settings.router().match(page) != wish.rule:
        said = f"the rule of the login, {wish.rule.match!r}, is not for {page.authority!r}, which would be sent it"
        raise LoginError(said, _ANOTHER)
    _encrypted(page, wish.rule)
    if wish.no_check:
        raise LoginError("--check-url means nothing together with --no-check", "leave it out")


_ANOTHER = "name another page that wants it, with --check-url"


def _encrypted(target: Target, rule: HostRule) -> None:
    if not plaintext_allowed(target, rule.insecure):
        said = f"the login for {target.authority!r} would travel in plain http, for which its [[host]] needs insecure = true"
        raise LoginError(said, "write https:// in the place of http://")
