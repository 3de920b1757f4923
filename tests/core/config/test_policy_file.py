"""rules_img's policy files: its own table of cases, what is stricter here, and how a refusal names a rule."""

import contextlib
import json

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.config.config_checks import RULES
from credproxy.core.config.parse import ConfigError
from credproxy.core.config.policy_file import LIMIT, load_policy
from credproxy.core.errors import Code, Failed
from credproxy.core.policy.policy import Policy
from credproxy.core.policy.routing import Router
from credproxy.core.policy.rules import Operation


PATH = "/etc/credproxy/policy.yaml"

DOCUMENTED = """
{
  "version": 1,
  "defaultAction": "deny",
  "rules": [
    {
      "description": "explicitly forbid the secret repo (before any broader allow)",
      "action": "deny", "registry": "docker.acme.corp", "repository": "secret",
      "operations": ["blob:read", "blob:write", "manifest:read", "manifest:write"]
    },
    {
      "description": "docker.acme.corp/team-a/** is fully writable (push)",
      "action": "allow", "registry": "docker.acme.corp", "repository": "team-a/**",
      "operations": ["blob:read", "blob:write", "manifest:read", "manifest:write"]
    },
    {
      "description": "everything else under docker.acme.corp is read-only (pull)",
      "action": "allow", "registry": "docker.acme.corp", "repository": "**",
      "operations": ["blob:read", "manifest:read"]
    },
    {
      "description": "Docker Hub official images: pull only",
      "action": "allow", "registry": "index.docker.io", "repository": "library/**",
      "operations": ["blob:read", "manifest:read"]
    }
  ]
}
"""
"""The example of rules_img's ``oci-distribution-gateway/README.md``."""

DOCUMENTED_YAML = """\
version: 1
defaultAction: deny
rules:
  - description: explicitly forbid the secret repo
    action: deny
    registry: docker.acme.corp
    repository: secret
    operations: &everything [blob:read, blob:write, manifest:read, manifest:write]
  - action: allow
    registry: docker.acme.corp
    repository: "team-a/**"
    operations: *everything
  - action: allow
    registry: docker.acme.corp
    repository: "**"
    operations: [blob:read, manifest:read]
  - action: allow
    registry: index.docker.io
    repository: library/**
    operations:
      - blob:read
      - manifest:read
"""

KNOWN = "action, description, operations, registry, repository"
OPERATIONS = "blob:read, blob:write, manifest:read, manifest:write, *"
PORT = "'gcr.io:443' has a port, and matches nothing: hosts are compared without it"
RULE = '{"action": "allow", "registry": "gcr.io", "repository": "**", "operations": ["*"]}'


def policy(text: str, path: str = PATH) -> Policy:
    """The policy of a file."""
    found = load_policy(text.encode(), path)
    return Policy(found.rules, Router(()), place=found)


def complaints(text: str, path: str = PATH) -> list[str]:
    """Every mistake of a file."""
    with pytest.raises(ConfigError) as caught:
        load_policy(text.encode(), path)
    return [str(mistake) for mistake in caught.value.mistakes]


def rule(**fields: object) -> str:
    """A file of one rule, whose fields are these or fine."""
    return json.dumps({"version": 1, "rules": [json.loads(RULE) | fields]})


@pytest.mark.parametrize("text", [DOCUMENTED, DOCUMENTED_YAML], ids=["json", "yaml"])
@pytest.mark.parametrize(
    ("registry", "repository", "operation", "allowed"),
    [
        ("docker.acme.corp", "team-a/app", "manifest:write", True),
        ("docker.acme.corp", "team-a/app", "blob:write", True),
        ("docker.acme.corp", "team-a", "blob:write", True),
        ("docker.acme.corp", "secret", "blob:read", False),
        ("docker.acme.corp", "secret", "manifest:read", False),
        ("docker.acme.corp", "other", "manifest:read", True),
        ("docker.acme.corp", "other", "manifest:write", False),
        ("docker.acme.corp", "other", "blob:write", False),
        ("docker.acme.corp:5000", "other", "blob:read", True),
        ("index.docker.io", "library/ubuntu", "blob:read", True),
        ("index.docker.io", "ubuntu", "blob:read", True),
        ("docker.io", "library/ubuntu", "blob:read", True),
        ("index.docker.io", "library/ubuntu", "manifest:write", False),
        ("index.docker.io", "org/app", "blob:read", False),
        ("gcr.io", "whatever", "blob:read", False),
    ],
)
def test_the_documented_example(
    text: str, registry: str, repository: str, operation: Operation, *, allowed: bool
) -> None:
    """rules_img ``policy_test.go``, TestDecide and TestLoadPolicyFileJSONAndYAMLParity."""
    assert (
        policy(text).rules.decide(Authority(registry), RepositoryName(repository), operation=operation).allowed
        is allowed
    )


