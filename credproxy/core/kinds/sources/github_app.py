"""``source = "github-app"``: a token of one installation of a GitHub App, made with the App's key.

Source: docs.github.com/apps, "Generating an installation access token for a GitHub App".
"""

import re
from collections.abc import Iterator
from typing import ClassVar, Final, Literal

from msgspec import field

from credproxy.core.ask.github_urls import PUBLIC, login_host
from credproxy.core.ask.uri import canonical_authority
from credproxy.core.formats.checks import Problem, absolute
from credproxy.core.formats.toml_types import FilePath, PublicText
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import SecretFile, Use


CONTENTS: Final = "contents"
"""The permission to read files, archives and releases."""

_APP = re.compile(r"[A-Za-z0-9._-]{1,100}")
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]{1,100}")
_PERMISSION = re.compile(r"[a-z_]{1,100}")

_MOST = 500
"""Repositories that GitHub takes in one request."""


class GithubAppSource(SourceBase, frozen=True, tag_field="source", tag="github-app"):
    """A GitHub App: its id, its private key, and which installation of it; by default that of the URL's owner.

    ``repositories`` and ``permissions`` are what its tokens are limited to.
    """

    narrows: ClassVar[bool] = True

    app: PublicText
    key_file: FilePath
    installation: int | None = None
    host: PublicText = PUBLIC
    repositories: tuple[PublicText, ...] = ()
    permissions: dict[str, Literal["read", "write", "admin"]] = field(default_factory=lambda: {CONTENTS: "read"})

    def problems(self) -> Iterator[Problem]:
        """Ids, the path of the key, the host, and what GitHub would not take."""
        if _APP.fullmatch(self.app) is None:
            yield ("app",), "wanted the id of a GitHub App, or its client id, as its settings show it"
        yield from absolute("key_file", self.key_file)
        if self.installation is not None and self.installation < 1:
            yield ("installation",), "wanted the number at the end of the installation's address"
        if canonical_authority(self.host) != self.host or login_host(self.host) != self.host:
            yield ("host",), f"wanted {PUBLIC!r}, a tenant such as 'acme.ghe.com', or the host of an Enterprise server"
        if len(self.repositories) > _MOST or not all(map(_REPOSITORY.fullmatch, self.repositories)):
            yield ("repositories",), "wanted names of repositories without their owner, at most 500"
        if not self.permissions or not all(map(_PERMISSION.fullmatch, self.permissions)):
            yield ("permissions",), 'wanted permissions of GitHub\'s, such as { contents = "read" }'

    def uses(self) -> Iterator[Use]:
        """The key."""
        yield SecretFile(self.key_file, pem=True)
