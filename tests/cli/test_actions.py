"""``credproxy actions``: rules are added without harm to the file, and say why they decide."""

from pathlib import Path

import pytest

from tests.cli.test_commands import configure, home, run


__all__ = ["home"]  # the fixture

BLOB = "https://ghcr.io/v2/my-org/app/blobs/sha256:" + "a" * 64


def test_allow_makes_the_file_and_test_says_which_rule_decides(home: Path) -> None:
    """From nothing to an allowed download, by what the refusal itself says."""
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
    """Reading alone is the default."""
    upload = "https://ghcr.io/v2/my-org/app/blobs/uploads/"
    run("actions", "allow", "ghcr.io/my-org/*")
    refused = run("actions", "test", upload)
    assert "hint: credproxy actions allow --write 'ghcr.io/my-org/app'" in refused.stderr
    run("actions", "allow", "--write", "ghcr.io/my-org/app")
    assert run("actions", "test", upload).output.startswith("pull,push of 'my-org/app'")
    del home


def test_allow_keeps_comments_order_and_mode(home: Path) -> None:
    """Whatever else is in the file stays, byte by byte, and the rule goes behind those that are there."""
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
    """Somebody's dotfiles stay linked."""
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
        ("", "https://ghcr.io/a", "'https:' is no registry"),
        ("empty_ttl = 0\n", "ghcr.io/a", "nothing was changed: "),
        ("empty_ttl = \n", "ghcr.io/a", "nothing was changed: "),
        ("[actions]\nrule = []\n", "ghcr.io/a", "nothing was changed: "),
    ],
)
def test_what_cannot_be_added_changes_nothing(home: Path, text: str, pattern: str, problem: str) -> None:
    """The file is as it was, to the byte."""
    path = configure(home, text)
    done = run("actions", "allow", pattern)
    assert done.exit_code == 1
    assert problem in done.stderr
    assert "hint: " in done.stderr
    assert path.read_text() == text


def test_a_file_that_is_no_text_is_left_alone(home: Path) -> None:
    """Two lines and no traceback."""
    path = configure(home, "")
    path.write_bytes(b"\xff\xfe")
    done = run("actions", "allow", "ghcr.io/a")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"credproxy: nothing was changed: {path}: UnicodeDecodeError",
        f"hint: ls -l {path}",
    ]
    assert path.read_bytes() == b"\xff\xfe"


@pytest.mark.parametrize("uri", ["https://GHCR.io/v2/a/manifests/x", "https://ghcr.io/v2/a/manifests/x#y", "ftp://x/"])
def test_a_uri_that_is_not_canonical_is_refused(home: Path, uri: str) -> None:
    """As the socket would."""
    done = run("actions", "test", uri)
    assert done.exit_code == 1
    assert "hint: " in done.stderr
    del home


def test_a_kind_that_gets_nothing(home: Path) -> None:
    """That is an answer, not an error."""
    assert run("actions", "test", "https://ghcr.io/v2/").output.startswith("nothing: ")
    del home


def test_bazelrc_for_actions_names_both_directories(home: Path) -> None:
    """One is hidden, the other one shown: they are two for that reason (F1)."""
    lines = [line for line in run("bazelrc", "--actions").output.splitlines() if not line.startswith("#")]
    assert lines == [
        f"build --sandbox_block_path={home}/r/credproxy",
        f"build --sandbox_add_mount_pair={home}/r/credproxy-actions",
    ]


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
