"""How git's configuration and answers are read, and what is sent to it."""

import pytest

from credproxy.core.ask.uri import parse_uri
from credproxy.core.formats.git_credential import (
    GitAnswer,
    credential_request,
    named_helpers,
    parse_git_answer,
    parse_git_config,
    repository_path,
)
from credproxy.core.kinds.sources.git import git_config_files


_TWO = {"source.corp.test", "*.b.test"}


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("[credential]\n helper = store\n", {""}),
        ("[credential] helper = store\n", {""}),
        ('  [ Credential "https://github.com" ]\n\tHelper = !gh\n', {"github.com"}),
        ('[credential "https://source.corp.test"]\nhelper=x\n[credential "https://*.b.test"]\nhelper=y', _TWO),
        ('[credential "github.com"]\nhelper = x\n', {"github.com"}),
        ('[credential "https://a\\"b"]\nhelper = x\n', {""}),
        ("[credential.https://github.com]\nhelper = x\n", {""}),
        ('[user]\n name = x\n[includeIf "gitdir:~/w/"]\n path = w\n', {""}),
        ("[include]\n path = other\n", {""}),
        ("", set()),
        ("[credential]\n useHttpPath = true\n[alias]\n helper = x\n", set()),
        ("[user]\n name = credential\n", set()),
        ("[credentials]\n helper = x\n", set()),
        ("# [credential]\n helper = x\n", set()),
    ],
)
def test_for_which_hosts_a_file_names_helpers_is_seen_without_git(content: str, wanted: set[str]) -> None:
    """Most machines have none, or one for another host, and then git is not started, and nothing promised."""
    assert named_helpers(content.encode()) == wanted


@pytest.mark.parametrize(
    ("said", "served", "others", "by_path", "sent"),
    [
        (("credential.helper\nstore",), True, True, False, False),
        (("credential.helper\nstore", "credential.usehttppath\ntrue"), True, True, True, True),
        (("credential.helper\nstore", "credential.https://github.com.usehttppath\nfalse"), True, True, False, False),
        (("credential.https://github.com.helper\n!gh",), True, False, False, False),
        (("credential.https://github.com:8443.helper\n!gh",), True, False, False, False),
        (("credential.https://github.com/acme.username\nme", "credential.helper\nx"), True, True, True, False),
        (("credential.https://*.com.helper\nx",), True, False, False, False),
        (("credential.https://*.github.com.helper\nx",), False, False, False, False),
        (("credential.other.test.helper\nx",), False, True, False, False),
        (("credential.https://[broken.helper\nx",), True, True, False, False),
        (("credential.helper\n", "credential.interactive\nfalse"), False, False, False, False),
        (("credential.helper",), False, False, False, False),
        ((), False, False, False, False),
    ],
)
def test_what_git_says_of_its_helpers(
    said: tuple[str, ...], *, served: bool, others: bool, by_path: bool, sent: bool
) -> None:
    """Which hosts they serve, and whether that depends on the path; git decides which one counts for a URL."""
    found = parse_git_config("".join(f"{one}\0" for one in said).encode())
    assert (found.serve("github.com"), found.serve("other.test")) == (served, others)
    assert (found.by_path, found.sent_path) == (by_path, sent)


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("https://github.com/o/r/archive/v1.zip", "o/r"),
        ("https://github.com/o/r.git", "o/r"),
        ("https://api.github.com/repos/o/r/releases/assets/1", "o/r"),
        ("https://raw.githubusercontent.com/o/r/main/f", "o/r"),
        ("https://api.github.com/user", ""),
        ("https://gitlab.com/g/s/p/-/archive/v1/p.zip", "g/s/p"),
        ("https://gitlab.com/api/v4/projects/g%2Fp/packages/x", "g/p"),
        ("https://gitlab.com/api/v4/projects/g%2Fp", "g/p"),
        ("https://gitlab.com/api/v4/projects/g%0Apath=x/packages", ""),
        ("https://git.test/a/b%20c/x", "a"),
        ("https://github.com/o/r/../../p/q", ""),
        ("https://github.com/o/%2E%2e/p/q", ""),
        ("https://gitlab.com/api/v4/projects/g%2F..%2Fp/packages/x", ""),
        ("git.test", ""),
    ],
)
def test_the_path_of_the_repository(uri: str, wanted: str) -> None:
    """As in git; a text that could be another line of the request is refused."""
    assert repository_path(parse_uri(uri)) == wanted


def test_what_git_is_told() -> None:
    """One line for each, and an empty one at the end."""
    assert credential_request("h:1", "o/r", username="u") == b"protocol=https\nhost=h:1\npath=o/r\nusername=u\n\n"
    assert credential_request("h", "", username=None) == b"protocol=https\nhost=h\n\n"


@pytest.mark.parametrize(
    ("output", "username", "password", "until"),
    [
        ("protocol=https\nhost=h\nusername=u\npassword=p=q\n", "u", "p=q", None),
        ("password=p\npassword_expiry_utc=1800000000\n", "", "p", 1_800_000_000.0),
        ("username=u\npassword=p\npassword_expiry_utc=soon\noauth_refresh_token=r\n", "u", "p", None),
    ],
)
def test_what_git_answers(output: str, username: str, password: str, until: float | None) -> None:
    """Other fields are ignored."""
    answer = parse_git_answer(output.encode())
    assert answer is not None
    assert (answer.username, answer.password.reveal(), answer.until) == (username, password, until)
    assert password not in repr(answer)


@pytest.mark.parametrize("output", ["", "username=u\n", "password=\n"])
def test_an_answer_without_a_password_is_none(output: str) -> None:
    """A helper may only know the user name."""
    none: GitAnswer | None = None
    assert parse_git_answer(output.encode()) is none


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"HOME": "/h", "GIT_CONFIG_NOSYSTEM": "1"}, ("/h/.config/git/config", "/h/.gitconfig")),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/c", "GIT_CONFIG_NOSYSTEM": "1"}, ("/c/git/config", "/h/.gitconfig")),
        ({"HOME": "/h", "GIT_CONFIG_SYSTEM": "/s", "GIT_CONFIG_GLOBAL": "/g"}, ("/s", "/g")),
        ({"HOME": "/h", "GIT_CONFIG_SYSTEM": "/s", "GIT_CONFIG_GLOBAL": ""}, ("/s",)),
        ({"GIT_CONFIG_SYSTEM": "/s"}, ("/s",)),
    ],
)
def test_where_git_s_configuration_lies(environ: dict[str, str], wanted: tuple[str, ...]) -> None:
    """Source: git-config(1)."""
    assert git_config_files(environ) == wanted
    assert "/etc/gitconfig" in git_config_files({})
