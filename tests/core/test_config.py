"""Configuration: every kind of mistake with its literal message, and what two files make together."""

import contextlib

import pytest
from hypothesis import given, strategies as st

from credproxy.core.config import ConfigError, load, load_files
from credproxy.core.config_checks import size_in_bytes
from credproxy.core.errors import Code
from credproxy.core.settings import OciHost, Settings
from credproxy.core.toml_lines import locate


HOST = '[[host]]\nmatch = "a.b"\n'

MISTAKES = [
    ("x = 1\n", "f:1: x: there is no such key; known here: "),
    ("buildin = false\n", "f:1: buildin: there is no such key; did you mean 'builtin'?"),
    ('empty_ttl = "x"\n', "f:1: empty_ttl: expected 'float', got 'str'"),
    ("empty_ttl = 0\n", "f:1: empty_ttl: wanted seconds from 1 to 3600"),
    ("flight_timeout = 301\n", "f:1: flight_timeout: wanted seconds from 1 to 300"),
    ('docker_config = "x"\n', 'f:1: docker_config: wanted "auto", "none" or an absolute path'),
    ('netrc = "./n"\n', 'f:1: netrc: wanted "auto", "none" or an absolute path'),
    ("[cache]\nentries = 0\n", "f:2: cache.entries: wanted a number from 1"),
    ('[cache]\nbytes = "3 potatoes"\n', 'f:2: cache.bytes: wanted bytes, such as 67108864 or "64MiB"'),
    ("[cache]\nentrys = 3\n", "f:2: cache.entrys: there is no such key; did you mean 'entries'?"),
    ('[log]\nlevel = "loud"\n', "f:2: log.level: invalid enum value 'loud'"),
    ("a = \n", "f:1: invalid value"),
    ("a = 1\na = 2\n", "f:2: cannot overwrite a value"),
    (HOST, "f:1: host[0]: object missing required field 'provider'"),
    (HOST + 'provider = "ocii"\n', "f:3: host[0].provider: 'ocii' is none of 'oci', 'exec', 'header', 'basic', 'none'"),
    (HOST + 'provider = "oci"\nrealm_host = ["x"]\n', "f:4: host[0].realm_host: there is no such key; did you mean 'realm_hosts'?"),
    (HOST + 'provider = "none"\n' + HOST + 'provider = "none"\n', "f:5: host[1].match: 'a.b' has a rule already: host[0]"),
    ('[[host]]\nmatch = 5\nprovider = "none"\n', "f:2: host[0].match: expected 'str', got 'int'"),
    (HOST + 'provider = "oci"\nallow_private = ["10.0.0.1/8"]\n', "f:4: host[0].allow_private: '10.0.0.1/8' is no network; wanted one like \"10.0.0.0/8\""),
    (HOST + 'provider = "oci"\nrealm_hosts = ["https://auth.test"]\n', "f:4: host[0].realm_hosts: 'https://auth.test' is no host; wanted one like \"auth.example.com\" or \"auth.example.com:8443\""),
    (HOST + 'provider = "oci"\nrealm = "/token"\n', "f:4: host[0].realm: wanted an absolute URL"),
    (HOST + 'provider = "oci"\nca_bundle = "ca.pem"\n', "f:4: host[0].ca_bundle: wanted an absolute path"),
    (HOST + 'provider = "oci"\npath_prefix = "x/"\n', 'f:4: host[0].path_prefix: wanted a path like "/artifactory/api/docker/repo"'),
    (HOST + 'provider = "oci"\nbare_host = { scopes = [] }\n', 'f:4: host[0].bare_host.scopes: wanted at least one scope, such as "repository:app:pull"'),
    (HOST + 'provider = "oci"\nactions = { "x/**" = ["pul"] }\n', "f:4: host[0].actions: 'x/**' has the unknown action 'pul'; known: pull, push, delete, *"),
    (HOST + 'provider = "oci"\ninsecure = true\ntls_verify = false\n', "f:5: host[0].tls_verify: means nothing beside insecure = true; leave one of them out"),
    (HOST + 'provider = "exec"\ncommand = ["x"]\n', "f:4: host[0].command: wanted the absolute path of a program, and its arguments"),
    (HOST + 'provider = "exec"\ncommand = []\n', "f:4: host[0].command: wanted the absolute path of a program, and its arguments"),
    (HOST + 'provider = "exec"\ncommand = ["/x"]\ntimeout = 301\n', "f:5: host[0].timeout: wanted seconds from 1 to 300"),
    (HOST + 'provider = "exec"\ncommand = ["/x"]\nconcurrency = 0\n', "f:5: host[0].concurrency: wanted a number from 1 to 64"),
    (HOST + 'provider = "exec"\ncommand = ["/x"]\nkeep = -1\n', "f:5: host[0].keep: wanted seconds, 0 or more"),
    (HOST + 'provider = "header"\nsecret = { source = "envv", name = "X" }\n', "f:4: host[0].secret.source: 'envv' is none of 'docker-config', 'netrc', 'env', 'file', 'command'"),
    (HOST + 'provider = "header"\nsecret = { source = "env", name = "a b" }\n', "f:4: host[0].secret.name: wanted the name of an environment variable"),
    (HOST + 'provider = "header"\nname = "X Y"\nsecret = { source = "env", name = "X" }\n', "f:4: host[0].name: wanted the name of a header"),
    (HOST + 'provider = "basic"\ncredentials = { source = "file", path = "x" }\n', "f:4: host[0].credentials.path: wanted an absolute path"),
    (HOST + 'provider = "basic"\ncredentials = { source = "command", argv = ["pass"] }\n', "f:4: host[0].credentials.argv: wanted the absolute path of a program, and its arguments"),
    (HOST + 'provider = "basic"\ncredentials = { source = "env", name = "X", username = "a:b" }\n', "f:4: host[0].credentials.username: wanted a user name without ':'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), MISTAKES, ids=[str(number) for number in range(len(MISTAKES))])
def test_a_mistake_has_its_line_its_path_and_what_was_wanted(text: str, wanted: str) -> None:
    """Each kind of mistake, literally."""
    with pytest.raises(ConfigError) as caught:
        load(text, "f")
    assert str(caught.value.mistakes[0]).startswith(wanted)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:5151", "localhost:5151", "10.0.0.1:1", "127.0.0.1", "127.0.0.1:0", "[::]:1"]
)
def test_t34_the_gateway_listens_on_the_loopback_alone(address: str) -> None:
    """Without TLS and client authentication nobody else may reach it; and never without a token."""
    with pytest.raises(ConfigError) as caught:
        load(f'[actions]\nlisten = "{address}"\nlisten_token = {{ source = "env", name = "T" }}\n', "f")
    assert caught.value.mistakes[0].path == "actions.listen"
    assert "TLS and client authentication" in str(caught.value.mistakes[0])
    for text in ('listen = "127.0.0.1:5151"', 'listen_token = { source = "env", name = "T" }'):
        with pytest.raises(ConfigError, match="come together"):
            load(f"[actions]\n{text}\n", "f")
    load('[actions]\nlisten = "[::1]:5151"\nlisten_token = { source = "env", name = "T" }\n', "f")


@pytest.mark.parametrize("match", ["", "a b", "a..b", "http://a.b", "a.b:99999", "*.", "a.*"])
def test_a_match_that_is_none(match: str) -> None:
    """The grammar of hosts is the router's own."""
    with pytest.raises(ConfigError) as caught:
        load(f'[[host]]\nmatch = "{match}"\nprovider = "none"\n', "f")
    assert caught.value.mistakes[0].path == "host[0].match"
    assert caught.value.mistakes[0].line == 2


def test_all_mistakes_of_meaning_are_told_at_once() -> None:
    """Whoever mends the file should need one round."""
    text = 'empty_ttl = 0\n[[host]]\nmatch = "a.b"\nprovider = "exec"\ncommand = ["x"]\ntimeout = 900\n'
    with pytest.raises(ConfigError) as caught:
        load(text, "f")
    assert [mistake.line for mistake in caught.value.mistakes] == [1, 5, 6]
    failure = caught.value.failed().failure
    assert failure.code is Code.CONFIG_INVALID
    assert failure.message.endswith("(and 2 more)")


def test_nothing_is_everything_by_default() -> None:
    """No file, an empty file: the same."""
    assert load("", "f") == load_files([]) == Settings()


def test_the_users_file_lies_over_the_machines() -> None:
    """Keys win one by one, host rules by their ``match``."""
    user = 'empty_ttl = 30\n[[host]]\nmatch = "a.b"\nprovider = "oci"\nallow_basic = false\n'
    machine = 'empty_ttl = 10\nallow_root = true\n[[host]]\nmatch = "a.b"\nprovider = "none"\n[[host]]\nmatch = "c.d"\nprovider = "none"\n'
    merged = load_files([("user", user), ("machine", machine)])
    assert (merged.empty_ttl, merged.allow_root) == (30, True)
    assert [rule.match for rule in merged.host] == ["a.b", "c.d"]
    assert isinstance(merged.host[0], OciHost)


def test_mistakes_of_both_files_are_told() -> None:
    """Each with its own name."""
    with pytest.raises(ConfigError) as caught:
        load_files([("user", "x = 1\n"), ("machine", "y = 1\n")])
    assert [mistake.where for mistake in caught.value.mistakes] == ["user", "machine"]


@pytest.mark.parametrize(
    ("size", "count"), [(5, 5), ("6", 6), ("1KiB", 1024), ("64MiB", 67_108_864), ("1 GiB", 1024**3)]
)
def test_sizes(size: int | str, count: int) -> None:
    """Bytes, with or without a unit."""
    assert size_in_bytes(size) == count


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(text: str) -> None:
    """Fuzz: a configuration is valid, or its mistakes are told."""
    with contextlib.suppress(ConfigError):
        load(text, "f")


LINES = """\
a = 1
b.c = 2

[t]
x = 1

[[host]]
match = "one"

[[host]]
match = "two"
nested = { deep = 1 }
[host.sub]
y = 2
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1),
        (("b", "c"), 2),
        (("t", "x"), 5),
        (("host", 0), 7),
        (("host", 0, "match"), 8),
        (("host", 1, "match"), 11),
        (("host", 1, "nested", "deep"), 12),
        (("host", 1, "sub", "y"), 14),
        (("host", 1, "nothing"), 10),
        (("nothing",), 1),
    ],
)
def test_where_a_key_is(path: tuple[str | int, ...], line: int) -> None:
    """The line of the key, or of its nearest parent."""
    assert locate(LINES, path) == line
