"""Configuration: every kind of mistake with its literal message, and what two files make together."""

import contextlib
from collections.abc import Callable, Iterable

import msgspec
import pytest
from hypothesis import given, strategies as st

from credproxy.core.config.config_checks import size_in_bytes
from credproxy.core.config.parse import ConfigError, load, load_files
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code
from credproxy.core.formats.shapes import Shape, fit
from credproxy.core.formats.toml_lines import locate
from credproxy.core.kinds import KINDS
from credproxy.core.kinds.exec import ExecHost
from credproxy.core.kinds.oci import OciHost
from tests.kind_samples import SOURCES


HOST = '[[host]]\nmatch = "a.b"\n'


def named(kinds: Iterable[type[msgspec.Struct]]) -> str:
    """Their tags, as a message lists them."""
    return ", ".join(f'"{kind.__struct_config__.tag}"' for kind in kinds)


MISTAKES = [
    ("x = 1\n", "f:1: x: there is no such key; known here: "),
    ("buildin = false\n", "f:1: buildin: there is no such key; did you mean 'builtin'?"),
    ('empty_ttl = "x"\n', "f:1: empty_ttl: wanted a number, not a string"),
    ("empty_ttl = 0\n", "f:1: empty_ttl: wanted seconds from 1 to 3600"),
    ("flight_timeout = 301\n", "f:1: flight_timeout: wanted seconds from 1 to 300"),
    ('docker_config = "x"\n', 'f:1: docker_config: wanted "auto", "none" or an absolute path'),
    ('netrc = "./n"\n', 'f:1: netrc: wanted "auto", "none" or an absolute path'),
    ("[cache]\nentries = 0\n", "f:2: cache.entries: wanted 1 or more"),
    ('[cache]\nbytes = "3 potatoes"\n', 'f:2: cache.bytes: wanted bytes, such as 67108864 or "64MiB"'),
    ("[cache]\nentrys = 3\n", "f:2: cache.entrys: there is no such key; did you mean 'entries'?"),
    ('[log]\nlevel = "loud"\n', "f:2: log.level: 'loud' is not one of \"debug\", \"error\", \"info\", \"warning\""),
    ("a = \n", 'f:1: this is not a value; text goes in quotes, as in key = "text"'),
    ("empty_ttl = 1\nempty_ttl = 2\n", "f:2: this is already set further up"),
    (HOST, 'f:1: host[0]: "provider" is missing; wanted provider = "oci", "exec", "header", '),
    (HOST + 'provider = "ocii"\n', "f:3: host[0].provider: 'ocii' is not one of " + named(KINDS) + '; did you mean "oci"?'),
    (HOST + 'provider = "oci"\nrealm_host = ["x"]\n', "f:4: host[0].realm_host: there is no such key; did you mean 'realm_hosts'?"),
    (HOST + 'provider = "none"\n' + HOST + 'provider = "none"\n', "f:5: host[1].match: 'a.b' already has a rule: host[0]"),
    ('[[host]]\nmatch = 5\nprovider = "none"\n', "f:2: host[0].match: wanted a string, not a number"),
    ('helper_path = ["/a", "/b"]\n', 'f:1: helper_path: wanted "/one/folder:/another", not a list'),
    ('netrc = ["~/n"]\n', 'f:1: netrc: wanted "auto", "none" or "/path/to/netrc", not a list'),
    ("docker_config = 5\n", "f:1: docker_config: wanted a string, not a number"),
    (HOST + 'provider = "oci"\nallow_private = ["10.0.0.1/8"]\n', "f:4: host[0].allow_private: '10.0.0.1/8' is not a network; wanted one like \"10.0.0.0/8\""),
    (HOST + 'provider = "oci"\nrealm_hosts = ["https://auth.test"]\n', "f:4: host[0].realm_hosts: 'https://auth.test' is not a host; wanted one like \"auth.example.com\" or \"auth.example.com:8443\""),
    (HOST + 'provider = "oci"\nrealm = "/token"\n', "f:4: host[0].realm: wanted an absolute URL, such as https://auth.example.com/token"),
    (HOST + 'provider = "oci"\nca_bundle = "ca.pem"\n', "f:4: host[0].ca_bundle: wanted an absolute path"),
    (HOST + 'provider = "oci"\npath_prefix = "x/"\n', 'f:4: host[0].path_prefix: wanted a path like "/artifactory/api/docker/repo"'),
    (HOST + 'provider = "oci"\nbare_host = { scopes = [] }\n', 'f:4: host[0].bare_host.scopes: wanted at least one scope, such as "repository:app:pull"'),
    (HOST + 'provider = "oci"\nactions = { "x/**" = ["pul"] }\n', "f:4: host[0].actions: 'x/**' has the unknown action 'pul'; known: pull, push, delete, *"),
    (HOST + 'provider = "oci"\ninsecure = true\ntls_verify = false\n', "f:5: host[0].tls_verify: means nothing together with insecure = true; leave one of them out"),
    (HOST + 'provider = "exec"\ncommand = ["x"]\n', "f:4: host[0].command: wanted the absolute path of a program, and its arguments"),
    (HOST + 'provider = "exec"\ncommand = []\n', "f:4: host[0].command: wanted the absolute path of a program, and its arguments"),
    (HOST + 'provider = "exec"\ncommand = ["/x"]\ntimeout = 301\n', "f:5: host[0].timeout: wanted seconds from 1 to 300"),
    (HOST + 'provider = "exec"\ncommand = ["/x"]\nconcurrency = 0\n', "f:5: host[0].concurrency: wanted a number from 1 to 64"),
    (HOST + 'provider = "exec"\ncommand = ["/x"]\nkeep = -1\n', "f:5: host[0].keep: wanted seconds, 0 or more"),
    (HOST + 'provider = "header"\nsecret = { source = "envv", name = "X" }\n', "f:4: host[0].secret.source: 'envv' is not one of " + named(SOURCES) + '; did you mean "env"?'),
    (HOST + 'provider = "header"\nsecret = { source = "env", name = "a b" }\n', "f:4: host[0].secret.name: wanted the name of an environment variable"),
    (HOST + 'provider = "header"\nname = "X Y"\nsecret = { source = "env", name = "X" }\n', "f:4: host[0].name: wanted the name of a header"),
    (HOST + 'provider = "header"\nname = "Content-Length"\nsecret = { source = "env", name = "X" }\n', "f:4: host[0].name: the header 'Content-Length' belongs to the connection"),
    (HOST + 'provider = "header"\nprefix = "Bear\u00e9r "\nsecret = { source = "env", name = "X" }\n', "f:4: host[0].prefix: wanted printable ASCII"),
    (HOST + 'provider = "header"\nprefix = "bearer"\nsecret = { source = "env", name = "X" }\n', 'f:4: host[0].prefix: runs into what comes after it: wanted "bearer ", with a space at the end'),
    (HOST + 'provider = "OCI"\n', "f:3: host[0].provider: 'OCI' is not one of " + named(KINDS) + '; did you mean "oci"?'),
    ('[log]\nlevel = "INFO"\n', """f:2: log.level: 'INFO' is not one of "debug", "error", "info", "warning"; did you mean "info"?"""),
    ('[[actions.rule]]\naction = "allow"\nurl = "https://a.b/x"\nmethods = ["get"]\n', """f:4: actions.rule[0].methods[0]: 'get' is not one of "GET", "HEAD"; did you mean "GET"?"""),
    ('builtin = ["GitHub"]\n', "f:1: builtin: 'GitHub' is not built in; known: azure, "),
    ("[actions]\ncarriers = 2.5\n", "f:2: actions.carriers: wanted a whole number, not a number with a point"),
    ("[cache]\nbytes = 0\n", 'f:2: cache.bytes: wanted bytes, such as 67108864 or "64MiB"'),
    (HOST + 'provider = "basic"\ncredentials = { source = "file", path = "x" }\n', "f:4: host[0].credentials.path: wanted an absolute path"),
    (HOST + 'provider = "basic"\ncredentials = { source = "command", argv = ["pass"] }\n', "f:4: host[0].credentials.argv: wanted the absolute path of a program, and its arguments"),
    ('[host]\nmatch = "a.b"\nprovider = "none"\n', "f:1: host: wanted [[host]], with double brackets: there may be more than one"),
    ('[actions.rule]\naction = "allow"\n', "f:1: actions.rule: wanted [[actions.rule]], with double brackets"),
    ("[[cache]]\nentries = 3\n", "f:1: cache: wanted [cache], with single brackets: there is only one"),
    ("[host]\nx = 1\n[host]\ny = 2\n", "f:3: [host] is there twice, or has a value further up; wanted [[host]], with double brackets"),
    ("[log]\n[log]\n", "f:2: [log] is there twice, or has a value further up"),
    (HOST + 'provider = "none\nmatch = 3\n', "f:3: the string is not closed on its line"),
    ("host = 3\n", 'f:1: host: wanted [[host]] with a "match" and a "provider", not a number'),
    ('[actions]\nlisten = "127.0.0.1:1"\nlisten_token = { source = "file", path = "x" }\n', "f:3: actions.listen_token.path: wanted an absolute path"),
    (HOST + 'provider = "basic"\ncredentials = []\n', "f:4: host[0].credentials: wanted at least one source"),
    (HOST + 'provider = "basic"\ncredentials = [{ source = "netrc" }, { source = "file", path = "x" }]\n', "f:4: host[0].credentials[1].path: wanted an absolute path"),
    (HOST + 'provider = "basic"\ncredentials = [{ source = "netrc" }, "netrc"]\n', "f:4: host[0].credentials[1]: wanted "),
    ("log = true\n", "f:1: log: wanted a table [log], not true"),
    ('empty_ttl = "30"\n', "f:1: empty_ttl: wanted a number, not a string; write it without quotes"),
    ('builtin = "true"\n', 'f:1: builtin: wanted true, false or ["docker-config", "netrc"], not a string; write it without quotes'),
    ("builtin = 1\n", 'f:1: builtin: wanted true, false or ["docker-config", "netrc"], not a number'),
    ('builtin = ["github.test"]\n', "f:1: builtin: 'github.test' is not built in; known: "),
    ("empty_ttl = 2026-01-01\n", "f:1: empty_ttl: wanted a number, not a date or a time"),
    ("drain_timeout = -1\n", "f:1: drain_timeout: wanted seconds, 0 or more"),
    ("drain_timeout = nan\n", "f:1: drain_timeout: wanted seconds, 0 or more"),
    ("[cache]\nentries = 1.5\n", "f:2: cache.entries: wanted a whole number, not a number"),
    ("[cache]\nbytes = 1.5\n", "f:2: cache.bytes: wanted a whole number or a string, not a number"),
    (HOST + 'provider = "exec"\ncommand = "/x get"\n', 'f:4: host[0].command: wanted ["/path/to/program", "argument"], not a string'),
    (HOST + 'provider = "exec"\ncommand = ["/x", 5]\n', "f:4: host[0].command[1]: wanted a string, not a number"),
    (HOST + 'provider = "exec"\n', 'f:1: host[0]: "command" is missing; wanted command = ["/path/to/program", "argument"]'),
    (HOST + 'provider = "exec"\ncommand = ["/x"]\nenv = ["A=1"]\n', 'f:5: host[0].env: wanted { NAME = "value" }, not a list'),
    (HOST + 'provider = "oauth2"\nissuer = "https://i.test"\n', 'f:1: host[0]: "client_id" is missing; wanted a string'),
    (HOST + 'provider = "header"\n', 'f:1: host[0]: "secret" is missing; wanted secret = { source = "env", name = "NAME" }'),
    (HOST + 'provider = "header"\nsecret = { source = "env" }\n', 'f:4: host[0].secret: "name" is missing; wanted name = "NAME"'),
    (HOST + 'provider = "header"\nsecret = { name = "X" }\n', 'f:4: host[0].secret: "source" is missing; wanted source = "docker-config", "netrc", "env", "file", '),
    (HOST + 'provider = "oci"\nbare_host = 5\n', 'f:4: host[0].bare_host: wanted "basic", "none" or { scopes = ["repository:app:pull"] }, not a number'),
    (HOST + 'provider = "oci"\nbare_host = { scopes = ["x"], min_lifetime = inf }\n', "f:4: host[0].bare_host.min_lifetime: wanted seconds, 0 or more"),
    (HOST + 'provider = "oci"\nmethod = "PUT"\n', "f:4: host[0].method: 'PUT' is not one of \"GET\", \"POST\""),
    (HOST + 'provider = "oci"\ncommand = ["/x"]\n', 'f:4: host[0].command: there is no such key here: only provider = "exec" has it, not "oci"'),
    (HOST + 'provider = "none"\nempty_ttl = 30\n', "f:4: host[0].empty_ttl: there is no such key here: it belongs at the top of the file, before the first [table]"),
    ("[log]\n\n[actions]\n\n[[action.rule]]\n", "f:5: action: there is no such key; did you mean 'actions'?"),
    ("[log]\n[cahe.x]\n", "f:2: cahe: there is no such key; did you mean 'cache'?"),
    ('[[hosts]]\nmatch = "a.b"\nprovider = "none"\n', "f:1: hosts: there is no such key; did you mean 'host'?"),
    (HOST.replace("match", "Match") + 'provider = "none"\n', "f:2: host[0].Match: there is no such key; did you mean 'match'?"),
    (HOST + 'provider = "none"\n' + HOST.replace("a.b", "A.B.") + 'provider = "none"\n', "f:5: host[1].match: 'A.B.' already has a rule: host[0]"),
    (HOST + 'provider = "basic"\ncredentials = { source = "command", argv = ["/x"], keep = nan }\n', "f:4: host[0].credentials.keep: wanted seconds, 0 or more"),
    (HOST + 'provider = "basic"\ncredentials = { source = "env", name = "X", username = "a:b" }\n', "f:4: host[0].credentials.username: wanted a user name without ':'"),
]  # a table  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), MISTAKES, ids=[str(number) for number in range(len(MISTAKES))])
def test_a_mistake_has_its_line_its_path_and_what_was_wanted(text: str, wanted: str) -> None:
    """Each kind of mistake, literally."""
    with pytest.raises(ConfigError) as caught:
        load(text, "f")
    assert str(caught.value.mistakes[0]).startswith(wanted)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:5151", "localhost:5151", "10.0.0.1:1", "127.0.0.1", "127.0.0.1:0", "[::]:1"]
)
def test_the_gateway_listens_on_the_loopback_alone(address: str) -> None:
    """T34: Without TLS and client authentication, other machines must not reach it; and never without a token."""
    with pytest.raises(ConfigError) as caught:
        load(f'[actions]\nlisten = "{address}"\nlisten_token = {{ source = "env", name = "T" }}\n', "f")
    assert caught.value.mistakes[0].path == "actions.listen"
    assert "TLS and client authentication" in str(caught.value.mistakes[0])
    for text in ('listen = "127.0.0.1:5151"', 'listen_token = { source = "env", name = "T" }'):
        with pytest.raises(ConfigError, match="go together"):
            load(f"[actions]\n{text}\n", "f")
    load('[actions]\nlisten = "[::1]:5151"\nlisten_token = { source = "env", name = "T" }\n', "f")


