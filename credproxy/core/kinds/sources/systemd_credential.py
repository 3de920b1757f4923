"""``source = "systemd-credential"``: a credential that systemd gives to the service. Source: systemd.exec(5), "Credentials"."""

import re
from collections.abc import Iterator
from typing import Final

from credproxy.core.formats.checks import Problem, user
from credproxy.core.formats.toml_types import PublicText, UserName
from credproxy.core.kinds.sources.base import SourceBase


FOLDER: Final = "CREDENTIALS_DIRECTORY"
"""The variable that names where systemd has put them for this service."""

_NAME: Final = re.compile(r"(?!\.{1,2}$)[!-.0-9;-~]{1,255}")
"""Printable, and the name of a file. Source: systemd's credential_name_valid()."""


class SystemdCredentialSource(SourceBase, frozen=True, tag_field="source", tag="systemd-credential"):
    """The content of ``$CREDENTIALS_DIRECTORY/NAME``, without one trailing newline."""

    name: PublicText
    username: UserName | None = None

    def problems(self) -> Iterator[Problem]:
        """Its name, and that of the user."""
        if _NAME.fullmatch(self.name) is None:
            yield ("name",), "wanted the name of a credential, as LoadCredential= of the unit has it"
        yield from user("username", self.username)
