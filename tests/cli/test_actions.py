"""``credproxy actions``: rules are added without damage to the file, and the deciding rule is named."""

import shlex
from pathlib import Path

import pytest

from tests.cli.test_commands import configure, home, run


__all__ = ["home"]  # the fixture

BLOB = "https://ghcr.io/v2/my-org/app/blobs/sha256:" + "a" * 64


def test_allow_makes_the_file_and_test_says_which_rule_decides(home: Path) -> None:
    """From nothing to an allowed download, by following the refusal."""
    refused = run("actions", "test", BLOB)
    assert refused.exit_code == 1
    assert refused.stderr.splitlines() == [
        "credproxy: no rule allows build actions blob:read of 'my-org/app' at 'ghcr.io'",
        "hint: credproxy actions allow 'ghcr.io/my-org/app'",
    ]
    done = run("actions", "allow", "ghcr.io/my-org/**")
    assert done.exit_code == 0, done.stderr
    path = home / "c" / "credproxy" / "config.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("config", "check").exit_code == 0
    assert run("actions", "test", BLOB).output == (
        "pull of 'my-org/app' at 'ghcr.io':\n  actions.rule[0] allows blob:read\n"
    )


def test_allow_write(home: Path) -> None:
    """Only reading is the default."""
    upload = "https://ghcr.io/v2/my-org/app/blobs/uploads/"
    run("actions", "allow", "ghcr.io/my-org/*")
    refused = run("actions", "test", upload)
    assert "hint: credproxy actions allow --write 'ghcr.io/my-org/app'" in refused.stderr
    run("actions", "allow", "--write", "ghcr.io/my-org/app")
    assert run("actions", "test", upload).output.startswith("pull,push of 'my-org/app'")
    del home


def test_allow_keeps_comments_order_and_mode(home: Path) -> None:
    """Everything else in the file stays byte by byte, and the rule is added after the existing ones."""
    text = (
        "# mine\nempty_ttl = 30  # short\n\n[[actions.rule]]  # never\naction = \"deny\"\nregistry = 'ghcr.io'\n"
        'repository = "my-org/secret"\noperations = ["*"]\n\n# the rest\n[[host]]\nmatch = "a.b"\nprovider = "none"\n'
    )
    path = configure(home, text)
    path.chmod(0o640)
    assert run("actions", "allow", "ghcr.io/my-org/**").exit_code == 0
    changed = path.read_text()
    assert changed == text + (
        '\n[[actions.rule]]\naction = "allow"\nregistry = "ghcr.io"\nrepository = "my-org/**"\n'
        'operations = ["blob:read", "manifest:read"]\n'
    )
    assert path.stat().st_mode & 0o777 == 0o640
    assert run("actions", "test", BLOB.replace("/app/", "/secret/")).exit_code == 1
    assert "actions.rule[1] allows blob:read" in run("actions", "test", BLOB).output
    assert list(path.parent.iterdir()) == [path]


def test_allow_writes_behind_a_link(home: Path) -> None:
    """Linked dotfiles stay linked."""
    path = configure(home, "")
    real = home / "dotfiles.toml"
    path.rename(real)
    path.symlink_to(real)
    assert run("actions", "allow", "ghcr.io/a").exit_code == 0
    assert path.is_symlink()
    assert "actions.rule" in real.read_text()


@pytest.mark.parametrize(
    ("text", "pattern", "problem"),
    [
        ("", "ghcr.io", "'ghcr.io' names no repository"),
        ("", "ghcr.io/Org/*", "'Org/*' matches no repository"),
        ("", "https://docker.io/a", "is at a registry: leave https:// out"),
        ("empty_ttl = 0\n", "ghcr.io/a", "nothing was changed: "),
        ("empty_ttl = \n", "ghcr.io/a", "nothing was changed: "),
        ("[actions]\nrule = []\n", "ghcr.io/a", "nothing was changed: "),
    ],
)
def test_what_cannot_be_added_changes_nothing(home: Path, text: str, pattern: str, problem: str) -> None:
    """The file is unchanged, to the byte."""
    path = configure(home, text)
    done = run("actions", "allow", pattern)
    assert done.exit_code == 1
    assert problem in done.stderr
    assert "hint: " in done.stderr
    assert path.read_text() == text