def test_the_first_rule_that_matches_decides() -> None:
    """TestDecideFirstMatchWins: a broad allow before a deny hides it."""
    allow, deny = RULE, RULE.replace("allow", "deny").replace("**", "bar")
    hidden = policy(f'{{"version": 1, "rules": [{allow}, {deny}]}}')
    assert hidden.rules.decide(Authority("gcr.io"), RepositoryName("bar"), operation="blob:read") == (True, 0)
    effective = policy(f'{{"version": 1, "rules": [{deny}, {allow}]}}')
    assert effective.rules.decide(Authority("gcr.io"), RepositoryName("bar"), operation="blob:read") == (False, 0)
    assert effective.rules.decide(Authority("gcr.io"), RepositoryName("app"), operation="blob:read") == (True, 1)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("version: 1", False),
        ("version: 1\nrules:\n", False),
        ("version: 1\nrules: []\ndefaultAction:\n", False),
        ('version: 1\ndefaultAction: ""', False),
        ("version: 1\ndefaultAction: deny", False),
        ("version: 1\ndefaultAction: allow", True),
        ('{"version": 1, "defaultAction": "allow", "rules": null}', True),
    ],
)
def test_default_action(text: str, *, allowed: bool) -> None:
    """TestDecideDefaultAction: deny unless told, and a rule still comes first."""
    assert (
        policy(text).rules.decide(Authority("gcr.io"), RepositoryName("app"), operation="manifest:write").allowed
        is allowed
    )


def test_a_rule_comes_before_the_default() -> None:
    """``defaultAction: allow`` is for what no rule covers."""
    text = f"version: 1\ndefaultAction: allow\nrules:\n- {RULE.replace('allow', 'deny')}\n"
    made = policy(text)
    assert not made.rules.decide(Authority("gcr.io"), RepositoryName("app"), operation="blob:read").allowed
    assert made.rules.decide(Authority("ghcr.io:8443"), RepositoryName("app"), operation="blob:read") == (True, 1)
    assert (
        made.deciding(Authority("ghcr.io"), RepositoryName("app"), operation="blob:read")
        == f"defaultAction of '{PATH}'"
    )


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [f"{PATH}:1: empty; without rules it is: version: 1"]),
        ("rules: []", [f"{PATH}:1: version: wanted version: 1, the only one there is, not 0"]),
        ("rules: []\nversion: 2", [f"{PATH}:2: version: wanted version: 1, the only one there is, not 2"]),
        ("version: one", [f"{PATH}:1: version: wanted a whole number, not a string"]),
        ("- version: 1", [f"{PATH}:1: wanted a mapping, not a list"]),
        ('{"version": "1"}', [f"{PATH}:1: version: wanted a whole number, not a string; write it without quotes"]),
        ('{"version": true}', [f"{PATH}:1: version: wanted a whole number, not true"]),
        (
            "version: 1\ndefaultAction: permit",
            [f'{PATH}:2: defaultAction: \'permit\' is not an action; wanted "allow" or "deny"'],
        ),
        ("version: 1\nruls: []", [f"{PATH}:2: ruls: there is no such key; did you mean 'rules'?"]),
        (
            "version: 1\npeers: []",
            [f"{PATH}:2: peers: there is no such key; known here: defaultAction, rules, version"],
        ),
        (
            f"version: 1\nrules:\n- {RULE[:-1]},\n   identity: x}}",
            [
                f"{PATH}:4: rules[0].identity: there is no such key; known here: {KNOWN}",
            ],
        ),
        ("version: 1\nrules: x", [f"{PATH}:2: rules: wanted a list of rules, not a string"]),
        (
            "version: 2\nrulez: x\nrules:\n- {acton: allow}",
            [
                f"{PATH}:1: version: wanted version: 1, the only one there is, not 2",
                f"{PATH}:2: rulez: there is no such key; did you mean 'rules'?",
                f"{PATH}:4: rules[0].acton: there is no such key; did you mean 'action'?",
                f'{PATH}:4: rules[0].registry: \'\' is not a registry; wanted a host, "*.suffix" or "*"',
                f"{PATH}:4: rules[0].repository: '' matches no repository; wanted a pattern like \"my-org/**\"",
                f'{PATH}:4: rules[0].operations: wanted at least one, such as "blob:read"',
            ],
        ),
        (
            "version: 1\nrules:\n- action: permit\n  registry: gcr.io:443\n  repository: A\n  operations: [read]\n- {}",
            [
                f'{PATH}:3: rules[0].action: \'permit\' is not an action; wanted "allow" or "deny"',
                f"{PATH}:4: rules[0].registry: {PORT}",
                f"{PATH}:5: rules[0].repository: 'A' matches no repository; wanted a pattern like \"my-org/**\"",
                f"{PATH}:6: rules[0].operations[0]: 'read' is not an operation; known: {OPERATIONS}",
                f'{PATH}:7: rules[1].action: \'\' is not an action; wanted "allow" or "deny"',
                f'{PATH}:7: rules[1].registry: \'\' is not a registry; wanted a host, "*.suffix" or "*"',
                f"{PATH}:7: rules[1].repository: '' matches no repository; wanted a pattern like \"my-org/**\"",
                f'{PATH}:7: rules[1].operations: wanted at least one, such as "blob:read"',
            ],
        ),
    ],
)
def test_mistakes_have_their_line(text: str, problems: list[str]) -> None:
    """TestCompilePolicyValidation, TestLoadPolicyFileRejectsUnknownField: loud, all at once, with file and line."""
    assert complaints(text) == problems


