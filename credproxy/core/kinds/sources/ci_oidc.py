"""``source = "ci-oidc"``: the identity token of the CI job in which the daemon runs.

Source: docs.github.com "OpenID Connect reference"; docs.gitlab.com ci/secrets/id_token_authentication; circleci.com
"OpenID Connect tokens"; buildkite.com "buildkite-agent oidc"; kubernetes.io "ServiceAccount token volume projection".
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from credproxy.core.ask.empty import blank
from credproxy.core.formats.checks import Problem, absolute, variable
from credproxy.core.formats.toml_types import FilePath, PublicText
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import SecretFile, Use


Platform = Literal["github", "gitlab", "circleci", "buildkite", "kubernetes"]

GITHUB_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
GITHUB_TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105  the name of a variable
CIRCLE_TOKEN: Final = "CIRCLE_OIDC_TOKEN_V2"  # noqa: S105  likewise

MARKS: Final[Mapping[str, Platform]] = {
    "GITHUB_ACTIONS": "github",
    "GITLAB_CI": "gitlab",
    "CIRCLECI": "circleci",
    "BUILDKITE": "buildkite",
}
"""Variables that are ``true`` in every job of a platform."""


class CiOidcSource(SourceBase, frozen=True, tag_field="source", tag="ci-oidc"):
    """The identity token of the CI job for ``audience``: of GitHub Actions, GitLab, CircleCI, Buildkite, or Kubernetes.

    ``variable`` is the one of GitLab's ``id_tokens``, ``path`` the file of a projected volume of Kubernetes.
    """

    audience: PublicText
    platform: Platform | None = None
    variable: PublicText | None = None
    path: FilePath | None = None

    def problems(self) -> Iterator[Problem]:
        """The audience, and options that are for another platform."""
        if blank(self.audience) or not self.audience.isprintable() or self.audience.startswith("-"):
            yield ("audience",), "wanted whom the token is for, such as https://vault.example.com"
        yield from absolute("path", self.path)
        if self.variable is not None:
            yield from variable("variable", self.variable)
        for key, value, platform in (("variable", self.variable, "gitlab"), ("path", self.path, "kubernetes")):
            if value is not None and self.platform not in {None, platform}:
                yield (key,), f'goes with platform = "{platform}" alone'
            if value is None and self.platform == platform:
                yield ("platform",), f'platform = "{platform}" needs {key}'
        if self.variable is not None and self.path is not None:
            yield ("variable",), "wanted a variable or a path, and not both"

    def uses(self) -> Iterator[Use]:
        """The file. The variable exists only in a job, so it is not a mistake if it is missing elsewhere."""
        if self.path is not None:
            yield SecretFile(self.path)

    def where(self, environ: Mapping[str, str]) -> Platform | None:
        """The platform: the one that is named, else the one whose job this environment is; None outside a CI job."""
        if self.platform is not None:
            return self.platform
        if self.path is not None:
            return "kubernetes"
        if self.variable is not None:
            return "gitlab"
        if environ.get(GITHUB_URL):
            return "github"
        return next((platform for mark, platform in MARKS.items() if environ.get(mark, "").lower() == "true"), None)
