"""Puts credproxy-helper into the wheel: compiled if there is a compiler, else the Python script.

The environment can change that: ``CC`` names the compiler, ``CREDPROXY_BUILD_HELPER=python`` always takes the script,
``CREDPROXY_BUILD_HELPER=c`` makes a failed compilation an error.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


PROGRAMS = ("credproxy-helper", "docker-credential-credproxy")
"""Two names of one program: the name selects the protocol."""

SOURCES = Path(__file__).parent / "credproxy" / "helper"

STRICT = ("-O2", "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror")
"""Flags for us and for the tests."""

ATTEMPTS = ((*STRICT, "-static"), STRICT, ("-O2", "-std=c11"))
"""A static program starts fastest, but not every system has the libraries; a future compiler may have new warnings."""


class NotCompiledError(Exception):
    """The helper could not be compiled; the message says why."""


def compile_helper(target: Path, *, version: str, flags: Sequence[str]) -> None:
    """Compile the C source to ``target``.

    Raises:
        NotCompiledError: there is no compiler, or it failed.
    """
    compiler = shlex.split(os.environ.get("CC", "")) or [next(filter(shutil.which, ("cc", "gcc", "clang")), "cc")]
    source = SOURCES / "credproxy_helper.c"
    command = [*compiler, *flags, f'-DCREDPROXY_VERSION="{version}"', str(source), "-o", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  it is the user's compiler
    except OSError as error:
        raise NotCompiledError(f"the C compiler {compiler[0]!r} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        raise NotCompiledError(f"{shlex.join(command)} failed:\n{done.stderr.strip()}")


def write_script(target: Path, *, version: str) -> None:
    """Make the stand-in from its source, with the version and an existing Python."""
    text = (SOURCES / "credproxy_helper.py").read_text()
    text = text.replace('VERSION = "unbuilt"', f'VERSION = "{version}"', 1)
    if not os.access("/usr/bin/python3", os.X_OK):
        # Not sys.executable: that may belong to the environment of this build, which is deleted afterwards.
        text = text.replace("#!/usr/bin/python3 ", f"#!{getattr(sys, '_base_executable', sys.executable)} ", 1)
    target.write_text(text)
    target.chmod(0o755)


def build_helper(program: Path, *, version: str) -> str:
    """Compile as strictly as this compiler allows. Returns why that failed, or an empty string."""
    wanted = os.environ.get("CREDPROXY_BUILD_HELPER", "")
    if wanted not in {"", "c", "python"}:
        raise NotCompiledError(f"CREDPROXY_BUILD_HELPER must be 'c' or 'python', not {wanted!r}")
    if wanted == "python":
        return "CREDPROXY_BUILD_HELPER=python asks for the script"
    reason = ""
    for flags in ATTEMPTS:
        try:
            compile_helper(program, version=version, flags=flags)
        except NotCompiledError as error:
            reason = str(error)
        else:
            return ""
    if wanted == "c":
        raise NotCompiledError(reason)
    return reason


class CustomBuildHook(BuildHookInterface[BuilderConfig]):
    """Adds the programs to wheels, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, object]) -> None:
        """Make the program under both names, and tell installers where to put them."""
        del version  # the kind of wheel: "standard" or "editable"
        if self.target_name != "wheel":
            return
        self._made = tempfile.TemporaryDirectory(prefix="credproxy-helper-")
        program, *others = (Path(self._made.name) / name for name in PROGRAMS)
        reason = build_helper(program, version=self.metadata.version)
        if reason:
            self.app.display_warning(f"credproxy-helper is installed as a Python script, 10 ms slower a call: {reason}")
            write_script(program, version=self.metadata.version)
            # As data: hatchling and pip rewrite the first line of scripts, and would lose its -IS.
            build_data["shared_data"] = {str(path): f"bin/{path.name}" for path in (program, *others)}
        else:
            build_data["shared_scripts"] = {str(path): path.name for path in (program, *others)}
            build_data["pure_python"] = False
            build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
        for path in others:
            shutil.copy2(program, path)

    def finalize(self, version: str, build_data: dict[str, object], artifact_path: str) -> None:
        """Remove the files, which the wheel contains now."""
        del version, build_data, artifact_path
        if self.target_name == "wheel":
            self._made.cleanup()
