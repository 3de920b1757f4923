"""The configuration of glab, as each of its versions wrote it."""

import pytest

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.formats.glab_config import GlabHost, gitlab_place, glab_host, parse_glab


def hosts(text: str) -> dict[str, GlabHost]:
    """The hosts of a file."""
    return {str(place): host for place, host in parse_glab(text.encode(), "the file").items()}


def test_a_token_is_read_whatever_tag_glab_left_at_it() -> None:
    """It overwrites the empty value of its template and leaves ``!!null`` there."""
    text = "hosts:\n  gitlab.com:\n    token: !!null glpat-x\n    user: 010\n"
    assert hosts(text) == {"gitlab.com": GlabHost("gitlab.com", Secret("glpat-x"))}


@pytest.mark.parametrize(
    "text", ["", "hosts:\n", "hosts: []\n", "git_protocol: ssh\n", "- a\n", "hosts:\n  gitlab.com:\n"]
)
def test_a_file_may_name_no_host(text: str) -> None:
    """As glab writes it before the first login."""
    assert hosts(text) == {}


def test_a_host_without_a_token_has_no_login() -> None:
    """The template names gitlab.com for everybody."""
    text = "hosts:\n  gitlab.com:\n    api_protocol: https\n    token:\n  k.test:\n    use_keyring: true\n  j.test:\n    job_token: j\n"
    assert {name: host.has_login for name, host in hosts(text).items()} == {
        "gitlab.com": False,
        "k.test": True,
        "j.test": True,
    }


def test_the_host_of_the_api_gets_the_same_token_and_keeps_its_port() -> None:
    """If that is another host."""
    found = hosts("hosts:\n  Git.test:8443:\n    api_host: api.git.test\n    token: t\n")
    assert set(found) == {"git.test:8443", "api.git.test"}
    assert {host.name for host in found.values()} == {"Git.test:8443"}


@pytest.mark.parametrize(
    ("text", "below", "wanted"),
    [
        ("git.test", "", "git.test"),
        ("https://git.test/", "", "git.test"),
        ("https://Git.test:443", "", "git.test"),
        ("git.test:8443", "", "git.test:8443"),
        ("https://corp.test/gitlab/", "", "corp.test/gitlab"),
        ("corp.test/tools/gitlab", "", "corp.test/tools/gitlab"),
        ("corp.test", "/gitlab/", "corp.test/gitlab"),
        ("", "", None),
        ("https://", "", None),
        ("/gitlab", "", None),
        ("not a host", "", None),
        ("u:p@git.test", "", None),
    ],
)
def test_where_a_gitlab_is(text: str, below: str, wanted: str | None) -> None:
    """A host or a URL, with the path that it shares a host by."""
    place = gitlab_place(text, below)
    assert (None if place is None else str(place)) == wanted


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("https://corp.test/one/api/v4/x", "corp.test/one"),
        ("https://corp.test/two/api/v4/x", "second"),
        ("https://corp.test/one", "corp.test/one"),
        ("https://corp.test/ones/api/v4/x", None),
        ("https://corp.test/api/v4/x", None),
        ("https://corp.test", None),
        ("https://corp.test:444/one/api/v4/x", None),
        ("https://other.test/one/api/v4/x", None),
    ],
)
def test_two_gitlabs_on_one_host_have_a_login_each(uri: str, wanted: str | None) -> None:
    """By their paths; nothing else on the host gets either."""
    text = (
        "hosts:\n  corp.test/one:\n    token: a\n  second:\n    api_host: corp.test\n    subfolder: two\n    token: b\n"
    )
    found = glab_host(parse_glab(text.encode(), "the file"), parse_uri(uri))
    assert (None if found is None else found.name) == wanted


@pytest.mark.parametrize(
    ("date", "until"),
    [
        ("13 Mar 23 15:47 GMT", 1678722420.0),
        ("13 Mar 23 15:47 UTC", 1678722420.0),
        ("13 Mar 23 16:47 +0100", 1678722420.0),
        ("01 Jan 2050 00:00 UTC", 2524608000.0),
        ("2023-03-13T15:47:00Z", 1678722420.0),
        ("2023-03-13T16:47:00+01:00", 1678722420.0),
        ("13 Mar 23 16:47 CET", None),
        ("2023-03-13T15:47:00", None),
        ("soon", None),
        ("", None),
        ("13 Mar 99999999999999999999 15:47 UTC", None),
        ("Mon, 13 Mar 2023 99999999999999999999:47:00 UTC", None),
    ],
)
def test_when_a_token_ends(date: str, until: float | None) -> None:
    """RFC 3339, and RFC 822 as older ones wrote it; an ambiguous time zone is ignored."""
    found = hosts(f'hosts:\n  a.test:\n    is_oauth2: "true"\n    oauth2_expiry_date: "{date}"\n    token: t\n')
    assert found["a.test"].until == until
    assert found["a.test"].oauth


@pytest.mark.parametrize("content", [b"hosts: {", b"hosts:\n  a.test:\n    token: \xff\n", b"a: 1\na: 2\n"])
def test_an_invalid_file_is_named_and_not_quoted(content: bytes) -> None:
    """Its content is secret."""
    with pytest.raises(Failed) as caught:
        parse_glab(b"# canary\n" + content, "the file")
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert caught.value.failure.message.startswith("the file ")
    assert "canary" not in str(caught.value)
    assert caught.value.failure.hint == "glab config edit --global"


def test_a_host_shows_no_token() -> None:
    """In no log and no traceback."""
    assert "canary" not in repr(hosts("hosts:\n  a.test:\n    token: canary\n    job_token: canary\n"))
