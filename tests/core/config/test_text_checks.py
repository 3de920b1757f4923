"""Texts that nothing can use, and every key of every kind and source with values that it cannot have: a mistake with its line, and never anything else.

A new key is in these tables on its own, because they are made from the types.
"""

import json
import tomllib
from collections.abc import Iterator
from functools import cache

import pytest
from msgspec import Struct, inspect

from credproxy.core.config.parse import _SHAPE, ConfigError, Mistake, load
from credproxy.core.formats.shapes import PATH, Shape, fit
from credproxy.core.formats.toml_types import Base
from credproxy.core.kinds import KINDS
from tests.kind_samples import SOURCES, needed


VAULT = {"source": "vault", "path": "secret/data/x", "address": "https://v.test"}

TEXTS = {
    "line end": "x\ny",
    "escape": "a\x1b[2Jb",
    "right to left": "a\u202eb",
    "no-break space": "a\u00a0b",
    "NUL": "/a\0b",
    "white space": " ",
    "empty": "",
}

OTHERS: dict[str, object] = {
    "true": True,
    "0": 0,
    "negative": -1,
    "fraction": 1.5,
    "no end": float("inf"),
    "long": 1e308,
    "beyond 64 bits": 2**63,
    "beyond a float": 10**400,
    "list": [],
    "list of a number": [1],
    "list of texts": ["a", "a"],
    "table": {},
    "table of a number": {"a": 1},
    "table with an empty key": {"": ""},
    "half a source": {"source": "env"},
    "no source": {"source": "nope"},
    "text": "x",
    "path": "/x",
    "control in a list": ["/a\0b"],
    "control in a table": {"A": "x\0y"},
}


def toml(value: object) -> str:
    """A value as TOML has it."""
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case str():
            return json.dumps(value)
        case _:
            return repr(value)


def written(kind: type[Struct], index: int = 0, **options: object) -> str:
    """One ``[[host]]`` with an option of its kind, or with one of the source of its secret."""
    place: dict[str, object] = {"match": f"*.h{index}.test"}
    if kind in SOURCES:
        table = place | {"provider": "header", "secret": needed(kind) | options}
    else:
        table = needed(kind) | place | options
    return "[[host]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in table.items())


def keys_of(kind: type[Struct]) -> dict[str, inspect.Type]:
    """Its keys, and their types."""
    about = inspect.type_info(kind)
    assert isinstance(about, inspect.StructType)
    return {known.encode_name: known.type for known in about.fields}


def mistakes(text: str) -> tuple[Mistake, ...]:
    """What is wrong with it. Any other exception than ConfigError fails the test."""
    try:
        load(text, "f", home="/h")
    except ConfigError as error:
        return error.mistakes
    return ()


def _is_text(kind: inspect.Type) -> bool:
    """Whether a key takes any text, and not a path or one of a few words."""
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    paths = any(PATH in (member.extra or {}) for member in members if isinstance(member, inspect.Metadata))
    plain = [bare(member) for member in members if not isinstance(member, inspect.NoneType)]
    return bool(plain) and not paths and all(isinstance(member, inspect.StrType) for member in plain)


def bare(kind: inspect.Type) -> inspect.Type:
    """A type without what is said about it."""
    return kind.type if isinstance(kind, inspect.Metadata) else kind


@pytest.mark.parametrize("kind", [*KINDS, *SOURCES], ids=lambda kind: kind.__name__)
def test_a_base_of_these_tables_is_right(kind: type[Struct]) -> None:
    """Otherwise another mistake would be found than the one that is looked for."""
    assert not mistakes(written(kind))


@pytest.mark.parametrize("kind", [*KINDS, *SOURCES], ids=lambda kind: kind.__name__)
def test_a_text_that_nothing_can_use_is_a_mistake_of_every_key(kind: type[Struct]) -> None:
    """Not a failure of the first question, which would blame the login that is stored."""
    wrong = [
        (key, name, text)
        for key, about in keys_of(kind).items()
        for name, text in TEXTS.items()
        if _is_text(about) and not (key == "prefix" and not text)
    ]
    found = mistakes("".join(written(kind, index, **{key: text}) for index, (key, _, text) in enumerate(wrong)))
    said = {(mistake.path.partition("]")[0], mistake.path.rpartition(".")[2]) for mistake in found}
    assert [(key, name) for index, (key, name, _) in enumerate(wrong) if (f"host[{index}", key) not in said] == []


