"""The builds of the helper, and a place for its socket."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatch_build import PROGRAMS, STRICT, NotCompiledError, compile_helper, write_script
from tests.helper.harness import SANITIZER_EXIT, Helper, Place


VERSION = "1.2.3"

_SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")

# Compiled in, because the tests' environments are bare. Leaks: there is no allocation to leak, and the check needs ptrace.
_SANITIZER_OPTIONS = f"""
const char *__asan_default_options(void);
const char *__asan_default_options(void) {{ return "exitcode={SANITIZER_EXIT}:detect_leaks=0"; }}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) {{ return "exitcode={SANITIZER_EXIT}:print_stacktrace=1"; }}
"""


def _sanitized(target: Path) -> None:
    options = target.with_name("options.c")
    options.write_text(_SANITIZER_OPTIONS)
    compile_helper(target, version=VERSION, flags=(*STRICT, *_SANITIZE, str(options)))


def _compiled(target: Path) -> None:
    compile_helper(target, version=VERSION, flags=STRICT)


def _script(target: Path) -> None:
    write_script(target, version=VERSION)


_BUILDS = {
    "c": _compiled,
    "python": _script,
    "sanitized": _sanitized,
}


@pytest.fixture(scope="session", params=sorted(_BUILDS))
def helper(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Helper:
    """Each implementation in turn: two helpers with the same behaviour; and the C one under sanitizers."""
    kind: str = request.param
    built = Helper(kind, tmp_path_factory.mktemp(kind))
    try:
        _BUILDS[kind](built.bazel)
    except NotCompiledError as error:
        wanted = "a C compiler" if kind == "c" else "the compiler's libasan and libubsan"
        pytest.skip(f"install {wanted}: {error}")
    for name in PROGRAMS[1:]:
        shutil.copy2(built.bazel, built.directory / name)
    return built


@pytest.fixture
def place() -> Iterator[Place]:
    """A private place; not pytest's tmp_path, which is too long for a socket."""
    # Not in TMPDIR: macOS's is longer than half of what a socket's path may have.
    with tempfile.TemporaryDirectory(prefix="cp-", dir="/tmp") as root:
        at = Place(Path(root))
        at.directory.mkdir(parents=True, mode=0o700)
        yield at


@pytest.fixture
def as_root() -> None:
    """Skip if the test cannot change a file's owner."""
    if os.geteuid() != 0:
        pytest.skip("run as root to try sockets and directories of other users")


@pytest.fixture
def on_linux() -> None:
    """Skip without /proc."""
    if sys.platform != "linux":
        pytest.skip("this test reads /proc: run it on Linux")
