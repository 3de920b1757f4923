"""Which owner and repository a GitHub URL belongs to, and where the API of that GitHub is."""

import pytest

from credproxy.core.ask.github_urls import (
    GithubName,
    ReleaseFile,
    api_of,
    github_name,
    login_host,
    release_file,
    roots_of,
)
from credproxy.core.ask.uri import parse_uri


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("github.com", "github.com"),
        ("api.github.com", "github.com"),
        ("raw.githubusercontent.com", "github.com"),
        ("maven.pkg.github.com", "github.com"),
        ("pkg.github.com", "pkg.github.com"),
        ("maven.pkg.github.com.evil.test", "maven.pkg.github.com.evil.test"),
        ("objects.githubusercontent.com", "objects.githubusercontent.com"),
        ("raw.github.com.evil.test", "github.com.evil.test"),
        ("api.acme.ghe.com", "acme.ghe.com"),
        ("raw.ghe.corp.test", "ghe.corp.test"),
    ],
)
def test_all_hosts_of_one_github_share_a_login(host: str, wanted: str) -> None:
    """And other hosts do not."""
    assert login_host(host) == wanted


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("https://github.com/octo/hello/archive/v1.zip", GithubName("octo", "hello")),
        ("https://github.com/octo/hello.git/info/refs", GithubName("octo", "hello")),
        ("https://github.com/octo", GithubName("octo")),
        ("https://raw.githubusercontent.com/octo/hello/main/f", GithubName("octo", "hello")),
        ("https://codeload.github.com/octo/hello/zip/main", GithubName("octo", "hello")),
        ("https://api.github.com/repos/octo/hello/tarball/main", GithubName("octo", "hello")),
        ("https://uploads.github.com/repos/octo/hello/releases/1/assets", GithubName("octo", "hello")),
        ("https://api.github.com/orgs/octo/packages", GithubName("octo")),
        ("https://api.github.com/users/octo/packages", GithubName("octo")),
        ("https://api.github.com/user", None),
        ("https://api.github.com/octo/hello", None),
        ("https://api.acme.ghe.com/repos/octo/hello", GithubName("octo", "hello")),
        ("https://acme.ghe.com/api/v3/repos/octo", GithubName("api", "v3")),
        ("https://ghe.corp.test/api/v3/repos/octo/hello/contents/f", GithubName("octo", "hello")),
        ("https://ghe.corp.test/api/v3/orgs/octo", GithubName("octo")),
        ("https://ghe.corp.test/api/v3", None),
        ("https://ghe.corp.test/raw/octo/hello/main/f", GithubName("octo", "hello")),
        ("https://raw.ghe.corp.test/octo/hello/main/f", GithubName("octo", "hello")),
        ("https://ghe.corp.test/octo/hello/archive/v1.zip", GithubName("octo", "hello")),
        ("https://github.com/oc%74o/hello", None),
        ("https://github.com/octo/h%65llo", GithubName("octo")),
        ("https://github.com/", None),
        ("github.com", None),
        ("https://*.github.com/octo/hello", None),
    ],
)
def test_whose_something_is(uri: str, place: GithubName | None) -> None:
    """An ambiguous name is not used."""
    assert github_name(parse_uri(uri)) == place


def test_letters_in_another_case_are_the_same_repository() -> None:
    """For GitHub, and its answers have the owner's spelling."""
    assert GithubName("octo", "Hello").is_named("Octo/hello")
    assert not GithubName("octo", "hello").is_named("octo/hello2")
    assert GithubName("octo").name == "octo"


@pytest.mark.parametrize(
    ("uri", "roots"),
    [
        (
            "https://raw.githubusercontent.com/o/r/main/f",
            (
                "https://api.github.com/repos",
                "https://github.com",
                "https://raw.githubusercontent.com",
                "https://codeload.github.com",
            ),
        ),
        (
            "https://acme.ghe.com/o/r",
            (
                "https://api.acme.ghe.com/repos",
                "https://acme.ghe.com",
                "https://raw.acme.ghe.com",
                "https://codeload.acme.ghe.com",
            ),
        ),
        (
            "http://ghe.corp.test:8080/o/r",
            (
                "http://ghe.corp.test:8080/api/v3/repos",
                "http://ghe.corp.test:8080",
                "http://ghe.corp.test:8080/raw",
                "http://ghe.corp.test:8080/codeload",
                "http://raw.ghe.corp.test:8080",
                "http://codeload.ghe.corp.test:8080",
            ),
        ),
        (
            "http://127.0.0.1:8080/o/r",
            (
                "http://127.0.0.1:8080/api/v3/repos",
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/raw",
                "http://127.0.0.1:8080/codeload",
            ),
        ),
        (
            "http://[::1]/o/r",
            ("http://[::1]/api/v3/repos", "http://[::1]", "http://[::1]/raw", "http://[::1]/codeload"),
        ),
    ],
)
def test_where_what_belongs_to_a_repository_is(uri: str, roots: tuple[str, ...]) -> None:
    """The API first, which has everything."""
    target = parse_uri(uri)
    assert roots_of(target) == roots
    assert roots[0] == f"{api_of(target)}/repos"


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("https://github.com/o/r/releases/download/v1/a.zip", ReleaseFile(GithubName("o", "r"), "v1", "a.zip")),
        ("https://github.com/o/r/releases/latest/download/a.zip", ReleaseFile(GithubName("o", "r"), "", "a.zip")),
        ("https://github.com/o/r/releases/download/k/v1/a%2Bb", ReleaseFile(GithubName("o", "r"), "k/v1", "a+b")),
        ("https://ghe.corp.test/o/r/releases/download/v%201/a", ReleaseFile(GithubName("o", "r"), "v%201", "a")),
        ("https://api.github.com/o/r/releases/download/v1/a.zip", None),
        ("https://github.com/o/r/releases/tag/v1", None),
        ("https://github.com/o/r/releases/download/a.zip", None),
        ("https://github.com/o%2F/r/releases/download/v1/a.zip", None),
    ],
)
def test_what_a_browsers_url_of_an_asset_says(uri: str, file: ReleaseFile | None) -> None:
    """The tag stays as it is written, since it goes into another URL; the name is compared with a text."""
    assert release_file(parse_uri(uri)) == file