@pytest.mark.parametrize("kind", [*KINDS, *SOURCES], ids=lambda kind: kind.__name__)
def test_no_value_of_any_key_raises_anything_else(kind: type[Struct]) -> None:
    """A value of another type, one that is out of range, one that is nested: it is taken, or it is a mistake with its line."""
    for name, value in {**OTHERS, **TEXTS}.items():
        text = "".join(written(kind, index, **{key: value}) for index, key in enumerate(keys_of(kind)))
        for mistake in mistakes(text):
            assert mistake.line, (name, str(mistake))
            assert "\0" not in str(mistake)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ('provider = "header"\nsecret = { source = "file", path = "/a\\u0000b" }\n', "host[0].secret.path"),
        ('provider = "exec"\ncommand = ["/a\\u0000b"]\n', "host[0].command[0]"),
        ('provider = "exec"\ncommand = ["/a", "b\\u0000"]\n', "host[0].command[1]"),
        ('provider = "exec"\ncommand = ["/a"]\nenv = { A = "b\\u0000" }\n', "host[0].env.A"),
        ('provider = "oci"\nca_bundle = "/a\\u0000b"\n', "host[0].ca_bundle"),
        ('provider = "none"\nclient_cert = "/a\\u0000b"\n', "host[0].client_cert"),
    ],
)
def test_a_nul_is_a_mistake_in_paths_and_arguments_too(options: str, place: str) -> None:
    """The operating system takes none, so that ``config check --deep`` and the daemon would hit a ValueError."""
    found = mistakes(f'[[host]]\nmatch = "a.test"\n{options}')
    assert [(mistake.path, "NUL character" in mistake.problem) for mistake in found] == [(place, True)]


def test_arguments_may_have_lines() -> None:
    """A script of a shell's, and a variable that has several lines, are texts for programs."""
    command = 'command = ["/bin/sh", "-c", "a\\nb"]\nenv = { A = "x\\ny", B = "" }\n'
    assert not mistakes(f'[[host]]\nmatch = "a.test"\nprovider = "exec"\n{command}')


def test_a_value_that_is_a_whole_file_is_cut() -> None:
    """Pasted in the wrong place, it would fill the screen; the end of the message says what was wanted."""
    for key in ("provider", "match", "x" * 5000):
        table = {"match": "a.test", "provider": "none", key: "b!" * 35_000}
        found = mistakes("[[host]]\n" + "".join(f"{name} = {toml(value)}\n" for name, value in table.items()))
        assert len(found) == 1
        assert len(str(found[0])) < 1200


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ('"username"', 'wanted ["username", "password"], not a string'),
        ("5", 'wanted ["username", "password"], not a number'),
        ("{}", 'wanted ["username", "password"], not a table'),
        ('["a"]', 'wanted ["username", "password"], not a list of 1'),
        ('["a", "b", "c"]', 'wanted ["username", "password"], not a list of 3'),
        ('["a", 1]', "wanted a string, not a number"),
    ],
)
def test_a_pair_is_a_list_of_two(value: str, wanted: str) -> None:
    """The only key of a fixed length."""
    found = mistakes(f'[[host]]\nmatch = "a.test"\nprovider = "vault"\nsecret = {toml(VAULT)}\nbasic = {value}\n')
    assert [mistake.problem for mistake in found] == [wanted]


def _tables() -> Iterator[type[Struct]]:
    """Every table of a configuration."""
    todo = [*Base.__subclasses__()]
    while todo:
        table = todo.pop()
        todo += table.__subclasses__()
        if not table.__name__.startswith("_"):
            yield table


@cache
def _forms() -> list[tuple[type[Struct], str, str]]:
    """Each table and key whose value a message writes out as TOML."""
    found = []
    for table in _tables():
        tag = str(table.__struct_config__.tag or "")
        for key in keys_of(table):
            form = _SHAPE.form(tag, key)
            try:
                tomllib.loads(f"x = {form}")
            except tomllib.TOMLDecodeError:  # words, such as "a table [cache]"
                continue
            found.append((table, key, form))
    return found


