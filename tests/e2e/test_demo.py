"""``credproxy demo`` shows what the README says it does; it is the first thing that a newcomer sees."""

import re

import pytest

from tests.e2e.stage import Stage


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


def test_the_demo_tells_the_whole_story(staged: Stage) -> None:
    """One ping and one exchange for 200 calls, and a build action that is refused before it is allowed: a layer, and a file."""
    done = staged.credproxy("demo")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^200 helper calls, 1 ping, 1 exchange, layer sha256:[0-9a-f]{64} verified$", done.stdout, re.MULTILINE
    )
    assert "403 no rule allows build actions blob:read of 'acme/app'" in done.stdout
    assert "a token to pull 'acme/app' and nothing else; 1048576 bytes, the digest is right" in done.stdout
    assert "Couldn't connect to server" in done.stdout or "without a sandbox, then" in done.stdout
    assert "1048576 bytes, the digest is right, and no credential was in reach" in done.stdout
    assert re.search(
        r"403 no rule allows build actions GET of 'http://127.0.0.1:[0-9]+/files/tool-1.0.tar.gz'", done.stdout
    )
    assert "403 no build action is given the credential for '127.0.0.1" in done.stdout
    assert "1048576 bytes, the same as on the server" in done.stdout
    assert re.search(r"^     carrier [0-9]+: ", done.stdout, re.MULTILINE)
    assert "Basic" not in done.stdout


def test_the_demo_leaves_the_users_files_alone(staged: Stage) -> None:
    """It allows a build action something, in a separate configuration."""
    staged.configure("empty_ttl = 30\n")
    assert staged.credproxy("demo").returncode == 0
    assert staged.config.read_text() == "empty_ttl = 30\n"
