"""``provider = "huggingface"``: models, datasets and files of Hugging Face's Hub, and its API.

The Hub redirects each large file to a host of its storage, with a signature in the URL: those hosts get nothing.
Source: huggingface.co/docs/hub, "User access tokens"; huggingface_hub ``file_download.py``.
"""

import re
from collections.abc import Mapping
from typing import ClassVar, Final, Self

from credproxy.core.ask.credential import PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.stored import another_place, unreadable, usable
from credproxy.core.ask.target import Target
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.hf import HOSTS, SHELVES, HfSource
from credproxy.core.kinds.sources.login import LoginSource


_STORAGE: Final = re.compile(r"(cdn-lfs[^.]*|([a-z0-9-]+\.)+(xethub|cdn))\.(huggingface\.co|hf\.co)")
"""Hosts that the Hub redirects to, or gives tokens of their own for."""

_OWNER: Final = 2
"""Segments of a path that say whose something is: the owner, and the repository."""


class HuggingfaceHost(DressedHost, frozen=True, tag_field="provider", tag="huggingface"):
    """Hugging Face's Hub. A rule for an owner answers wherever the owner's models, datasets and spaces are."""

    ignores_case: ClassVar[bool] = True
    calls: ClassVar[str] = "token"
    lacks: ClassVar[str] = "token"
    empty: ClassVar[str] = "holds no token"
    source_keys: ClassVar[tuple[str, ...]] = ("credentials",)
    remedy: ClassVar[str] = "log in again with hf auth login, or store a token of Hugging Face's there"
    login_example: ClassVar[str] = "credproxy login huggingface.co"
    login_refused: ClassVar[frozenset[int]] = frozenset({401})

    credentials: Sources = (LoginSource(), HfSource())

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """Both names of the Hub."""
        return tuple(cls(host) for host in HOSTS)

    def matches(self) -> tuple[str, ...]:
        """Where the same owner's things are, too."""
        host, _, path = self.match.partition("/")
        path = path.strip("/")
        if host.lower() not in HOSTS or path.count("/") >= _OWNER:
            return (self.match,)
        if not path:
            return (self.match, *(other for other in HOSTS if other != host.lower()))
        if path.partition("/")[0] in {"datasets", "spaces", "api"}:
            return (self.match,)
        places = (path, *(f"{shelf}/{path}" for shelf in SHELVES))
        return (self.match, *(f"{one}/{place}" for one in HOSTS for place in places if f"{one}/{place}" != self.match))

    def setup(self, target: Target) -> str:
        """Log in with Hugging Face's own program, unless the rule names another place."""
        del target
        named = any(isinstance(source, HfSource) for _, source in self.secrets())
        return "hf auth login" if named else another_place("credentials")

    def withheld(self, target: Target) -> str:
        """Why a signed URL, and one where the Hub takes no token, get nothing."""
        if is_signed(target):
            return REASON
        if _STORAGE.fullmatch(target.host):
            return "it is storage that the Hub redirects to, with what that needs in the URL"
        return ""

    def login_page(self, target: Target) -> str:
        """The page that tells whose token it is."""
        return f"{target.origin}/api/whoami-v2"

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """A token, whatever name is stored with it."""
        del width
        usable(stored, name, hint=self.remedy)
        if not isinstance(stored, PlainSecret | UserPassword):
            raise unreadable(name, "is docker's token for a registry, and not one of Hugging Face's", hint=self.remedy)
        token = stored.value if isinstance(stored, PlainSecret) else stored.password
        return (("Authorization", (Secret(f"Bearer {token.reveal()}"),)),)

    def about(self, width: Width) -> Mapping[str, str]:
        """What a 401 or 403 may mean."""
        del width
        return {
            "if_403": "a gated model wants its conditions accepted first, at https://huggingface.co/OWNER/MODEL; "
            "a fine-grained token also needs the right to read gated repositories"
        }
