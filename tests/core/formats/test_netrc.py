"""What a netrc file says. Beside it, tests/real/test_netrc.py compares with curl."""

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.credential import Secret, UserPassword
from credproxy.core.errors import Code, Failed
from credproxy.core.formats.netrc import parse_netrc


WHERE = "the netrc file '/n'"


def pairs(content: str | bytes) -> dict[str, str]:
    """The logins of a file, as ``user:password``."""
    data = content.encode() if isinstance(content, str) else content
    return {
        host: f"{login.username}:{login.password.reveal()}" for host, login in parse_netrc(data, WHERE).logins.items()
    }


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        pytest.param("machine h login u password p", {"h": "u:p"}, id="no final newline"),
        pytest.param(
            "\n\n# a comment\n\nmachine h login u password p\n", {"h": "u:p"}, id="a comment after a blank line"
        ),
        pytest.param(
            "# machine h login old password old\nmachine h login u password p\n", {"h": "u:p"}, id="commented out"
        ),
        pytest.param("  #machine h login old password old\n", {}, id="commented out with an indent"),
        pytest.param(
            "machine h login u # machine i login x password y\n password p\n", {"h": "u:p"}, id="behind a value"
        ),
        pytest.param(
            "machine h login u password p #c machine i login x password y", {"h": "u:p"}, id="behind an entry"
        ),
        pytest.param("machine h login u password pa#ss", {"h": "u:pa#ss"}, id="a hash inside a password"),
        pytest.param("machine h login u password #pass", {"h": "u:#pass"}, id="a hash in front of a password"),
        pytest.param("machine h\n login\n\n # c\n u password\n\n p\n", {"h": "u:p"}, id="values on lines of their own"),
        pytest.param("machine h login u\r\npassword p\r\n", {"h": "u:p"}, id="CRLF"),
        pytest.param("machine\th\vlogin\fu password  p", {"h": "u:p"}, id="other blanks"),
        pytest.param(b"\xef\xbb\xbfmachine h login u password p", {"h": "u:p"}, id="a byte order mark"),
        pytest.param("MACHINE Reg.Test LOGIN U PassWord P", {"reg.test": "U:P"}, id="capitals"),
        pytest.param("machine reg.test. login u password p", {"reg.test": "u:p"}, id="the root's dot"),
        pytest.param("machine ::1 login u password p", {"[::1]": "u:p"}, id="an address as curl writes it"),
        pytest.param("machine [0::1] login u password p", {"[::1]": "u:p"}, id="an address as Bazel writes it"),
        pytest.param(
            "machine a login u password p machine b password q login v", {"a": "u:p", "b": "v:q"}, id="one line"
        ),
        pytest.param("machine h account x login u password p account y", {"h": "u:p"}, id="an account"),
        pytest.param("machine h login machine password default", {"h": "machine:default"}, id="keywords as values"),
        pytest.param("machine h login u password p\nmachine h login v password q", {"h": "u:p"}, id="twice"),
        pytest.param(
            "machine h login u\nmachine h login v password q", {"h": "v:q"}, id="twice, the first without password"
        ),
        pytest.param("machine h login t login u password p", {"h": "u:p"}, id="a login twice"),
        pytest.param("machine h login u", {"h": "u:"}, id="no password, as an API key has none"),
        pytest.param('machine h login u password ""', {"h": "u:"}, id="an empty password"),
        pytest.param(r'machine h login "a b" password "p\"q\\ #r"', {"h": r'a b:p"q\ #r'}, id="quotes"),
        pytest.param('machine h login u password p"q', {"h": 'u:p"q'}, id="a quote inside"),
        pytest.param(r"machine h login u password p\q", {"h": r"u:p\q"}, id="a backslash"),
        pytest.param("machine h login u password 'p'", {"h": "u:'p'"}, id="single quotes"),
        pytest.param("default login x password y\nmachine h login u password p", {"h": "u:p"}, id="behind default"),
        pytest.param("machine h login u password p\ndefault login x password y", {"h": "u:p"}, id="before default"),
        pytest.param(
            "macdef m\nmachine i login x password y\n\nmachine h login u password p", {"h": "u:p"}, id="a macro"
        ),
        pytest.param(
            "macdef m\ncd /x\n \t\nmachine h login u password p", {"h": "u:p"}, id="a macro's end with blanks"
        ),
        pytest.param("macdef m\r\ncd /x\r\n\r\nmachine h login u password p", {"h": "u:p"}, id="a macro with CRLF"),
        pytest.param("machine h\nmacdef m\nlogin x\n\nlogin u password p", {"h": "u:p"}, id="a macro inside an entry"),
        pytest.param("machine h login u password pä€", {"h": "u:pä€"}, id="UTF-8"),
        pytest.param(b"machine h login u password p\xe4", {"h": "u:p\udce4"}, id="Latin-1, whose bytes are kept"),
        pytest.param("machine h login u password " + "x" * 20000, {"h": "u:" + "x" * 20000}, id="a long line"),
        pytest.param("machine h:8443 login u password p", {"h:8443": "u:p"}, id="a port, which no host has"),
        pytest.param("", {}, id="empty"),
        pytest.param("# machine h login u password p", {}, id="a comment and nothing else"),
    ],
)
def test_a_file_gives_these_logins(content: str | bytes, wanted: dict[str, str]) -> None:
    """What Bazel's and curl's readers both accept, and the choice made where they differ."""
    assert pairs(content) == wanted


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("machine h", "line 1, has no login", id="alone"),
        pytest.param("\nmachine h password canary", "line 2, has no login", id="a password alone"),
        pytest.param('machine h login "" password canary', "line 1, has no login", id="an empty login"),
        pytest.param("machine h login oauth2accesstoken", "line 1, has an empty password", id="everybody's name alone"),
        pytest.param(
            "machine h login u password canary canary", "line 1 has a word that is not", id="a space in a password"
        ),
        pytest.param("machine h login u pasword canary", "line 1 has a word that is not a keyword", id="a typo"),
        pytest.param("machine h login u\n\n port canary", "line 3 has a word that is not a keyword", id="a port"),
        pytest.param('machine h login u password "canary', "line 1 has a quote that is not closed", id="an open quote"),
        pytest.param('machine h login u password "can"ary', "line 1 has a quote", id="a word behind a closing quote"),
        pytest.param("machine h login u password", "line 1 ends with 'password'", id="no value"),
        pytest.param("machine h login canary:x password p", "line 1, has a ':' in its login", id="a colon"),
        pytest.param('machine h login u password "can\\nary"', "line 1, has a ':'", id="a line break"),
        pytest.param("machine h login u password can\0ary", "line 1, has a ':'", id="a NUL"),
    ],
)
def test_an_entry_that_cannot_be_used_is_an_error_for_its_machine_alone(content: str, problem: str) -> None:
    """The message names file and line and quotes nothing; the other machines are not affected."""
    around = f"machine a login u password p\n{content}\nmachine z login u password p\n".removeprefix("\n")
    found = parse_netrc(content.encode(), WHERE)
    assert found.hosts == {"h"}
    failure = found.broken["h"]
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert WHERE in failure.message
    assert problem in failure.message
    assert failure.hint
    assert "canary" not in repr(found)
    assert found.mistakes
    if not content.endswith("password"):  # whose value would be the next word
        assert pairs(around).keys() == {"a", "z"}