def test_a_file_that_is_not_text_is_left_alone(home: Path) -> None:
    """Two lines and no traceback."""
    path = configure(home, "")
    path.write_bytes(b"\xff\xfe")
    done = run("actions", "allow", "ghcr.io/a")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"credproxy: nothing was changed: {path}:1: not in UTF-8; save the file as UTF-8 text",
        "hint: credproxy config check",
    ]
    assert path.read_bytes() == b"\xff\xfe"


@pytest.mark.parametrize("uri", ["https://GHCR.io/v2/a/manifests/x", "https://ghcr.io/v2/a/manifests/x#y", "ftp://x/"])
def test_a_uri_that_is_not_canonical_is_refused(home: Path, uri: str) -> None:
    """As on the socket."""
    done = run("actions", "test", uri)
    assert done.exit_code == 1
    assert "hint: " in done.stderr
    del home


@pytest.mark.parametrize("uri", ["https://ghcr.io/v2/", "https://reg.test/token", "ghcr.io"])
def test_a_kind_that_gets_nothing(home: Path, uri: str) -> None:
    """That is an answer, not an error."""
    configure(home, '[[host]]\nmatch = "reg.test"\nprovider = "oci"\n')
    assert run("actions", "test", uri).output.startswith("nothing: ")


@pytest.mark.parametrize("query", ["", "?version=1"])
def test_an_object_that_no_rule_allows_is_refused_with_the_command_that_allows_it(home: Path, query: str) -> None:
    """As a registry's repository is, and whether or not its host has a rule; the command is the remedy."""
    del home
    uri = f"https://files.test/other{query}"
    refused = run("actions", "test", uri)
    assert refused.exit_code == 1
    said, hint = refused.stderr.splitlines()
    assert said == "credproxy: no rule allows build actions GET of 'https://files.test/other'"
    assert run(*shlex.split(hint.removeprefix("hint: "))[1:]).exit_code == 0
    assert "actions.rule[0] allows GET" in run("actions", "test", uri).stdout


@pytest.mark.parametrize("path", ["releases/../a.tar", "a//b", "a%2Fb", "./a"])
def test_a_path_that_can_be_read_in_two_ways_is_called_so(home: Path, path: str) -> None:
    """No rule could allow it."""
    del home
    refused = run("actions", "test", f"https://files.test/{path}")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"credproxy: the path '/{path}' is ambiguous: a server may read it as another one\n"
        "hint: write it without empty segments, dots alone and encoded slashes\n"
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://b.s3.eu-west-1.amazonaws.com/o", "or a header is given: a signature for this URL alone"),
        (
            "https://files.corp.test/o",
            'no header is given: the credential of provider = "header" cannot be narrowed to it',
        ),
        ("https://elsewhere.test/o", "no header is given: no [[host]] answers for it"),
        (
            "https://storage.googleapis.com/bucket/dir/o",
            "a header is given where the rules allow all that its token reads",
        ),
    ],
)
def test_it_is_said_whether_an_action_is_given_a_header(home: Path, url: str, said: str) -> None:
    """And why: what is narrow is handed out, and the rest goes through the gateway."""
    rule = '[[host]]\nmatch = "files.corp.test"\nprovider = "header"\nsecret = { source = "env", name = "KEY" }\n'
    configure(home, f'{rule}[[actions.rule]]\naction = "allow"\nurl = "{url}"\n')
    told = run("actions", "test", url).output
    assert f"  {said}" in told, told


def test_each_operation_is_shown_with_the_rule_that_decides_it(home: Path) -> None:
    """Not the first one that would have allowed something else."""
    one = '[[actions.rule]]\naction = "allow"\nregistry = "ghcr.io"\nrepository = "a"\noperations = ["{}"]\n'
    operations = ("blob:read", "manifest:read", "blob:write", "manifest:write")
    configure(home, "".join(one.format(operation) for operation in operations))
    manifest = run("actions", "test", "https://ghcr.io/v2/a/manifests/x").output.splitlines()
    assert manifest == [
        "pull,push of 'a' at 'ghcr.io':",
        *(f"  actions.rule[{index}] allows {operation}" for index, operation in enumerate(operations)),
    ]
    configure(home, "".join(one.format(operation) for operation in operations[:2]))
    assert run("actions", "test", "https://ghcr.io/v2/a/tags/list").output.splitlines()[1:] == [
        "  actions.rule[1] allows manifest:read"
    ]