@pytest.mark.parametrize("match", ["", "a b", "a..b", "http://a.b", "a.b:99999", "*.", "a.*"])
def test_an_invalid_match(match: str) -> None:
    """The grammar of hosts is the router's own."""
    with pytest.raises(ConfigError) as caught:
        load(f'[[host]]\nmatch = "{match}"\nprovider = "none"\n', "f")
    assert caught.value.mistakes[0].path == "host[0].match"
    assert caught.value.mistakes[0].line == 2


def test_all_mistakes_of_meaning_are_reported_at_once() -> None:
    """One round should be enough to fix the file."""
    text = 'empty_ttl = 0\n[[host]]\nmatch = "a.b"\nprovider = "exec"\ncommand = ["x"]\ntimeout = 900\n'
    with pytest.raises(ConfigError) as caught:
        load(text, "f")
    assert [mistake.line for mistake in caught.value.mistakes] == [1, 5, 6]
    failure = caught.value.failed().failure
    assert failure.code is Code.CONFIG_INVALID
    assert failure.message.endswith("(and 2 more)")


def test_the_typo_is_reported_and_not_the_key_that_it_leaves_missing() -> None:
    """``provder`` is one mistake, and its neighbours are checked as if the key were right."""
    text = '[[host]]\nmatch = "a.b"\nprovder = "exec"\ncommand = "x"\ntimeot = 900\n'
    with pytest.raises(ConfigError) as caught:
        load(text, "f")
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        "f:3: host[0].provder: there is no such key; did you mean 'provider'?",
        'f:4: host[0].command: wanted ["/path/to/program", "argument"], not a string',
        "f:5: host[0].timeot: there is no such key; did you mean 'timeout'?",
    ]


