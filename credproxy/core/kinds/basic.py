"""``provider = "basic"``: ``Authorization: Basic`` from a stored login, as with netrc. Source: RFC 7617."""

from typing import ClassVar, Literal

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import PlainSecret, Stored, UserPassword
from credproxy.core.ask.stored import another_place, unreadable, usable
from credproxy.core.ask.target import Target
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.core.kinds.sources.netrc import NetrcSource


_NAME_IT = 'name it in the credentials of its [[host]]: username = "NAME"; a token alone goes with provider = "header"'
_REGISTRY = 'a token that docker stores is for a registry: provider = "oci" in its [[host]]'


class BasicHost(DressedHost, frozen=True, tag_field="provider", tag="basic"):
    """``Authorization: Basic`` from a stored login."""

    source_keys: ClassVar[tuple[str, ...]] = ("credentials",)
    empty: ClassVar[str] = "holds no user name and password, which Basic needs"
    remedy: ClassVar[str] = "store a login there, with a user name and a password"
    note: ClassVar[str] = "basic handed out"
    login_example: ClassVar[str] = "credproxy login files.corp.example -u me"
    login_asks: ClassVar[Literal["password", "token"]] = "password"

    credentials: Sources = (LoginSource(), NetrcSource())

    def setup(self, target: Target) -> str:
        """Store one."""
        return self.log_in(target) or another_place("credentials")

    def width(self, target: Target) -> Width:
        """One answer per host: a source may have a different login for each."""
        return (target.authority,)

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """Only a user name with a password can be sent."""
        del width
        if not isinstance(stored, UserPassword):
            raise unreadable(name, self.empty, hint=_NAME_IT if isinstance(stored, PlainSecret) else _REGISTRY)
        usable(stored, name, hint=self.remedy)
        return (("Authorization", (basic(stored),)),)
