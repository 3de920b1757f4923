"""What the build hook puts into a wheel, with a compiler and without, and what the fallback costs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hatch_build import PROGRAMS, STRICT, NotCompiledError, compile_helper
from tests.helper.harness import SANITIZER_EXIT


ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "credproxy" / "helper" / "credproxy_helper.py"

HEAVY = {
    "site",
    "os",
    "socket",
    "json",
    "http",
    "asyncio",
    "typing",
    "subprocess",
    "re",
    "enum",
    "contextlib",
    "struct",
}
"""Any of these costs more than the fallback's own work."""


def build(directory: Path, **environ: str) -> tuple[zipfile.ZipFile, str]:
    """Build a wheel as an installer does. Returns it, and what the build printed."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    (wheel,) = directory.glob("*.whl")
    return zipfile.ZipFile(wheel), done.stdout + done.stderr


def programs(wheel: zipfile.ZipFile, place: str) -> dict[str, bytes]:
    """The two programs in that part of the wheel; both must be executable."""
    found = {}
    for info in wheel.infolist():
        directory, _, name = info.filename.rpartition("/")
        if name in PROGRAMS:
            assert directory.endswith(f".data/{place}")
            assert info.external_attr >> 16 & 0o777 == 0o755
            found[name] = wheel.read(info)
    return found


def compiler() -> str:
    """The compiler that the build finds; the test is skipped if there is none."""
    try:
        compile_helper(Path(os.devnull), version="0", flags=("-O0",))
    except NotCompiledError as error:
        pytest.skip(f"install a C compiler: {error}")
    return "ok"


@pytest.mark.parametrize(
    "flags", [STRICT, (*STRICT, "-Wshadow", "-Wpedantic", "-Wformat=2", "-O3")], ids=["ours", "more"]
)
def test_the_c_source_compiles_with_warnings_as_errors(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """C11, and not one warning."""
    compiler()
    compile_helper(tmp_path / "helper", version="1", flags=flags)
    assert subprocess.run([tmp_path / "helper"], stderr=subprocess.DEVNULL, check=False).returncode == 1


def test_the_sanitizers_would_have_spoken(tmp_path: Path) -> None:
    """Tests under them prove nothing unless they end a broken program with our exit status."""
    (tmp_path / "broken.c").write_text("int main(int c, char **v) { char a[2] = {0}; return a[c + 5] + (v == 0); }")
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "broken.c", "-o", "broken"]
    done = subprocess.run([os.environ.get("CC", "cc"), *flags], cwd=tmp_path, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("install the compiler's libasan and libubsan")
    options = f"exitcode={SANITIZER_EXIT}"
    env = {"ASAN_OPTIONS": options, "UBSAN_OPTIONS": options}
    broken = subprocess.run([tmp_path / "broken"], env=env, capture_output=True, check=False)
    assert broken.returncode == SANITIZER_EXIT


@pytest.mark.timeout(60)
def test_with_a_compiler_the_wheel_has_the_native_program(tmp_path: Path) -> None:
    """Both names, a wheel for this platform only, and the package's version inside."""
    compiler()
    wheel, _ = build(tmp_path, CREDPROXY_BUILD_HELPER="c")
    with wheel:
        found = programs(wheel, "scripts")
    assert sorted(found) == sorted(PROGRAMS)
    assert not any(data.startswith(b"#!") for data in found.values())
    assert "-py3-none-any" not in str(wheel.filename)
    program = tmp_path / PROGRAMS[1]
    program.write_bytes(found[PROGRAMS[1]])
    program.chmod(0o755)
    version = subprocess.run([program, "version"], capture_output=True, check=True, text=True).stdout.split()[-1]
    assert f"credproxy-{version}-py3-none-" in str(wheel.filename)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("environ", "notice"),
    [
        ({"CREDPROXY_BUILD_HELPER": "python"}, "CREDPROXY_BUILD_HELPER=python asks for the script"),
        ({"CC": "/nowhere/cc -m64"}, "the C compiler '/nowhere/cc' cannot be run: No such file or directory"),
        ({"CC": "false"}, "false -O2 -std=c11"),
    ],
    ids=["asked for", "no compiler", "broken compiler"],
)
def test_without_a_compiler_the_wheel_has_the_script_and_the_build_says_so(
    tmp_path: Path, environ: dict[str, str], notice: str
) -> None:
    """With its first line intact, which hatchling and pip would rewrite if it were installed as a script."""
    wheel, printed = build(tmp_path, **environ)
    with wheel:
        found = programs(wheel, "data/bin")
    assert sorted(found) == sorted(PROGRAMS)
    for data in found.values():
        first = data.partition(b"\n")[0]
        assert first.startswith(b"#!/")
        assert first.endswith(b" -IS")
        assert b'VERSION = "unbuilt"' not in data
    assert "credproxy-helper is installed as a Python script" in printed
    assert notice in printed
    assert "-py3-none-any" in str(wheel.filename)


@pytest.mark.timeout(60)
def test_a_build_that_must_compile_fails_where_it_cannot(tmp_path: Path) -> None:
    """Packagers do not want a silent fallback."""
    with pytest.raises(subprocess.CalledProcessError) as error:
        build(tmp_path, CC="/nowhere/cc", CREDPROXY_BUILD_HELPER="c")
    assert "the C compiler '/nowhere/cc' cannot be run" in error.value.stderr


def test_the_fallback_has_its_full_path_and_flags() -> None:
    """``env python3`` would find a shim (94 ms), and without -IS comes the whole of ``site`` (CL-10)."""
    assert SCRIPT.read_text().partition("\n")[0] == "#!/usr/bin/python3 -IS"
    assert os.access(SCRIPT, os.X_OK)


def test_the_fallback_imports_nothing_heavy() -> None:
    """A process per URI: its start-up time is the product."""
    argv = [sys.executable, "-IS", "-X", "importtime", str(SCRIPT), "get"]
    done = subprocess.run(argv, input=b"", capture_output=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines() if "|" in line}
    assert b"the request on standard input is empty" in done.stderr
    assert "_socket" in imported | set(sys.builtin_module_names)
    assert not imported & HEAVY