def test_all_mistakes_of_all_kinds_are_reported_with_their_lines() -> None:
    """Of syntax, of shape and of meaning, in rules before and after an unusable one."""
    text = """empty_ttl = 0
netrc = relative
buildin = true
[[host]]
match = "a b"
provider = "none"
[[host]]
match = 5
provider = "none"
[[host]]
match = "c.d"
provider = "exec"
command = ["x"]
[[host]]
match = "C.D"
provider = "ocii"
[[host]]
match = "C.D"
provider = none
[[host]]
match = "C.D"
provider = "none"
[[actions.rule]]
action = "alow"
registry = "ghcr.io"
repository = "x"
operations = ["*"]
[[actions.rule]]
action = "allow"
registry = "ghcr.io"
repository = "UPPER"
operations = []
"""
    with pytest.raises(ConfigError) as caught:
        load(text, "f")
    found = [(mistake.line, mistake.path) for mistake in caught.value.mistakes]
    assert found == [
        (1, "empty_ttl"),
        (2, ""),
        (3, "buildin"),
        (5, "host[0].match"),
        (8, "host[1].match"),
        (13, "host[2].command"),
        (16, "host[3].provider"),
        (19, ""),
        (21, "host[5].match"),
        (24, "actions.rule[0].action"),
        (31, "actions.rule[1].repository"),
        (32, "actions.rule[1].operations"),
    ]
    assert str(caught.value.mistakes[8]).endswith("'C.D' already has a rule: host[2]")


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    """If a user writes the token itself instead of its source, it must not appear in a terminal or a log."""
    for text in (
        '[[host]]\nmatch = "a.b"\nprovider = "header"\nsecret = "s3cr3t-canary"\n',
        '[[host]]\nmatch = "a.b"\nprovider = "header"\nsecret = s3cr3t-canary\n',
        '[[host]]\nmatch = "a.b"\nprovider = "header"\nsecret = ["s3cr3t-canary"]\n',
        '[[host]]\nmatch = "a.b"\nprovider = "header"\nsecret = { source = "env", name = "s3cr3t-canary" }\n',
        '[actions]\nlisten_token = "s3cr3t-canary"\n',
    ):
        with pytest.raises(ConfigError) as caught:
            load(text, "f")
        assert "canary" not in str(caught.value)
        assert caught.value.mistakes[0].line == text.count("\n")


