"""Every hint that the source can give, and how a test that follows one says which it is.

A test follows a hint if it causes the failure, does what the hint says, asks again, and finds a different answer. It
reads the hint with ``filled``; ``test_hints.py`` finds hints that no test reads so.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import credproxy
from credproxy.core.errors import Code


FOLDER = Path(credproxy.__file__).parent
MAKERS = {
    "failed": 2,
    "Failure": 2,
    "unreadable": 2,
    "CommandError": 1,
    "LoginError": 1,
    "_unreadable": 2,
    "_not_runnable": 2,
    "_invalid": 2,
    "_refused": 2,
    "from_text": 3,
    "read_tool_yaml": 2,
    "login": 3,
    "usable": 2,
}
"""Functions that take a hint, and which of their arguments it is."""


class Hint(NamedTuple):
    """One hint: where it is, its code if that is literal, and its text with ``{}`` for variable parts."""

    place: str
    code: Code | None
    text: str


class _Scope(NamedTuple):
    """Where names of one function are looked up: in it, around it, and in the package."""

    functions: tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]
    module: ast.Module


def filled(hint: str, template: str) -> tuple[str, ...]:
    """Give the text for each ``{}`` of a hint's template; fails for any other hint."""
    pattern = "(.+?)".join(re.escape(part) for part in template.split("{}"))
    found = re.fullmatch(pattern, hint)
    assert found is not None, f"{hint!r} is not {template!r}"
    return found.groups()


def text_of(template: str) -> str:
    """Give a template back; for tables whose rows are given to ``filled``, or compared."""
    return template


@cache
def hints() -> tuple[Hint, ...]:
    """All hints, in the order of the source; a choice among several texts counts as one hint each."""
    return tuple(hint for path in sorted(FOLDER.rglob("*.py")) for hint in _of(path))


def read_by_tests() -> dict[str, set[str]]:
    """The templates that tests give to ``filled`` and ``text_of``, and the files of those tests."""
    found: dict[str, set[str]] = {}
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case (
                    ast.Call(func=ast.Name(id="filled"), args=[_, ast.Constant(value=str(template))])
                    | ast.Call(func=ast.Name(id="text_of"), args=[ast.Constant(value=str(template))])
                ):
                    found.setdefault(template, set()).add(path.name)
                case _:
                    pass
    return found


def _of(path: Path) -> Iterator[Hint]:
    module = ast.parse(path.read_text())
    for node, functions in _calls(module, ()):
        assert isinstance(node.func, ast.Name)
        at = MAKERS[node.func.id]
        given = node.args[at] if len(node.args) > at else None
        given = next((keyword.value for keyword in node.keywords if keyword.arg == "hint"), given)
        # The commands' own ``unreadable`` takes what is said before, in that place.
        if given is None or (node.func.id == "unreadable" and path.parent.name == "cli"):
            continue
        codes = [arg.attr for arg in node.args[:1] if isinstance(arg, ast.Attribute)]
        code = Code[codes[0]] if codes and codes[0] in Code.__members__ else None
        for text in dict.fromkeys(_texts(given, _Scope(functions, module))):
            if text not in {"", "{}"}:
                yield Hint(f"{path.relative_to(FOLDER)}:{node.lineno}", code, text)
    for given, scope in _of_kinds(module):
        for text in dict.fromkeys(_texts(given, scope)):
            if text not in {"", "{}"}:
                yield Hint(f"{path.relative_to(FOLDER)}:{given.lineno}", Code.CREDENTIAL_UNREADABLE, text)


def _of_kinds(module: ast.Module) -> Iterator[tuple[ast.expr, _Scope]]:
    """The hints of kinds: the answers of ``setup`` and ``setup_of``, and ``remedy``."""
    for kind in (node for node in module.body if isinstance(node, ast.ClassDef)):
        for node in kind.body:
            match node:
                case ast.FunctionDef(name="setup" | "setup_of"):
                    returns = (each for each in ast.walk(node) if isinstance(each, ast.Return))
                    yield from ((each.value, _Scope((node,), module)) for each in returns if each.value)
                case ast.AnnAssign(target=ast.Name(id="remedy"), value=ast.expr() as value):
                    yield value, _Scope((), module)
                case _:
                    pass


def _calls(
    node: ast.AST, functions: tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]
) -> Iterator[tuple[ast.Call, tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]]]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        functions = (node, *functions)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
        yield node, functions
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, functions)


def _texts(node: ast.expr, scope: _Scope, depth: int = 4) -> list[str]:  # noqa: PLR0911  a line for each sort of expression
    """The texts that an expression can have; ``{}`` for what is not literal."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(_texts(part, scope, 0)[0] for part in parts)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [a + b for a in _texts(left, scope, depth) for b in _texts(right, scope, depth)]
        case ast.BoolOp(values=values):
            return [text for value in values for text in _texts(value, scope, depth)]
        case ast.IfExp(body=body, orelse=orelse):
            return [*_texts(body, scope, depth), *_texts(orelse, scope, depth)]
        case ast.Call(func=ast.Attribute(value=ast.Name() as name, attr="format")) if depth:
            return [re.sub(r"\{\w+\}", "{}", text) for text in _texts(name, scope, depth - 1)]
        case _:
            values = _named(node, scope) if depth else []
            return [text for value in values for text in _texts(value, scope, depth - 1)] or ["{}"]


def _named(node: ast.expr, scope: _Scope) -> list[ast.expr]:
    """The expressions behind a name, a call or a property."""
    match node:
        case ast.Name(id=name):
            return _assigned(name, scope)
        case ast.Call(func=ast.Name(id=name)) | ast.Attribute(value=ast.Name(id="self"), attr=name):
            return _returned(name, scope)
        case _:
            return []


def _returned(name: str, scope: _Scope) -> list[ast.expr]:
    made = [node for node in ast.walk(scope.module) if isinstance(node, ast.FunctionDef) and node.name == name]
    made = made or _public().get(name, [])
    return [node.value for each in made for node in ast.walk(each) if isinstance(node, ast.Return) and node.value]


@cache
def _public() -> dict[str, list[ast.FunctionDef]]:
    """The functions of the package that other modules may call, by name; without those that share one."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for path in FOLDER.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(node)
    return {name: made for name, made in found.items() if len(made) == 1}


def _file(module: str) -> Path:
    folder = FOLDER.parent.joinpath(*module.split("."))
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _assigned(name: str, scope: _Scope) -> list[ast.expr]:
    for place in (*scope.functions, scope.module):
        found = list(_values(name, place))
        if found:
            return found
        arguments = place.args if not isinstance(place, ast.Module) else None
        if arguments and name in {arg.arg for arg in (*arguments.args, *arguments.kwonlyargs)}:
            return []  # the caller gives the hint, and is checked there
    return []


def _values(name: str, place: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(place) if not isinstance(place, ast.Module) else place.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=known)], value=value)
                | ast.AnnAssign(target=ast.Name(id=known), value=ast.expr() as value)
            ) if known == name:
                yield value
            case ast.ImportFrom(module=str(module), names=names) if module.startswith("credproxy.") and any(
                alias.name == name for alias in names
            ):
                yield from _values(name, ast.parse(_file(module).read_text()))
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                yield from (
                    value
                    for known, value in zip(names, values, strict=False)
                    if isinstance(known, ast.Name) and known.id == name
                )
            case _:
                pass