POLICY = """\
version: 1
rules:
- action: deny
  registry: ghcr.io
  repository: my-org/secret
  operations: ["*"]
- action: allow
  registry: ghcr.io
  repository: "my-org/**"
  operations: [blob:read, manifest:read]
"""


def with_policy(home: Path, text: str = POLICY, name: str = "policy.yaml") -> Path:
    """Name a policy file in the user's configuration."""
    path = home / name
    path.write_text(text)
    configure(home, f'[actions]\npolicy_file = "{path}"\n')
    return path


def test_test_names_the_rule_of_a_policy_file(home: Path) -> None:
    """The rule that allows, the rule that denies, or the line to add."""
    path = with_policy(home)
    assert run("actions", "test", BLOB).output == (
        f"pull of 'my-org/app' at 'ghcr.io':\n  rules[1] of '{path}' allows blob:read\n"
    )
    assert (
        f"rules[0] of '{path}' denies build actions" in run("actions", "test", BLOB.replace("/app/", "/secret/")).stderr
    )
    refused = run("actions", "test", BLOB.replace("my-org", "other"))
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[1] == (
        f"hint: add to the rules of '{path}': "
        '- {"action": "allow", "registry": "ghcr.io", "repository": "other/app", '
        '"operations": ["blob:read", "manifest:read"]}'
    )


def test_allow_leaves_a_policy_file_to_its_owner(home: Path) -> None:
    """It says where the rules are and what to write there, in that file's format; the configuration is unchanged."""
    path = with_policy(home, '{"version": 1}', "policy.json")
    before = (home / "c" / "credproxy" / "config.toml").read_text()
    done = run("actions", "allow", "--write", "ghcr.io:443/my-org/**")
    assert done.exit_code == 1
    assert done.stderr == (
        f"credproxy: nothing was changed: the rules stand in the policy file '{path}'\n"
        f"hint: add to the rules of '{path}': "
        '{"action": "allow", "registry": "ghcr.io", "repository": "my-org/**", '
        '"operations": ["blob:read", "manifest:read", "blob:write", "manifest:write"]}\n'
    )
    assert "'Org' matches no repository" in run("actions", "allow", "ghcr.io/Org").stderr
    assert (home / "c" / "credproxy" / "config.toml").read_text() == before
    assert path.read_text() == '{"version": 1}'


@pytest.mark.parametrize(
    "command", [("actions", "test", BLOB), ("actions", "allow", "a.b/c"), ("bazelrc", "--actions")]
)
def test_a_broken_policy_file_is_reported_by_every_command(home: Path, command: tuple[str, ...]) -> None:
    """With its line, and the command that lists all mistakes."""
    path = with_policy(home, "version: 1\nruls: []\n")
    done = run(*command)
    assert done.exit_code == 1
    assert f"{path}:2: ruls: there is no such key; did you mean 'rules'?" in done.stderr
    assert f"hint: credproxy actions check {path}" in done.stderr
    path.unlink()
    done = run(*command)
    assert done.exit_code == 1
    assert f"'{path}' is not there" in done.stderr


def test_config_check_looks_into_the_policy_file(home: Path) -> None:
    """It reads what the daemon would read."""
    path = with_policy(home)
    assert run("config", "check").exit_code == 0
    path.write_text("version: 2\n")
    done = run("config", "check")
    assert done.exit_code == 1
    assert done.stderr == f"{path}:1: version: wanted version: 1, the only one there is, not 2\n"


