"""One word for one thing: duplicate names, and calls whose arguments can be swapped."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


ROOT = Path(__file__).parents[1] / "credproxy"
TREES = {path.relative_to(ROOT): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}

PARALLEL = (
    frozenset({"core/formats", "core/kinds", "core/kinds/sources", "providers", "sources", "worker"}),
    frozenset({"ports", "adapters"}),
)
"""Folders whose files correspond: a provider's or a source's options, its parser, its code; a port and what satisfies it."""

MODULES = {
    "login": "what is stored for a host; the source that gives what `credproxy login` stored; and that command",
    "confinement": "what a process gives up, and what doctor says of that",
}
"""Duplicate names of files outside of these folders, and why."""

CLASSES = {"Facts": "what a check of doctor looks at; each has its own"}
"""Duplicate names of types, and why."""


def types(tree: ast.Module) -> Iterator[str]:
    """The classes of a module, and its names for types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) if name[:1].isupper() and not name.isupper():
                yield name


def test_no_two_files_have_one_name_for_two_things() -> None:
    """The name of a file is unique."""
    folders: defaultdict[str, set[str]] = defaultdict(set)
    for path in TREES:
        if not path.stem.startswith("__"):
            folders[path.stem].add(str(path.parent))
    twice = {name for name, where in folders.items() if len(where) > 1}
    assert {name for name in twice if not any(folders[name] <= alike for alike in PARALLEL)} == set(MODULES)


def test_no_two_types_have_one_name() -> None:
    """The name of a class is unique; the helper's script is separate."""
    found: defaultdict[str, int] = defaultdict(int)
    for path, tree in TREES.items():
        if path.parts[0] != "helper":
            for name in types(tree):
                found[name.lstrip("_")] += 1
    assert {name for name, times in found.items() if times > 1} == set(CLASSES)


MANDATED = {
    "adapters/keyring_program.py": {"set_password"},  # keyring's KeyringBackend
    "adapters/relayed_socket.py": {"recv_into"},  # Python's socket
    "carrier/daemon_client.py": {"resolve"},  # aiohttp's AbstractResolver
    "server/protocol.py": {"finish_response", "handle_error"},  # aiohttp's RequestHandler
    "server/request_intake.py": {"finish_response"},
    "server/response_writer.py": {"finish_response"},
}
"""By file, functions whose signature a library defines."""


def public(node: ast.Module | ast.ClassDef) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    """Functions and methods that other files call, and how many parameters they have by position, without the instance."""
    for statement in node.body:
        match statement:
            case ast.ClassDef(name=name) if not name.startswith("_"):
                yield from public(statement)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if (
                not statement.name.startswith("_") or statement.name == "__init__"
            ):
                bound = isinstance(node, ast.ClassDef) and not any(
                    isinstance(each, ast.Name) and each.id == "staticmethod" for each in statement.decorator_list
                )
                yield statement, len(statement.args.posonlyargs + statement.args.args) - bound


def test_from_the_third_on_arguments_are_named() -> None:
    """A call shows which argument is which; for two, the name of the function is enough."""
    for path, tree in TREES.items():
        if path.parts[0] != "helper":
            found = {function.name for function, count in public(tree) if count > 2}
            assert found == MANDATED.get(str(path), set()), path


ADDRESSES = frozenset({"registry", "repository", "authority", "origin", "host", "realm", "scope"})
"""Parameters that are text and name a place; core.ask.names has a type for each kind."""


def test_no_two_bare_texts_that_name_places_are_told_apart_by_position_alone() -> None:
    """If swapped, they would still have the right types."""
    for path, tree in TREES.items():
        if path.parts[0] != "helper":
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    bare = [
                        each.arg
                        for each in (*node.args.posonlyargs, *node.args.args)
                        if each.annotation is not None and ast.unparse(each.annotation) in {"str", "str | None"}
                    ]
                    assert len(ADDRESSES.intersection(bare)) < 2, f"{path}: {node.name}"
