"""Files beside the two of Amazon's tools from which an access key is made: another content is another login.

::

    ~/.aws/sso/cache/SHA1.json        of the session's name, or of its start URL: what aws sso login has written
    ~/.aws/login/cache/SHA256.json    of the session: what aws login has written
    web_identity_token_file           the identity token of a job or a pod

A profile may begin with the key of another one, ``source_profile``, whose files count as well. Source: botocore's ``utils.py``,
``SSOTokenLoader``, ``LoginTokenLoader`` and ``FileWebIdentityTokenLoader``.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

from credproxy.core.formats.aws_config import Profiles


LOGIN_CACHE: Final = "AWS_LOGIN_CACHE_DIRECTORY"


def login_files(
    profile: str, credentials: Profiles, *, config: Profiles, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Name the files that a profile's key is made from.

    Args:
        profile: that is chosen.
        credentials: what the first file says.
        config: what the other one says.
        environ: of the daemon: the home, and where what ``aws login`` has written is.
    """
    return tuple(dict.fromkeys(_files(profile, credentials, config=config, environ=environ)))


def _files(profile: str, credentials: Profiles, *, config: Profiles, environ: Mapping[str, str]) -> Iterator[str]:
    home = environ.get("HOME", "")
    logins = environ.get(LOGIN_CACHE) or (f"{home}/.aws/login/cache" if home else "")
    seen: set[str] = set()
    while profile and profile not in seen:
        seen.add(profile)
        said = {**config.get(profile, {}), **credentials.get(profile, {})}
        if home and (session := said.get("sso_session") or said.get("sso_start_url")):
            digest = hashlib.sha1(session.encode(), usedforsecurity=False).hexdigest()
            yield f"{home}/.aws/sso/cache/{digest}.json"
        if logins and (session := said.get("login_session")):
            yield f"{_expanded(logins, home)}/{hashlib.sha256(session.encode()).hexdigest()}.json"
        if path := said.get("web_identity_token_file"):
            yield path
        profile = said.get("source_profile", "")


def _expanded(path: str, home: str) -> str:
    return f"{home}{path[1:]}" if path.startswith("~/") else path.rstrip("/")
