"""``source = "glab"``: the login that ``glab``, GitLab's own program, would use for a host."""

from collections.abc import Iterator
from typing import Final

from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use, Usual


TOKENS: Final = ("GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN")
"""Variables with a token, in the order of glab. Its third one, ``OAUTH_TOKEN``, is left out: judging by its name, it may be a
token for anything."""

HOSTS: Final = ("GITLAB_HOST", "GITLAB_URI", "GL_HOST")
"""Variables that say for which host those are."""

JOB_TOKEN: Final = "CI_JOB_TOKEN"  # noqa: S105  the name of a variable
CONFIG: Final = Usual((*TOKENS, JOB_TOKEN), folder="GLAB_CONFIG_DIR", below="glab-cli", file="config.yml")

OAUTH_USER: Final = "oauth2"
JOB_USER: Final = "gitlab-ci-token"
"""The user names under which GitLab takes an OAuth token, and a job's, for Basic."""


class GlabSource(SourceBase, frozen=True, tag_field="source", tag="glab"):
    """``GITLAB_TOKEN``, the token of a CI job for its own server, then the configuration of ``glab``."""

    def uses(self) -> Iterator[Use]:
        """What may be missing."""
        yield CONFIG
