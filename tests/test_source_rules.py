"""Rules about the source itself that no linter knows."""

import ast
import subprocess
import sys
from pathlib import Path


ROOT = Path(__file__).parents[1]
TREES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "credproxy").rglob("*.py"))}


def test_no_ssl_false() -> None:
    """T32: certificate checks are switched off in one place, through the configuration."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in {"ssl", "verify_ssl"}:
                assert not (isinstance(node.value, ast.Constant) and node.value.value is False), path


def test_what_decoding_raises_is_named_in_one_place() -> None:
    """A handler that lists them itself has always forgotten one: what others nest without end is a RecursionError."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and node.type is not None and path.name != "unreadable_json.py":
                assert "msgspec." not in ast.unparse(node.type), f"{path}: except UNREADABLE (core/unreadable_json.py)"


def test_no_exception_text_is_logged() -> None:
    """PY17: exceptions of libraries quote headers and queries."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "exception":
                owner = node.func.value
                assert not (isinstance(owner, ast.Name) and owner.id in {"log", "logger", "logging"}), path
            if isinstance(node, ast.keyword):
                assert node.arg != "exc_info" or isinstance(node.value, ast.Name), path


OPTIONAL = {
    method.name
    for path, tree in TREES.items()
    if path.parent.name == "ports"
    for protocol in tree.body
    if isinstance(protocol, ast.ClassDef)
    and any(ast.unparse(one) == "runtime_checkable" for one in protocol.decorator_list)
    for method in protocol.body
    if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
}
"""Methods that a provider or a source has only if it can do something there."""


def does_nothing(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether there is nothing in it but a docstring, and arguments that are dropped."""
    left = [one for one in method.body if not isinstance(one, ast.Delete)][1:]
    return [ast.unparse(one) for one in left] in ([], ["return None"], ["return ()"], ["pass"])


def test_an_optional_capability_is_not_an_empty_method() -> None:
    """The caller asks whether it is there (ports.source.Caches, ports.trouble.Fallible, ...): an empty one says that it is."""
    assert {"forget", "trouble", "narrow"} <= OPTIONAL
    for path, tree in TREES.items():
        if path.parent.name in {"sources", "providers"}:
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in OPTIONAL:
                    assert not does_nothing(node), f"{path.name}: leave {node.name} out"


def test_the_import_contract_holds() -> None:
    """Imports point down; the contract is in pyproject.toml."""
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


DECODERS = {"msgspec.json.decode", "json.loads"}
OWN = {"keyring_program.py", "keyrings.py"}
"""Files in which two processes of ours speak with one another."""


def unguarded(tree: ast.AST) -> list[int]:
    """The lines that decode JSON outside of a ``try`` that expects all that a decoder raises."""
    guarded = {
        id(call)
        for node in ast.walk(tree)
        if isinstance(node, ast.Try) and any("UNREADABLE" in ast.unparse(one.type or node) for one in node.handlers)
        for part in node.body
        for call in ast.walk(part)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in DECODERS and id(node) not in guarded
    ]


def test_endless_nesting_is_not_a_bug_of_ours() -> None:
    """A file, a token or an answer of two kilobytes raises RecursionError, which is not an error of any decoder (``core/unreadable_json.py``)."""
    known = {("oci_errors.py", 1), ("documents.py", 1), ("go_json.py", 1)}  # our own text; both tell what it is
    found = {
        (path.name, len(lines))
        for path, tree in TREES.items()
        if path.name not in OWN and "demo" not in path.parts and (lines := unguarded(tree))
    }
    assert found == known
