"""Rules about the source itself that no linter knows."""

import ast
import subprocess
import sys
from pathlib import Path


ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "credproxy").rglob("*.py"))


def test_no_ssl_false() -> None:
    """T32: certificate checks are switched off in one place, through the configuration."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg in {"ssl", "verify_ssl"}:
                assert not (isinstance(node.value, ast.Constant) and node.value.value is False), path


def test_no_exception_text_is_logged() -> None:
    """PY17: exceptions of libraries quote headers and queries."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "exception":
                owner = node.func.value
                assert not (isinstance(owner, ast.Name) and owner.id in {"log", "logger", "logging"}), path
            if isinstance(node, ast.keyword):
                assert node.arg != "exc_info" or isinstance(node.value, ast.Name), path


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