PATHS = [
    ('docker_config = "{}"\n', lambda settings: settings.docker_config),
    ('netrc = "{}"\n', lambda settings: settings.netrc),
    ('[actions]\npolicy_file = "{}"\n', lambda settings: settings.actions.policy_file),
    (HOST + 'provider = "oci"\nca_bundle = "{}"\n', lambda settings: settings.host[0].ca_bundle),
    (HOST + 'provider = "oci"\ncredentials = {{ source = "docker-config", path = "{}" }}\n', lambda settings: settings.host[0].credentials.path),
    (HOST + 'provider = "basic"\ncredentials = {{ source = "netrc", path = "{}" }}\n', lambda settings: settings.host[0].credentials.path),
    (HOST + 'provider = "header"\nsecret = {{ source = "file", path = "{}" }}\n', lambda settings: settings.host[0].secret.path),
    (HOST + 'provider = "header"\nsecret = {{ source = "command", argv = ["{}", "~/b"] }}\n', lambda settings: settings.host[0].secret.argv[0]),
    (HOST + 'provider = "exec"\ncommand = ["{}", "~/b"]\n', lambda settings: settings.host[0].command[0]),
    ('[actions]\nlisten = "127.0.0.1:1"\nlisten_token = {{ source = "file", path = "{}" }}\n', lambda settings: settings.actions.listen_token.path),
    ('helper_path = "{}"\n', lambda settings: settings.helper_path),
]  # a table  # fmt: skip


