"""What is printed of a configuration: everything except possible secrets."""

import json
from collections.abc import Iterable, Iterator

import msgspec
import pytest
from msgspec import inspect

from credproxy.core.config.parse import ConfigError, load
from credproxy.core.config.settings import Settings
from credproxy.core.config.shown_settings import shown_settings, ways


SECRETS = """
[[host]]
match = "a.example"
provider = "oci"
proxy = "http://bob:canary%40one@proxy.example:3128"
realm = "https://auth.example/token?key=canary-two"
credentials = { source = "command", argv = ["/opt/secret", "canary-three", "--token=canary-four", "--profile", "canary-five"] }
[[host]]
match = "b.example"
provider = "exec"
command = ["/opt/helper", "-pcanary-six", "--verbose", "canary-seven"]
env = { API_KEY = "canary-eight" }
[[host]]
match = "c.example"
provider = "header"
prefix = "Token canary-nine "
secret = { source = "file", path = "/etc/secret", username = "ghp_canary10canary10canary10" }
[[host]]
match = "d.example"
provider = "header"
prefix = "Bearer "
secret = { source = "env", name = "D_TOKEN" }
"""


def test_no_setting_that_may_hold_a_secret_is_shown() -> None:
    """Logins of proxies, queries, arguments, environments; names stay readable."""
    shown = json.dumps(shown_settings(load(SECRETS, "f")))
    assert "canary" not in shown
    assert "***@proxy.example:3128" in shown
    assert "https://auth.example/token?***" in shown
    assert '["/opt/secret", "***", "--token=***", "--profile", "***"]' in shown
    assert '["/opt/helper", "***", "--verbose", "***"]' in shown
    assert '{"API_KEY": "***"}' in shown
    assert '"prefix": "Bearer "' in shown
    assert '"name": "D_TOKEN"' in shown


def test_a_configuration_without_secrets_is_shown_as_it_is() -> None:
    """Masking is for secrets alone: every other value is the one in force."""
    settings = load(
        'docker_config = "none"\nempty_ttl = 5\n[[host]]\nmatch = "*.a.example"\nprovider = "oci"\n'
        'actions = { "team/**" = ["pull"] }\nbare_host = { scopes = ["repository:a/b:pull"] }\n'
        'ca_bundle = "/etc/ca.pem"\nallow_private = ["10.0.0.0/8"]\n'
        '[[host]]\nmatch = "b.example"\nprovider = "oauth2"\nclient_id = "me"\ntoken_url = "https://id.example/token"\n'
        'grant = "refresh_token"\nclient_auth = "none"\nrefresh_token = { source = "file", path = "/etc/token" }\n'
        '[[actions.rule]]\naction = "allow"\nregistry = "ghcr.io"\nrepository = "org/**"\noperations = ["*"]\n',
        "f",
    )
    plain = {name: msgspec.to_builtins(getattr(settings, name)) for name in settings.__struct_fields__}
    for table in ("actions", "cache", "log"):  # with their defaults, which msgspec leaves out
        whole = getattr(settings, table)
        plain[table] = {key: msgspec.to_builtins(getattr(whole, key)) for key in whole.__struct_fields__}
    assert json.dumps(shown_settings(settings)) == json.dumps(plain)


def tables(kind: inspect.Type) -> Iterator[inspect.StructType]:
    """Every table that a configuration may have, and those in it."""
    inner: Iterable[inspect.Type] = ()
    match kind:
        case inspect.StructType(fields=fields):
            yield kind
            inner = [field.type for field in fields]
        case inspect.UnionType(types=types):
            inner = types
        case inspect.VarTupleType(item_type=each) | inspect.Metadata(type=each):
            inner = [each]
        case _:
            pass
    for each in inner:
        yield from tables(each)


TABLES = {f"{table.cls.__name__}": table for table in tables(inspect.type_info(Settings))}


@pytest.mark.parametrize("name", TABLES)
def test_the_type_of_every_text_says_how_it_is_shown(name: str) -> None:
    """Otherwise it would be masked only because nobody decided."""
    for field in TABLES[name].fields:
        assert len(ways(field.type)) <= 1, f"{field.encode_name}: its texts are shown in several ways"
        assert "" not in ways(field.type), (
            f"{field.encode_name}: wanted PublicText, HiddenText or another of core/formats/toml_types.py instead of str"
        )


def test_the_test_above_looks_at_tables_of_every_depth() -> None:
    """Of the configuration, its rules, their sources, and what is in those."""
    assert {"Settings", "ActionRule", "OciHost", "BareHost", "CommandSource", "PrintedFields"} <= set(TABLES)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("proxy", "https://bob:canary@proxy:1", "a proxy of https:// is not supported; wanted http://HOST:PORT"),
        ("proxy", "socks5://bob:canary@proxy:1", "a proxy of socks5:// is not supported"),
        ("proxy", "bob:canary@proxy:1", "wanted http://HOST:PORT"),
        ("proxy", "http://bob:canary@", "the proxy has no host"),
        ("proxy", "http://bob:canary@proxy:port", "a port that is not a number"),
        ("proxy", "http://bob:canary@proxy:1/canary", "nothing may follow the proxy's host and port"),
        ("proxy", "http://bob:can/ary@proxy:1", "/ as %2F"),
        ("proxy", "http://bob:can@canary@proxy:1", "is not percent-encoded"),
        ("proxy", "http://bob:canary%@proxy:1", "is not percent-encoded"),
        ("proxy", "http://:canary@proxy:1", "needs a user"),
        ("proxy", "http://bob:canary%0a@proxy:1", "has a control character"),
        ("realm", "https://bob:canary@auth.example/token", "a login in the URL of a token server is not used"),
        ("realm", "ftp://auth.example/canary", "wanted an absolute URL"),
        ("realm", "https://auth.example/token#canary", "nothing after a # is sent"),
        ("match", "https://bob:canary@a.example", ""),
        ("match", "bob:canary@a.example", ""),
        ("realm_hosts", ["bob:canary@a.example"], "is not a host"),
        ("provider", "ghp_canary10canary10canary10", "is not one of"),
        ("credentials", "canary", "not a string"),
        ("bare_host", "glpat-canary10canary10", ""),
        ("ca_bundle", "https://bob:canary@a.example", "wanted an absolute path"),
    ],
)
def test_what_is_not_supported_is_refused_and_never_quoted(key: str, value: object, said: str) -> None:
    """S13: `config check` says what is wanted instead; a value in the wrong place may be a secret."""
    lines = {"match": "a.example", "provider": "oci", key: value}
    text = "[[host]]\n" + "".join(f"{name} = {json.dumps(item)}\n" for name, item in lines.items())
    with pytest.raises(ConfigError) as caught:
        load(text, "f")
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)
    assert "canary" not in caught.value.failed().failure.message


@pytest.mark.parametrize(
    "url",
    ["http://proxy:3128", "http://proxy", "http://bob@proxy:1/", "http://bob:p%40ss@[::1]:3128", "HTTP://proxy:1"],
)
def test_a_proxy_of_plain_http_is_taken_with_and_without_a_login(url: str) -> None:
    """The forms that the reference names."""
    text = f'[[host]]\nmatch = "a.example"\nprovider = "oci"\nproxy = "{url}"\n'
    assert load(text, "f").host
