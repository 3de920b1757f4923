"""Benches run seldom, and mypy does not read them: what they import from the product has to be there."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest


FOLDER = Path(__file__).parents[1] / "bench"
BENCHES = sorted(FOLDER.glob("*.py"))


def imported(bench: Path) -> Iterator[tuple[str, str]]:
    """Each module of the product that a bench names, and what it takes from it; "" for the module itself."""
    for node in ast.walk(ast.parse(bench.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("credproxy"):
            yield from ((node.module or "", alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.startswith("credproxy"))


@pytest.mark.parametrize("bench", BENCHES, ids=[bench.stem for bench in BENCHES])
def test_what_a_bench_imports_is_there(bench: Path) -> None:
    """A renamed module would otherwise be noticed at the next measurement."""
    for module, name in imported(bench):
        found = importlib.import_module(module)
        if name and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")


def defined(bench: Path) -> set[str]:
    """What a bench defines for the others."""
    targets = (
        [statement.name] if isinstance(statement, ast.ClassDef | ast.FunctionDef) else names(statement)
        for statement in ast.parse(bench.read_text()).body
    )
    return {name for found in targets for name in found}


def names(statement: ast.stmt) -> list[str]:
    """What an assignment assigns to."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("bench", BENCHES, ids=[bench.stem for bench in BENCHES])
def test_what_a_bench_imports_from_another_is_there(bench: Path) -> None:
    """They import one another by the name of the file, as scripts do."""
    for node in ast.walk(ast.parse(bench.read_text())):
        if isinstance(node, ast.ImportFrom) and (FOLDER / f"{node.module}.py") in BENCHES:
            assert {alias.name for alias in node.names} <= defined(FOLDER / f"{node.module}.py")


def test_some_bench_imports_the_product() -> None:
    """So that the test above looks at something."""
    assert any(list(imported(bench)) for bench in BENCHES)