def test_the_login_of_a_machine_with_an_unreadable_name_is_unused() -> None:
    """Otherwise the login after it would be taken for one of the machine before it."""
    found = parse_netrc(b'machine a login u password p\nmachine "b\nlogin v password q\n', WHERE)
    assert found.hosts == {"a"}
    assert found.logins["a"] == UserPassword("u", Secret("p"))
    assert [mistake.line for mistake in found.mistakes] == [2]


def test_mistakes_outside_of_every_machine_are_reported_with_their_lines() -> None:
    """They spoil no entry, and say why a host is missing."""
    found = parse_netrc(b"login u\nmachne h login u password p\nmachine i:1 login u password p\n", WHERE)
    assert sorted({mistake.line for mistake in found.mistakes}) == [1, 2, 3]
    assert found.broken == {}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_reported_as_that(encoding: str) -> None:
    """Windows writes it; the machines in it are unknown."""
    content = "\ufeffmachine h login u password p".encode(encoding)
    with pytest.raises(Failed, match="is in UTF-16"):
        parse_netrc(content, WHERE)


_WORDS = st.sampled_from(
    [
        "machine",
        "login",
        "password",
        "default",
        "macdef",
        "account",
        "h",
        "i",
        "#",
        '"',
        '"a b"',
        "\\",
        "x#",
        "\n",
        "\n\n",
        " ",
    ]
)


@given(st.lists(st.one_of(_WORDS, st.text(max_size=4)), max_size=40))
def test_no_file_is_a_bug(words: list[str]) -> None:
    """Whatever it contains: an entry is a login with a user name, or an error that names a line."""
    found = parse_netrc(" ".join(words).encode("utf-8", "surrogatepass"), WHERE)
    assert all(login.username for login in found.logins.values())
    assert all("line " in failure.message for failure in found.broken.values())


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_no_bytes_are_a_bug(parts: list[bytes]) -> None:
    """Bytes of another encoding, or of none, do not raise either."""
    content = b" machine h login ".join(parts)
    if not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        parse_netrc(content, WHERE)
