"""What a user typed after ``credproxy login``."""

from dataclasses import dataclass

from credproxy.core.ask.target import Target
from credproxy.core.config.settings import Settings
from credproxy.core.kinds import HostRule
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
