"""What the pages say of the sockets' paths and of an error as text is what the programs do."""

import json
import re
from pathlib import Path

from credproxy.core.ask.message import failure_text
from credproxy.core.errors import Code, Failure
from credproxy.core.paths import actions_socket, helper_socket


DOCS = Path("docs")


def test_the_page_about_the_sockets_has_their_paths_with_and_without_a_runtime_directory() -> None:
    """The examples with curl lead there: in a container the usual path is not set."""
    page = (DOCS / "operations.md").read_text()
    for find in (helper_socket, actions_socket):
        usual = find({"XDG_RUNTIME_DIR": "/r", "HOME": "/h"}, 1000, is_directory=lambda path: path == "/r")
        assert f"`{usual.replace('/r/', '$XDG_RUNTIME_DIR/', 1)}`" in page
        bare = find({"HOME": "/h"}, 1000, is_directory=lambda _: False)
        assert f"`{bare.replace('/h/', '~/', 1)}`" in page
        assert find({"HOME": "/h"}, 1000, is_directory=lambda path: path == "/run/user/1000").startswith(
            "/run/user/1000/"
        )
    assert "`/run/user/UID`" in page


def test_an_error_as_text_is_the_one_that_the_reference_shows() -> None:
    """The same failure, as JSON and as the helper prints it."""
    page = (DOCS / "reference" / "api.md").read_text()
    (line,) = re.findall(r'^\{"error": .*realm_refused.*\}$', page, re.MULTILINE)
    told = json.loads(line)["error"]
    assert f"```text\n{failure_text(Failure(Code(told['code']), told['message'], told['hint']))}```" in page


def test_the_example_of_an_error_has_two_lines_and_a_code() -> None:
    """As all that the daemon says."""
    page = (DOCS / "bazel-credential-helpers.md").read_text()
    shown = re.search(r"```text\n(token server.*?)\n```", page, re.DOTALL)
    assert shown is not None
    said, _hint = shown[1].split("\n")
    assert Code(said.rpartition("(")[2].removesuffix(")")) is Code.BAD_CREDENTIALS
    for path in DOCS.rglob("*.md"):
        assert "\nhint: " not in path.read_text() or path.name == "cli.md", path