def test_what_a_message_writes_out_is_a_value_of_that_key() -> None:
    """A newcomer copies it: Vault's path is not a file's, and Google's scopes are not a registry's."""
    wrong = []
    for table, key, form in _forms():
        document = {key: tomllib.loads(f"x = {form}")["x"]}
        if fit(document, Shape(table)).mistakes and any(
            path[:1] == (key,) for path, _ in fit(document, Shape(table)).mistakes
        ):
            wrong.append((table.__name__, key, form))
            continue
        tag = str(table.__struct_config__.tag)
        if table in KINDS or table in SOURCES:
            found = mistakes(written(table, **{key: document[key]}))
            wrong += [(tag, key, str(one)) for one in found if one.path.endswith(f".{key}") and "means" not in str(one)]
    assert wrong == []


def test_every_list_and_table_is_written_out() -> None:
    """For a plain value its type says enough; how a list of sources or a table of headers looks, nobody guesses."""
    missing = [
        (table.__name__, key)
        for table in _tables()
        for key, about in keys_of(table).items()
        if table.__name__ != "Settings" and _is_nested(about) and not _SHAPE.form(str(table.__struct_config__.tag), key)
    ]
    assert missing == []


def _is_nested(kind: inspect.Type) -> bool:
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    nested = (inspect.VarTupleType, inspect.TupleType, inspect.DictType, inspect.StructType)
    return any(isinstance(bare(member), nested) for member in members)


@pytest.mark.parametrize(
    "number",
    ["9" * 5000, "0x" + "f" * 9000, "1_" * 4500 + "1", "-" + "9" * 5000],
    ids=["decimal", "hexadecimal", "with marks", "negative"],
)
def test_a_number_of_thousands_of_digits_is_a_mistake_with_its_line(number: str) -> None:
    """The interpreter reads no more than 4,300; what is wrong below it is told as well."""
    found = mistakes(f"allow_root = true\nempty_ttl = {number}\nx = 1\n")
    assert [mistake.line for mistake in found] == [2, 3]
    assert len(str(found[0])) < 200


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ('"a.test"\nprovider = "codeartifact"', "DOMAIN-OWNER.d.codeartifact.REGION.amazonaws.com"),
        ('"a.test:5000/x"\nprovider = "oci"\ncredentials = { source = "ecr" }', "ACCOUNT.dkr.ecr.REGION.amazonaws.com"),
        ('"a.test"\nprovider = "oci"\ncredentials = { source = "acr" }', "NAME.azurecr.io"),
        (
            '"a.test"\nprovider = "oci"\ncredentials = [{ source = "ecr" }, { source = "acr" }]',
            "amazonaws.com or NAME.",
        ),
    ],
)
def test_a_source_that_never_has_a_login_for_the_host_is_a_mistake(options: str, form: str) -> None:
    """The first question would fail, and advise to log in where somebody is logged in."""
    (found,) = mistakes(f"[[host]]\nmatch = {options}\n")
    assert form in found.problem


@pytest.mark.parametrize(
    "options",
    [
        '"corp-123456789012.d.codeartifact.eu-west-1.amazonaws.com."\nprovider = "codeartifact"',
        '"*.amazonaws.com"\nprovider = "codeartifact"',
        '"Team.AzureCR.io"\nprovider = "oci"\ncredentials = { source = "acr" }',
        '"public.ecr.aws"\nprovider = "oci"\ncredentials = { source = "ecr" }',
        '"a.test"\nprovider = "oci"\ncredentials = [{ source = "ecr" }, { source = "netrc" }]',
    ],
)
def test_a_source_that_may_have_one_is_none(options: str) -> None:
    """However the host is written; and in a list the others may have it."""
    assert not mistakes(f"[[host]]\nmatch = {options}\n")


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (f'provider = "vault"\nsecret = {toml(VAULT)}\nbasic = ["", "password"]\n', "host[0].basic[0]"),
        (
            (
                'provider = "oauth2"\ntoken_url = "https://i.test/t"\nclient_id = "c"\nclient_secret = { source = "env", name = "X" }\n'
                'audience = ["a", " "]\n'
            ),
            "host[0].audience[1]",
        ),
        ('provider = "oci"\nrealm_hosts = [""]\n', "host[0].realm_hosts"),  # once, in the words of its kind
    ],
)
def test_a_text_in_a_list_is_one_that_can_be_used(options: str, place: str) -> None:
    """Arguments of programs alone may be anything."""
    found = mistakes(f'[[host]]\nmatch = "a.test"\n{options}')
    assert [mistake.path for mistake in found] == [place]