@pytest.mark.parametrize(
    ("text", "read"), PATHS, ids=[text.split(" = ")[-2].split()[-1] + str(n) for n, (text, _) in enumerate(PATHS)]
)
def test_a_tilde_stands_for_the_home_in_every_path(text: str, read: Callable[[Settings], str]) -> None:
    """Users write ``~/`` everywhere; another user's home and a missing home are reported, never taken for a name."""
    assert read(load(text.format("~/x y"), "f", home="/home/me")) == "/home/me/x y"
    assert read(load(text.format("/a/~/x"), "f", home="/home/me")) == "/a/~/x"
    for path, home, problem in (
        ("~other/x", "/home/me", "'~other' is not looked up, only '~/' is; write the path out"),
        ("~/x", "", "there is no home directory for '~'; write the path out"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(text.format(path), "f", home=home)
        assert [mistake.problem for mistake in caught.value.mistakes] == [problem]
        assert caught.value.mistakes[0].line == text.count("\n")


def test_a_tilde_stands_for_the_home_in_each_part_of_a_search_path() -> None:
    """And an argument of a program is left as it is: no shell reads it."""
    assert load('helper_path = "~/bin:/usr/bin:~"\n', "f", home="/h").helper_path == "/h/bin:/usr/bin:/h"
    rule = load(HOST + 'provider = "exec"\ncommand = ["~/a", "~/b"]\n', "f", home="/h").host[0]
    assert isinstance(rule, ExecHost)
    assert rule.command == ("/h/a", "~/b")


@pytest.mark.parametrize("path", ["bin", "/bin:tools", "/bin:", ":/bin", "/a::/b", "$HOME/bin"])
def test_a_search_path_has_no_directory_that_depends_on_where_the_daemon_is_started(path: str) -> None:
    """A relative or empty part is the working directory, as in ``PATH``, and its owner could choose programs."""
    with pytest.raises(ConfigError) as caught:
        load(f'helper_path = "{path}"\n', "f", home="/h")
    wanted = "wanted absolute paths, or ones that begin with ~/, separated by colons"
    assert [str(mistake) for mistake in caught.value.mistakes] == [f"f:1: helper_path: {wanted}"]


def test_a_default_that_the_user_writes_wins_over_the_machines_value() -> None:
    """An explicit ``allow_root = false`` is not the same as nothing, and tables are merged key by key."""
    user = 'allow_root = false\n[log]\nlevel = "info"\n[[host]]\nmatch = "A.B"\nprovider = "oci"\n'
    machine = 'allow_root = true\n[log]\nlevel = "debug"\naudit = true\n[[host]]\nmatch = "a.b"\nprovider = "none"\n'
    merged = load_files([("user", user), ("machine", machine)])
    assert (merged.allow_root, merged.log.level, merged.log.audit) == (False, "info", True)
    assert [type(rule) for rule in merged.host] == [OciHost]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 400)
    | st.floats()
    | st.sampled_from(["oci", "exec", "env", "a.b", "/x", "~/x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "host",
                    "match",
                    "provider",
                    "secret",
                    "source",
                    "name",
                    "command",
                    "path",
                    "actions",
                    "rule",
                    "cache",
                    "log",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_kept_always_fits_the_types(document: object) -> None:
    """Fuzz: nothing that the comparison lets pass is refused by the types, and without a mistake nothing was left out."""
    fitted = fit(document, Shape(Settings), home="/h")
    if fitted.value is None:
        assert fitted.mistakes
        return
    msgspec.convert(fitted.value, Settings, strict=True)
    if not fitted.mistakes:
        msgspec.convert(document, Settings, strict=True)


def test_a_byte_order_mark_means_nothing() -> None:
    """Some editors add one."""
    assert load("\ufeffempty_ttl = 30\n", "f").empty_ttl == 30


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


def test_mistakes_of_both_files_are_reported() -> None:
    """Each with the name of its file."""
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
    """Fuzz: a configuration is valid, or its mistakes are reported."""
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