@pytest.mark.parametrize("name", ["policy.yaml", "policy.json", "policy"])
def test_check_counts_the_rules_of_a_policy_file(home: Path, name: str) -> None:
    """A default that allows is not a rule, but it reaches far."""
    path = home / name
    rule = '{"action": "allow", "registry": "*", "repository": "**", "operations": ["*"]}'
    path.write_text(f'{{"version": 1,\n"rules": [\n{rule}],\n"defaultAction": "allow"}}')
    done = run("actions", "check", str(path))
    assert done.exit_code == 0
    assert done.stdout == f"{path}: fine, 1 rule\n"
    assert done.stderr.splitlines() == [
        f"warning: {path}:3: rules[0]: allows every registry",
        f"warning: {path}:3: rules[0]: allows writing to every repository",
        f"warning: {path}:4: defaultAction: allows every registry",
        f"warning: {path}:4: defaultAction: allows writing to every repository",
    ]


def test_check_of_a_configuration(home: Path) -> None:
    """The rules of a TOML file, or those of the policy file that it names."""
    rule = '[[actions.rule]]\naction = "allow"\nregistry = "ghcr.io"\nrepository = "{}"\noperations = ["*"]\n'
    path = configure(home, rule.format("my-org/*") + rule.format("**"))
    done = run("actions", "check", str(path))
    assert done.stdout == f"{path}: fine, 2 rules\n"
    assert done.stderr == f"warning: {path}:6: actions.rule[1]: allows writing to every repository\n"
    path.write_text(rule.format("Org") + 'empty = 1\n[log]\nlevel = "loud"\n')
    done = run("actions", "check", str(path))
    assert done.exit_code == 1
    assert done.stdout == ""
    assert f"{path}:" in done.stderr
    named = with_policy(home)
    assert run("actions", "check", str(path)).stdout == f"{named}: fine, 2 rules\n"
    path.write_text(f'[actions]\npolicy_file = "{path}"\n')
    assert run("actions", "check", str(path)).exit_code == 1


def test_check_tells_every_mistake(home: Path) -> None:
    """``FILE:LINE: path: problem``, and status 1."""
    path = home / "policy.yaml"
    path.write_text(
        "version: 1\nrules:\n- action: allow\n  registry: ghcr.io\n  repository: '*'\n  operations: []\n- {}\n"
    )
    done = run("actions", "check", str(path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == f'{path}:6: rules[0].operations: wanted at least one, such as "blob:read"'
    assert len(done.stderr.splitlines()) == 5
    missing = run("actions", "check", str(home / "nope.yaml"))
    assert (missing.exit_code, len(missing.stderr.splitlines())) == (1, 2)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://reg.test/v2/a/manifests/x", True),
        ("https://files.test/o", True),
        ("https://id.test/o", False),
        ("https://folder.test/v2/a/manifests/x", True),
        ("https://folder.test/o", False),
        ("https://other.test/v2/a/manifests/x", False),
    ],
)
def test_a_host_that_wants_a_client_certificate_is_reached_by_the_gateway_alone(
    home: Path, uri: str, *, shown: bool
) -> None:
    """Whether of a rule or of certs.d; that of an identity provider is not for its hosts."""
    host = '[[host]]\nmatch = "{}.test"\nprovider = "{}"\nclient_cert = "/c.pem"\n{}'
    login = 'client_id = "c"\ntoken_url = "https://idp.test/"\nclient_secret = { source = "env", name = "KEY" }\n'
    rules = (
        host.format("reg", "oci", "")
        + host.format("files", "header", 'secret = { source = "env", name = "KEY" }\n')
        + host.format("id", "oauth2", login)
    )
    allowed = '[[actions.rule]]\naction = "allow"\nregistry = "*.test"\nrepository = "**"\noperations = ["*"]\n'
    objects = "".join(
        f'[[actions.rule]]\naction = "allow"\nurl = "https://{name}.test/**"\n' for name in ("files", "id", "folder")
    )
    configure(home, rules + allowed + objects)
    folder = home / "c" / "containers" / "certs.d" / "folder.test"
    folder.mkdir(parents=True)
    (folder / "a.cert").touch()
    (folder / "a.key").touch()
    told = run("actions", "test", uri).output
    assert ("the gateway shows the client certificate" in told) == shown, told
    assert ("a header is of no use there to an action" in told) == shown
    (folder / "a.key").unlink()
    assert ("has no key beside it" in run("actions", "test", uri).output) == ("folder.test/v2" in uri)
