"""A policy file of rules_img's ``oci-distribution-gateway``, read into the rules of our one policy.

::

    version: 1
    defaultAction: deny                 # or allow; deny unless told
    rules:                              # the first that matches decides
      - description: what it is for     # free text
        action: allow                   # or deny
        registry: ghcr.io               # a host, "*.suffix" or "*"; hosts have no port here, and mean each
        repository: "my-org/**"
        operations: [blob:read, manifest:read]

Strict, as there: an unknown field, an empty list or a second document is an error. Stricter in one respect: a pattern that
no registry or repository can match is also an error.
Source: rules_img ``img_tool/pkg/serve/gateway/policy.go``, ``img_tool/cmd/oci-distribution-gateway/README.md``.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import msgspec

from credproxy.core.ask.names import has_port, without_port
from credproxy.core.config.config_checks import RULES, is_registry, is_repository_pattern
from credproxy.core.config.parse import ConfigError, Mistake, decode, shown
from credproxy.core.formats.documents import Document, DocumentError, read_json, read_yaml
from credproxy.core.formats.shapes import Shape, fit
from credproxy.core.formats.toml_lines import Path
from credproxy.core.policy.operations import EVERYTHING, READ
from credproxy.core.policy.registries import ANY_PORT
from credproxy.core.policy.rules import ActionRule, Operation


LIMIT = 1024 * 1024
"""Bytes of a file."""

_FORMS = {
    "version": "1",
    "rules": "a list of rules",
    "operations": "a list such as [blob:read, manifest:read]",
}
_OPERATIONS = get_args(Operation)


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    action: str = ""
    registry: str = ""
    repository: str = ""
    operations: tuple[str, ...] | None = None
    description: str | None = None


class _PolicyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int = 0
    default_action: str | None = msgspec.field(default=None, name="defaultAction")
    rules: tuple[_Rule, ...] | None = None


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What a file says. Source: policy.RulesLocation.

    Attributes:
        path: of the file.
        rules: in its order; last, a rule for ``defaultAction: allow``.
        paths: where each rule is in the file, such as ``("rules", 2)``.
        lines: 1-based, for each rule.
        is_json: whether it is written in JSON.
    """

    path: str
    rules: tuple[ActionRule, ...]
    paths: tuple[Path, ...]
    lines: tuple[int, ...]
    is_json: bool

    def name(self, index: int) -> str:
        """Such as ``rules[2] of '/etc/credproxy/policy.yaml'``."""
        return f"{shown(self.paths[index])} of {self.path!r}"

    def remedy(self, *, registry: str, repository: str, write: bool) -> str:
        """The lines to add to the file, in its format."""
        return f"add to the rules of {self.path!r}: {self.rule_text(registry=registry, repository=repository, write=write)}"

    def remedy_for(self, url: str) -> str:
        """Where to add a rule for URLs, which its format does not have."""
        rule = f'[[actions.rule]] action = "allow", url = {json.dumps(url)}'
        return f"rules for URLs stand in the configuration, in place of policy_file: {rule}"

    def rule_text(self, *, registry: str, repository: str, write: bool) -> str:
        """One rule as one line: a JSON object, which is also YAML."""
        host = without_port(registry)
        operations = EVERYTHING if write else READ
        rule = {"action": "allow", "registry": host, "repository": repository, "operations": operations}
        return f"{'' if self.is_json else '- '}{json.dumps(rule)}"


def load_policy(content: bytes, path: str) -> PolicyFile:
    """Read a policy file.

    Args:
        content: JSON if ``path`` ends with ``.json`` or the text begins with ``{``, else YAML.
        path: for messages, and for the names of rules.

    Raises:
        ConfigError: with every mistake; only text that cannot be read as JSON or YAML hides the others.
    """
    text = _text(content, path)
    is_json = path.lower().endswith(".json") or text.lstrip().startswith("{")
    try:
        document = (read_json if is_json else read_yaml)(text)
    except DocumentError as error:
        raise ConfigError([Mistake(path, error.line, "", error.problem)]) from None
    if document.value is None:
        raise ConfigError([Mistake(path, 1, "", "empty; without rules it is: version: 1")])
    # A YAML scalar is its text: version is the one field that wants a number.
    fitted = fit(document.value, Shape(_PolicyDocument, _FORMS, "a mapping", brackets=False, quoted=not is_json))
    found = [*fitted.mistakes]
    policy = msgspec.convert(fitted.value or {}, _PolicyDocument, strict=is_json)
    if fitted.value is not None:
        found += fitted.meant(_check(policy))
    if found:
        mistakes = [Mistake(path, _line(document, at), shown(at), problem) for at, problem in found]
        raise ConfigError(sorted(mistakes, key=lambda mistake: mistake.line))
    return _compiled(policy, document, path, is_json=is_json)


def _text(content: bytes, path: str) -> str:
    if len(content) > LIMIT:
        raise ConfigError([Mistake(path, 0, "", f"larger than {LIMIT} bytes")])
    return decode(content, path)


def _line(document: Document, at: Path) -> int:
    return next((document.lines[at[:end]] for end in range(len(at), -1, -1) if at[:end] in document.lines), 1)


def _check(policy: _PolicyDocument) -> Iterator[tuple[Path, str]]:
    if policy.version != 1:
        yield ("version",), f"wanted version: 1, the only one there is, not {policy.version}"
    if policy.default_action not in {None, "", "allow", "deny"}:
        yield ("defaultAction",), f'{policy.default_action!r} is not an action; wanted "allow" or "deny"'
    rules = policy.rules or ()
    if len(rules) > RULES:
        yield ("rules", RULES), f"more than {RULES} rules"
    for index, rule in enumerate(rules[:RULES]):
        for at, problem in _check_rule(rule):
            yield ("rules", index, *at), problem


def _check_rule(rule: _Rule) -> Iterator[tuple[Path, str]]:
    if rule.action not in {"allow", "deny"}:
        yield ("action",), f'{rule.action!r} is not an action; wanted "allow" or "deny"'
    if has_port(rule.registry):
        yield ("registry",), f"{rule.registry!r} has a port, and matches nothing: hosts are compared without it"
    elif rule.registry != "*" and not is_registry(rule.registry):
        yield ("registry",), f'{rule.registry!r} is not a registry; wanted a host, "*.suffix" or "*"'
    if not is_repository_pattern(rule.repository):
        yield ("repository",), f'{rule.repository!r} matches no repository; wanted a pattern like "my-org/**"'
    yield from _check_operations(rule.operations or ())


def _check_operations(operations: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    if not operations:
        yield ("operations",), 'wanted at least one, such as "blob:read"'
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            yield ("operations", index), f"{operation!r} is not an operation; known: {', '.join(_OPERATIONS)}"


def _compiled(policy: _PolicyDocument, document: Document, path: str, *, is_json: bool) -> PolicyFile:
    rules = [
        ActionRule(
            "allow" if rule.action == "allow" else "deny",
            rule.registry if rule.registry == "*" else f"{rule.registry}{ANY_PORT}",
            rule.repository,
            tuple(known for known in _OPERATIONS if known in (rule.operations or ())),
        )
        for rule in policy.rules or ()
    ]
    paths: list[Path] = [("rules", index) for index in range(len(rules))]
    if policy.default_action == "allow":
        rules.append(ActionRule("allow", "*", "**", ("*",)))
        paths.append(("defaultAction",))
    return PolicyFile(path, tuple(rules), tuple(paths), tuple(_line(document, at) for at in paths), is_json)
