"""Reading ``.bazelrc``: what Bazel would take from it, and where it is."""

from credproxy.doctor.bazelrc_reader import Lines, Option, collect


def read(files: dict[str, str], *paths: str, workspace: str | None = "/w") -> Lines:
    """Collect from files in a dictionary."""
    return collect(paths or ("/w/.bazelrc",), files.get, workspace=workspace)


def values(lines: Lines) -> list[tuple[str, str, str]]:
    """Where, command and value of each option."""
    return [(option.where, option.command, option.value) for option in lines.options]


def test_options_with_their_lines() -> None:
    """Both ways to write a value, the old name, and no other options."""
    text = (
        "# a comment\nstartup --credential_helper=no\n\nbuild --jobs=3 --credential_helper=a.b=/x --color=yes\n"
        "common --experimental_credential_helper /y # trailing\nbuild:ci --credential_helper_timeout=5s\n"
    )
    assert read({"/w/.bazelrc": text}).options == [
        Option("/w/.bazelrc:4", "build", "", "credential_helper", "a.b=/x"),
        Option("/w/.bazelrc:5", "common", "", "credential_helper", "/y"),
        Option("/w/.bazelrc:6", "build", "ci", "credential_helper_timeout", "5s"),
    ]


def test_quotations_and_continuations() -> None:
    """A path with a blank, and a continued line: it has the number of its beginning."""
    text = 'build \\\n  --credential_helper="a.b=/with blank/x" \\\n  --sandbox_block_path=/s\n'
    assert values(read({"/w/.bazelrc": text})) == [
        ("/w/.bazelrc:1", "build", "a.b=/with blank/x"),
        ("/w/.bazelrc:1", "build", "/s"),
    ]


def test_a_quotation_that_is_not_closed_is_reported_and_the_rest_is_read() -> None:
    """One bad line hides no other."""
    lines = read({"/w/.bazelrc": "build --x='\ncommon --credential_helper=/y\n"})
    assert lines.unclosed == ["/w/.bazelrc:1"]
    assert values(lines) == [("/w/.bazelrc:2", "common", "/y")]


def test_imports_stand_where_they_are_written() -> None:
    """Later lines win, so the order counts; paths are the workspace's."""
    files = {
        "/etc/bazel.bazelrc": "common --credential_helper=/0\n",
        "/w/.bazelrc": "common --credential_helper=/1\nimport %workspace%/a.rc\ntry-import b.rc\ncommon --credential_helper=/4\n",
        "/w/a.rc": "common --credential_helper=/2\n",
        "/w/b.rc": "common --credential_helper=/3\n",
    }
    lines = read(files, "/etc/bazel.bazelrc", "/w/.bazelrc", "/h/.bazelrc")
    assert [value for _, _, value in values(lines)] == ["/0", "/1", "/2", "/3", "/4"]
    assert lines.files == ["/etc/bazel.bazelrc", "/w/.bazelrc", "/w/a.rc", "/w/b.rc"]


def test_an_import_must_be_there_and_a_try_import_need_not() -> None:
    """The first keeps Bazel from starting."""
    lines = read({"/w/.bazelrc": "try-import %workspace%/a\nimport %workspace%/b\n"})
    assert lines.missing == [("/w/.bazelrc:2", "/w/b")]


def test_a_circle_of_imports_ends() -> None:
    """Bazel refuses it; here each file is read once per path of imports."""
    files = {"/w/.bazelrc": "import /w/a\n", "/w/a": "import /w/.bazelrc\ncommon --credential_helper=/x\n"}
    assert values(read(files)) == [("/w/a:2", "common", "/x")]


def test_imports_within_reason() -> None:
    """An endless tree of files is cut off."""
    files = {"/w/.bazelrc": "\n".join(f"import /w/{number}" for number in range(500))}
    files |= {f"/w/{number}": "common --credential_helper=/x" for number in range(500)}
    assert len(read(files).files) == 64