@pytest.mark.parametrize("operations", [[], None, ["blobs:read"], ["blob:execute"], ["blob:read", "read"]])
def test_operations(operations: object) -> None:
    """TestParseOperations: neither empty nor unknown."""
    (problem,) = complaints(rule(operations=operations))
    assert "rules[0].operations" in problem


@pytest.mark.parametrize(
    "registry", ["", "*.", "foo*", "*foo", "foo.*", "foo*bar", "*.*", "https://gcr.io", "gcr.io/a"]
)
def test_registries(registry: str) -> None:
    """TestCompileHostPatternErrors, and what is not a host."""
    assert complaints(rule(registry=registry)) == [
        f'{PATH}:1: rules[0].registry: {registry!r} is not a registry; wanted a host, "*.suffix" or "*"'
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"version": 1, "rules": []}\n{"version": 1, "rules": []}', "p.json"),
        ('{"version": 1, "rules": []}  not json', "p.json"),
        ("version: 1\nrules: []\n---\nversion: 1\nrules: []\n", "p.yaml"),
        ("version: 1\nrules: []\n", "p.json"),
        ("{not json", "p.yaml"),
        (f'{{"version": 1, "rules": [{RULE}], "rules": []}}', "p.json"),
        (f"version: 1\nrules: []\nrules:\n- {RULE}", "p.yaml"),
    ],
)
def test_nothing_is_dropped_in_silence(text: str, path: str) -> None:
    """TestLoadPolicyFileRejectsTrailingContent; a file that begins with a brace, or is called ``.json``, is JSON."""
    (problem,) = complaints(text, path)
    assert problem.startswith(f"{path}:")


@pytest.mark.timeout(60)  # four thousand rules, twice, beside three other processes
def test_a_file_has_bounds() -> None:
    """1 MiB and 4,096 rules (PY25), and it is text."""
    with pytest.raises(ConfigError, match=f"larger than {LIMIT} bytes"):
        load_policy(b"#" * (LIMIT + 1), PATH)
    with pytest.raises(ConfigError, match=r"policy\.yaml:2: not in UTF-8"):
        load_policy(b"version: 1\n# \xff", PATH)
    full = f'{{"version": 1, "rules": [{", ".join([RULE] * RULES)}]}}'
    assert len(load_policy(full.encode(), "p.json").rules) == RULES
    (problem,) = complaints(f'{{"version": 1, "rules": [{", ".join([RULE] * (RULES + 1))}]}}', "p.json")
    assert problem == f"p.json:1: rules[{RULES}]: more than {RULES} rules"


def test_where_each_rule_stands() -> None:
    """For warnings: the lines of the rules, and of the default that is one."""
    assert load_policy(DOCUMENTED_YAML.encode(), PATH).lines == (4, 9, 13, 17)
    found = load_policy(f"version: 1\nrules:\n- {RULE}\ndefaultAction: allow\n".encode(), PATH)
    assert found.lines == (3, 4)


def test_a_refusal_names_the_rule_of_the_file() -> None:
    """The user can open the file at that rule."""
    with pytest.raises(Failed) as caught:
        policy(DOCUMENTED).require(Authority("docker.acme.corp"), RepositoryName("secret"), "blob:read")
    failure = caught.value.failure
    assert failure.code is Code.POLICY_DENIED
    assert failure.message == f"rules[0] of '{PATH}' denies build actions blob:read of 'secret' at 'docker.acme.corp'"
    assert failure.hint == (
        f"the first rule that matches decides: one that allows it has to come before rules[0] of '{PATH}'"
    )


@pytest.mark.parametrize(("text", "start"), [(DOCUMENTED, "{"), (DOCUMENTED_YAML, "- {")], ids=["json", "yaml"])
@pytest.mark.parametrize("operation", ["blob:read", "manifest:write"])
def test_what_no_rule_speaks_of_is_refused_with_the_rule_to_add(text: str, start: str, operation: Operation) -> None:
    """In the file's own format: added there, it allows what was refused."""
    made = policy(text)
    with pytest.raises(Failed) as caught:
        made.require(Authority("reg.test:5000"), RepositoryName("org/app"), operation)
    assert caught.value.failure.message == f"no rule allows build actions {operation} of 'org/app' at 'reg.test:5000'"
    before, colon, line = caught.value.failure.hint.partition(": ")
    assert before + colon == f"add to the rules of '{PATH}': "
    assert line.startswith(start)
    changed = f"{text}  {line}\n" if start == "- {" else text.replace("\n  ]", f",\n  {line}\n  ]")
    policy(changed).require(Authority("reg.test:5000"), RepositoryName("org/app"), operation)


@given(st.text(max_size=200), st.sampled_from(["p.json", "p.yaml"]))
def test_no_file_raises_anything_else(text: str, path: str) -> None:
    """Fuzz: a file is a policy, or its mistakes are reported."""
    with contextlib.suppress(ConfigError):
        load_policy(text.encode("utf-8", "surrogatepass"), path)
