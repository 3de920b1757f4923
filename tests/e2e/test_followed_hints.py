"""Hints about files, programs and variables of this machine are followed literally; a real daemon is asked again.

No registry is contacted: those of these tests do not exist.
"""

import base64
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from time import perf_counter, sleep

import pytest

from tests.e2e.stage import BIN, CREDPROXY, Stage, TokenRegistry
from tests.hints import filled, text_of


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

URI = "https://reg.test/file"
STORED = '[[host]]\nmatch = "reg.test"\nprovider = "basic"\ncredentials = { source = "docker-config" }\n'
NETRC = '[[host]]\nmatch = "reg.test"\nprovider = "basic"\n'
PASSWORD = "canary-pass"
LOGIN = {"Authorization": [f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"]}
PATIENCE = 15.0
"""Seconds: files are checked once a second, and a failed program is not run again for two."""


def rule(provider: str, *lines: str) -> str:
    """A rule for the host of these tests."""
    return "\n".join(['[[host]]\nmatch = "reg.test"', f'provider = "{provider}"', *lines, ""])


def hint(staged: Stage) -> str:
    """Ask, and give the second of the two lines that an error has."""
    done = staged.helper(URI)
    assert done.returncode == 1, done.stdout
    cause, advice = done.stderr.splitlines()
    assert PASSWORD not in cause + advice
    return advice


def answered(staged: Stage) -> dict[str, list[str]]:
    """Ask until there is an answer, like a user who has followed a hint."""
    deadline = perf_counter() + PATIENCE
    while (done := staged.helper(URI)).returncode and perf_counter() < deadline:
        sleep(0.2)
    assert done.returncode == 0, done.stderr
    headers: dict[str, list[str]] = json.loads(done.stdout)["headers"]
    return headers


def docker(staged: Stage, content: object) -> Path:
    """Write docker's configuration."""
    path = staged.home / ".docker" / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)
    return path


def netrc(staged: Stage, content: str | bytes) -> Path:
    """Write a netrc file."""
    path = staged.home / ".netrc"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o600)
    return path


def program(path: Path, script: str, mode: int = 0o755) -> Path:
    """Write a program; whole, since one that is being written cannot be run."""
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(f"#!/bin/sh\n{script}\n")
    fresh.chmod(mode)
    fresh.rename(path)
    return path


def shell(staged: Stage, line: str) -> subprocess.CompletedProcess[str]:
    """Run what a hint says, literally."""
    environ = {**staged.environ, "PATH": f"{staged.home}/bin:{BIN}:{staged.environ['PATH']}"}
    return subprocess.run(line, shell=True, env=environ, capture_output=True, text=True, check=False, timeout=20)


def reload(staged: Stage) -> None:
    """Have the configuration read again."""
    assert staged.credproxy("reload").returncode == 0


HELPER = f'cat >/dev/null; echo \'{{"ServerURL":"reg.test","Username":"me","Secret":"{PASSWORD}"}}\''


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
@pytest.mark.parametrize("way", ["install", "take out", "helper_path"])
def test_the_hint_of_a_missing_docker_helper_names_three_ways(staged: Stage, key: str, way: str) -> None:
    """It says which file names the program: the daemon cannot know which of the two is wrong."""
    named: object = {"reg.test": "x"} if key == "credHelpers" else "x"
    path = docker(
        staged, {key: named, "auths": {"reg.test": {"auth": base64.b64encode(f"me:{PASSWORD}".encode()).decode()}}}
    )
    (staged.home / "bin").mkdir()
    staged.configure(STORED)
    staged.start(PATH=f"{staged.home}/bin:{staged.environ['PATH']}")
    install, name, where = filled(
        hint(staged),
        "install {}, or take {} out of {}; where it is installed, name its folder in helper_path, then: credproxy reload",
    )
    assert (install, name, where) == ("docker-credential-x", "'x'", str(path))
    if way == "install":
        program(staged.home / "bin" / install, HELPER)
    elif way == "take out":
        found = json.loads(path.read_text())
        del found[key]
        docker(staged, found)
    else:
        program(staged.home / "elsewhere" / install, HELPER)
        staged.configure(f'helper_path = "{staged.home}/elsewhere"\n{STORED}')
        reload(staged)
    assert answered(staged) == LOGIN


@pytest.mark.parametrize("said", ["nonsense", '{"Username":"me"}'])
def test_what_a_docker_helper_says_is_seen_by_hand(staged: Stage, said: str) -> None:
    """The line can be run literally, and shows what credproxy got."""
    docker(staged, {"credHelpers": {"reg.test": "x"}})
    program(staged.home / "bin" / "docker-credential-x", f"cat >/dev/null; echo '{said}'")
    staged.configure(f'helper_path = "{staged.home}/bin:/usr/bin:/bin"\n{STORED}')
    staged.start()
    advice = hint(staged)
    asked, name = filled(advice, "see what it says: echo {} | docker-credential-{} get")
    assert (asked, name) == ("reg.test", "x")
    assert shell(staged, advice.partition(": ")[2]).stdout == f"{said}\n"
    program(staged.home / "bin" / "docker-credential-x", HELPER)
    assert answered(staged) == LOGIN


BROKEN_ENTRIES = ["!!!", base64.b64encode(b"no colon").decode(), base64.b64encode(b":no user").decode()]


@pytest.mark.parametrize("auth", BROKEN_ENTRIES)
def test_logging_in_again_fixes_an_entry(staged: Stage, auth: str) -> None:
    """What ``docker login`` writes is written here: there is no registry to log in to."""
    docker(staged, {"auths": {"reg.test": {"auth": auth}}})
    staged.configure(STORED)
    staged.start()
    assert filled(hint(staged), "log in again: docker login {}") == ("reg.test",)
    docker(staged, {"auths": {"reg.test": {"auth": base64.b64encode(f"me:{PASSWORD}".encode()).decode()}}})
    assert answered(staged) == LOGIN


@pytest.mark.parametrize("content", ['{"auths": {},}', '{"auths": 5}'])
def test_a_broken_docker_configuration_is_moved_away_or_corrected(staged: Stage, content: str) -> None:
    """The message says which file, and where in it."""
    path = docker(staged, content)
    staged.configure(STORED)
    staged.start()
    filled(hint(staged), "correct it with an editor, or move it away and log in again with docker login")
    path.rename(path.with_suffix(".old"))
    docker(staged, {"auths": {"reg.test": {"auth": base64.b64encode(f"me:{PASSWORD}".encode()).decode()}}})
    assert answered(staged) == LOGIN


@pytest.mark.parametrize(("written", "template"), [
    (5, text_of('write "{}": "NAME", for docker-credential-NAME, or remove it')),
    ("../x", text_of("write the NAME of docker-credential-NAME, of letters, digits, '.', '_' and '-', in the place of {}")),
])  # a table  # fmt: skip
def test_a_credential_program_is_named_as_the_hint_says(staged: Stage, written: object, template: str) -> None:
    """If the value is not a text, or not a name."""
    docker(staged, {"credHelpers": {"reg.test": written}})
    program(staged.home / "bin" / "docker-credential-x", HELPER)
    staged.configure(f'helper_path = "{staged.home}/bin:/usr/bin:/bin"\n{STORED}')
    staged.start()
    assert filled(hint(staged), template) == ("reg.test" if written == 5 else "'../x'",)
    docker(staged, {"credHelpers": {"reg.test": "x"}})
    assert answered(staged) == LOGIN


@pytest.mark.parametrize(
    "entry",
    [
        "machine reg.test",
        "machine reg.test login a:b password x",
        'machine reg.test login me password "\t"',
    ],
)
def test_a_netrc_entry_is_written_as_the_hint_says(staged: Stage, entry: str) -> None:
    """The hint is a line of the file once NAME and PASSWORD are filled in."""
    netrc(staged, f"# mine\n{entry}\nmachine other.test login a password b\n")
    staged.configure(NETRC)
    staged.start()
    advice = hint(staged)
    assert filled(advice, "write it as: machine {} login NAME password PASSWORD") == ("reg.test",)
    line = advice.partition(": ")[2].replace("NAME", "me").replace("PASSWORD", PASSWORD)
    netrc(staged, f"# mine\n{line}\nmachine other.test login a password b\n")
    assert answered(staged) == LOGIN


def test_a_quote_of_a_netrc_file_is_closed_as_the_hint_says(staged: Stage) -> None:
    """A password with a space and a quote of its own, in double quotes."""
    netrc(staged, 'machine reg.test login me password "a "b\n')
    staged.configure(NETRC)
    staged.start()
    filled(
        hint(staged),
        r"correct that line: a value with a space in it goes in double quotes, with \" for a quote of its own",
    )
    netrc(staged, r'machine reg.test login me password "a \"b"')
    assert answered(staged) == {"Authorization": [f"Basic {base64.b64encode(SPACED).decode()}"]}


@pytest.mark.parametrize("way", ["there", "another place"])
@pytest.mark.parametrize(("provider", "key"), [("basic", "credentials"), ("header", "secret")])
def test_what_a_rule_misses_is_stored_there_or_elsewhere(staged: Stage, provider: str, key: str, way: str) -> None:
    """The message says which file was looked at."""
    staged.configure(rule(provider, f'{key} = {{ source = "netrc" }}'))
    staged.start()
    assert f"the netrc file '{staged.home}/.netrc' is not there" in staged.helper(URI).stderr
    named = filled(hint(staged), "add it there, or name another place in its [[host]]: {} = { source = ... }")
    assert named == (key,)
    if way == "there":
        netrc(staged, f"machine reg.test login me password {PASSWORD}\n")
    else:
        (staged.home / "secret").write_text(PASSWORD)
        user = ', username = "me"' if provider == "basic" else ""
        staged.configure(rule(provider, f'{key} = {{ source = "file", path = "{staged.home}/secret"{user} }}'))
        reload(staged)
    assert answered(staged) == (LOGIN if provider == "basic" else {"Authorization": [PASSWORD]})


@pytest.mark.parametrize("way", ["a login", "a header"])
def test_a_token_alone_is_not_a_login_and_both_remedies_work(staged: Stage, way: str) -> None:
    """Basic needs a user name and a password; a single token needs another provider."""
    (staged.home / "secret").write_text(PASSWORD)
    place = f'{{ source = "file", path = "{staged.home}/secret"'
    staged.configure(rule("basic", f"credentials = {place} }}"))
    staged.start()
    filled(
        hint(staged),
        'name it in the credentials of its [[host]]: username = "NAME"; a token alone goes with provider = "header"',
    )
    if way == "a login":
        staged.configure(rule("basic", f'credentials = {place}, username = "me" }}'))
    else:
        staged.configure(rule("header", f"secret = {place} }}"))
    reload(staged)
    assert answered(staged) == (LOGIN if way == "a login" else {"Authorization": [PASSWORD]})


@pytest.mark.parametrize("content", [None, b"   \n", b"\xff\xfe"])
def test_a_secret_is_written_as_the_hint_says(staged: Stage, content: bytes | None) -> None:
    """Also if the content is not UTF-8."""
    path = staged.home / "secret"
    if content is not None:
        path.write_bytes(content)
    staged.configure(rule("header", f'secret = {{ source = "file", path = "{path}" }}'))
    staged.start()
    assert filled(hint(staged), "write the secret, one line of UTF-8 text, to {}, mode 0600") == (str(path),)
    path.write_text(f"{PASSWORD}\n")
    path.chmod(0o600)
    assert answered(staged) == {"Authorization": [PASSWORD]}


@pytest.mark.parametrize("value", [None, " "])
def test_a_variable_is_exported_and_the_daemon_started_again(staged: Stage, value: str | None) -> None:
    """A running process keeps the environment that it was started with."""
    staged.configure(rule("header", 'secret = { source = "env", name = "TOKEN_OF_REG" }'))
    staged.start(**({} if value is None else {"TOKEN_OF_REG": value}))
    (name,) = filled(hint(staged), "stop the daemon, export {}, and start it again")
    assert staged.credproxy("stop").returncode == 0
    assert staged.process is not None
    staged.process.wait(10)
    staged.start(**{name: PASSWORD})
    assert answered(staged) == {"Authorization": [PASSWORD]}


@pytest.mark.parametrize("script", ["echo no such entry >&2; exit 3", "printf '\\377'", "true", "echo a; echo b"])
def test_the_program_of_a_secret_is_run_by_hand(staged: Stage, script: str) -> None:
    """The line can be run literally, and does what credproxy saw."""
    path = program(staged.home / "bin" / "secret", script)
    staged.configure(rule("header", f'secret = {{ source = "command", argv = ["{path}", "reg"] }}'))
    staged.start()
    (line,) = filled(hint(staged), "run it by hand, with argv as the configuration has it: {}")
    direct = subprocess.run([path, "reg"], capture_output=True, check=False, timeout=20)
    seen = subprocess.run(shlex.split(line), capture_output=True, check=False, timeout=20)
    assert (seen.returncode, seen.stdout) == (direct.returncode, direct.stdout)
    program(path, f"echo {PASSWORD}")
    assert answered(staged) == {"Authorization": [PASSWORD]}


SPACED = b'me:a "b'
GOOD_HELPER = f'cat >/dev/null; echo \'{{"headers":{{"Authorization":["{PASSWORD}"]}}}}\''


@pytest.mark.parametrize("script", ["echo no login >&2; exit 1", "echo nonsense"])
def test_a_helper_is_run_by_hand(staged: Stage, script: str) -> None:
    """The line can be run literally, and does what credproxy saw."""
    path = program(staged.home / "bin" / "helper", f"cat >/dev/null; {script}")
    staged.configure(rule("exec", f'command = ["{path}"]'))
    staged.start()
    advice = hint(staged)
    filled(advice, 'run it by hand: echo \'{"uri": "{}"}\' | {} get')
    seen, direct = shell(staged, advice.partition(": ")[2]), shell(staged, f"echo | {path} get")
    assert (seen.returncode, seen.stdout, seen.stderr) == (direct.returncode, direct.stdout, direct.stderr)
    program(path, GOOD_HELPER)
    assert answered(staged) == {"Authorization": [PASSWORD]}


def test_a_helper_that_may_not_be_run_is_given_that_right(staged: Stage) -> None:
    """The hint is the command."""
    path = program(staged.home / "bin" / "helper", GOOD_HELPER, 0o644)
    staged.configure(rule("exec", f'command = ["{path}"]'))
    staged.start()
    advice = hint(staged)
    assert filled(advice, "chmod u+x {}") == (str(path),)
    assert shell(staged, advice).returncode == 0
    assert answered(staged) == {"Authorization": [PASSWORD]}


@pytest.mark.parametrize("way", ["install", "another"])
def test_a_helper_that_is_not_there_is_installed_or_another_one_is_named(staged: Stage, way: str) -> None:
    """Both remedies of the hint."""
    path = staged.home / "bin" / "helper"
    staged.configure(rule("exec", f'command = ["{path}"]'))
    staged.start()
    (named,) = filled(hint(staged), "install it there, or name another program instead of {}, then: credproxy reload")
    assert named == str(path)
    other = program(path if way == "install" else path.with_name("other"), GOOD_HELPER)
    staged.configure(staged.config.read_text().replace(named, str(other)))
    reload(staged)
    assert answered(staged) == {"Authorization": [PASSWORD]}


def test_a_helper_that_cannot_be_started_is_tried(staged: Stage) -> None:
    """A script whose interpreter is missing: the line fails in the same way, and once it exists both work."""
    path = program(staged.home / "bin" / "helper", GOOD_HELPER)
    path.write_text(path.read_text().replace("/bin/sh", f"{staged.home}/bin/shell"))
    staged.configure(rule("exec", f'command = ["{path}"]'))
    staged.start()
    advice = hint(staged)
    assert filled(advice, "try it: {} get") == (str(path),)
    assert shell(staged, advice.partition(": ")[2]).returncode == 127
    shutil.copy("/bin/sh", staged.home / "bin" / "shell")
    assert answered(staged) == {"Authorization": [PASSWORD]}


def test_a_login_that_no_pipe_can_carry_is_made_shorter(staged: Stage) -> None:
    """The message is not only about tokens: this is a password."""
    netrc(staged, f"machine reg.test login me password {'x' * 9000}\n")
    staged.configure(NETRC)
    staged.start()
    filled(
        hint(staged),
        "store a shorter one: a token that grants less is shorter; build actions can use the gateway instead",
    )
    netrc(staged, f"machine reg.test login me password {PASSWORD}\n")
    staged.credproxy("flush")
    assert answered(staged) == LOGIN


def test_a_word_for_nothing_is_replaced_where_it_is_stored(staged: Stage) -> None:
    """What a template left there is not a secret."""
    netrc(staged, "machine reg.test login me password null\n")
    staged.configure(rule("header", 'secret = { source = "netrc" }'))
    staged.start()
    filled(hint(staged), "store the secret itself in its place")
    netrc(staged, f"machine reg.test login me password {PASSWORD}\n")
    assert answered(staged) == {"Authorization": [PASSWORD]}


def test_a_file_in_the_place_of_something_else_is_read(staged: Stage) -> None:
    """A FIFO, which ``ls -l`` of the hint shows; then a directory, whose hint is the command that removes it."""
    path = staged.home / ".netrc"
    os.mkfifo(path)
    staged.configure(NETRC)
    staged.start()
    advice = hint(staged)
    assert filled(advice, "put a file in its place: ls -l {}") == (str(path),)
    assert shell(staged, advice.partition(": ")[2]).stdout.startswith("p")
    path.unlink()
    path.mkdir()
    deadline = perf_counter() + PATIENCE
    while not (advice := hint(staged)).startswith("a file") and perf_counter() < deadline:
        sleep(0.2)
    filled(advice, "a file is wanted there; if docker made it because there was none: rmdir {}")
    assert shell(staged, advice.partition(": ")[2]).returncode == 0
    netrc(staged, f"machine reg.test login me password {PASSWORD}\n")
    assert answered(staged) == LOGIN


def test_too_large_a_file_is_made_smaller(staged: Stage) -> None:
    """A mebibyte is a thousand registries."""
    netrc(staged, "# " + "x" * (1 << 20))
    staged.configure(NETRC)
    staged.start()
    filled(hint(staged), "keep only what is needed in it")
    netrc(staged, f"machine reg.test login me password {PASSWORD}\n")
    assert answered(staged) == LOGIN


def test_a_match_that_flush_does_not_take_is_cut_as_the_hint_says(staged: Stage) -> None:
    """A path is not part of it."""
    staged.configure(NETRC)
    staged.start()
    refused = staged.credproxy("flush", "reg.test/file")
    assert refused.returncode == 1
    advice = refused.stderr.splitlines()[-1].removeprefix("hint: ")
    assert filled(advice, "credproxy flush {}") == ("reg.test",)
    assert shell(staged, advice).returncode == 0


def test_without_a_daemon_the_hint_starts_one(staged: Stage) -> None:
    """It stays in the foreground, as a service manager or a second terminal needs it."""
    refused = staged.credproxy("status")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == "hint: start it: credproxy serve"
    refused = staged.credproxy("restart")
    assert refused.returncode == 1
    filled(
        refused.stderr.splitlines()[-1].removeprefix("hint: "),
        "the next credproxy-helper call starts it; or run: credproxy serve",
    )
    staged.start()
    assert staged.credproxy("status").returncode == 0


@pytest.mark.parametrize("way", ["chmod", "another place"])
def test_a_directory_that_others_may_enter_is_closed_or_another_one_is_named(staged: Stage, way: str) -> None:
    """Both remedies for a daemon that does not start."""
    place = staged.socket.parent
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    refused = staged.credproxy("serve")
    assert refused.returncode == 1
    advice = json.loads(refused.stderr.splitlines()[-1])["hint"]
    variable, folder = filled(
        advice, "set {} to a path in a directory of its own, or if nothing else is in this one: chmod 700 {}"
    )
    assert (folder, variable) == (str(place), "CREDPROXY_SOCKET")
    if way == "chmod":
        assert shell(staged, advice.partition(": ")[2]).returncode == 0
    else:
        staged.environ[variable] = str(staged.home / "own" / "helper.sock")
    staged.start()
    assert staged.credproxy("status").returncode == 0


@pytest.mark.parametrize("name", ["mine.lock", "notes.sock", "poetry.sock"])
def test_a_socket_path_that_is_somebody_else_s_is_given_up(staged: Stage, name: str) -> None:
    """What lies there, or would be the lock beside it, stays as it is."""
    place = staged.socket.parent
    place.mkdir(mode=0o700)
    for file in ("notes.sock", "poetry.lock"):
        (place / file).write_text("notes\n" * 500)
    staged.environ["CREDPROXY_SOCKET"] = str(place / name)
    refused = staged.credproxy("serve")
    assert refused.returncode == 1
    advice = json.loads(refused.stderr.splitlines()[-1])["hint"]
    if name == "mine.lock":
        (variable,) = filled(advice, "set {} to a path that ends in .sock")
    elif name == "notes.sock":
        (variable,) = filled(advice, "set {} to another path")
    else:
        (variable,) = filled(advice, "set {} to a path in a directory of its own")
    staged.environ[variable] = str(staged.home / "own" / "helper.sock")
    staged.start()
    assert staged.credproxy("status").returncode == 0
    assert {(place / file).read_text() for file in ("notes.sock", "poetry.lock")} == {"notes\n" * 500}


def test_too_long_a_socket_path_is_shortened(staged: Stage) -> None:
    """The system takes 107 bytes."""
    staged.environ["CREDPROXY_SOCKET"] = str(staged.home / ("x" * 100) / "helper.sock")
    refused = staged.credproxy("serve")
    (variable,) = filled(json.loads(refused.stderr.splitlines()[-1])["hint"], "set {} to a shorter path")
    staged.environ[variable] = str(staged.home / "x" / "helper.sock")
    staged.start()
    assert staged.credproxy("status").returncode == 0


@pytest.mark.parametrize("way", ["write it", "another"])
def test_a_configuration_that_is_not_there_is_written_or_another_one_is_named(staged: Stage, way: str) -> None:
    """A daemon with ``--config`` serves errors until it is there."""
    missing = staged.home / "mine.toml"
    netrc(staged, f"machine reg.test login me password {PASSWORD}\n")
    log = staged.home / "serve.log"
    with log.open("wb") as out:
        staged.logs.append(log)
        staged.process = subprocess.Popen(
            [CREDPROXY, "serve", "--config", str(missing)],
            env=staged.environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    staged.await_ready()
    advice = hint(staged)
    filled(advice, "write it, or name another one: credproxy serve --config FILE")
    if way == "write it":
        missing.write_text(NETRC)
        missing.chmod(0o600)
        reload(staged)
    else:
        staged.stop()
        staged.configure(NETRC)
        command = advice.partition(": ")[2].replace("FILE", str(staged.config)).split()[1:]
        with log.open("wb") as out:
            staged.process = subprocess.Popen(
                [CREDPROXY, *command], env=staged.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        staged.await_ready()
    assert answered(staged) == LOGIN


def test_what_only_a_daemon_may_ask_is_explained_once_it_runs(staged: Stage) -> None:
    """Without a daemon no program is started, and the output says so."""
    docker(staged, {"credsStore": "x"})
    program(staged.home / "bin" / "docker-credential-x", HELPER)
    staged.configure(f'helper_path = "{staged.home}/bin:/usr/bin:/bin"\n{STORED}')
    told = json.loads(staged.credproxy("explain", "--json", URI).stdout)
    filled(told["problem"]["hint"], "start the daemon, then ask again: credproxy serve")
    staged.start()
    assert answered(staged) == LOGIN


def test_a_helper_that_waits_is_seen_to_wait(staged: Stage) -> None:
    """The line can be run literally, and does not end by itself either."""
    path = program(staged.home / "bin" / "helper", "exec sleep 30")
    staged.configure(rule("exec", f'command = ["{path}"]', "timeout = 1"))
    staged.start()
    (line,) = filled(hint(staged), "run it by hand to see what it waits for: {}")
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(shlex.split(line), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=1)
    program(path, GOOD_HELPER)
    assert answered(staged) == {"Authorization": [PASSWORD]}


def test_an_empty_docker_password_is_stored_again(staged: Stage) -> None:
    """With this user name it would be a token."""
    docker(staged, {"auths": {"reg.test": {"auth": base64.b64encode(b"oauth2accesstoken:").decode()}}})
    staged.configure(STORED)
    staged.start()
    filled(hint(staged), "store a login there, with a user name and a password")
    docker(staged, {"auths": {"reg.test": {"auth": base64.b64encode(f"me:{PASSWORD}".encode()).decode()}}})
    assert answered(staged) == LOGIN


def said(staged: Stage, uri: str) -> tuple[str, str]:
    """The two lines of an error."""
    done = staged.helper(uri)
    assert done.returncode == 1, done.stdout
    cause, advice = done.stderr.splitlines()
    return cause, advice


def test_an_identity_token_is_for_a_registry(staged: Stage, registry: TokenRegistry) -> None:
    """With the provider that the hint names it is sent to the token server, which decides."""
    docker(staged, {"auths": {registry.authority: {"auth": "bWU6", "identitytoken": "canary-token"}}})
    head = f'[[host]]\nmatch = "{registry.authority}"\nprovider = '
    staged.configure(f'{head}"basic"\ncredentials = {{ source = "docker-config" }}\n')
    staged.start()
    _, advice = said(staged, registry.uri("a/b/manifests/x"))
    filled(advice, 'a token that docker stores is for a registry: provider = "oci" in its [[host]]')
    assert registry.requests == []
    staged.configure(f'{head}"oci"\n')
    reload(staged)
    staged.helper(registry.uri("a/b/manifests/x"))
    assert registry.requests != []


def test_a_secret_for_a_registry_gets_its_user_name(staged: Stage, registry: TokenRegistry) -> None:
    """In the rule, as the hint says."""
    with_name = registry.rule()
    staged.configure(with_name.replace(', username = "canary-user"', ""))
    staged.start(REGISTRY_PASSWORD=registry.password)
    cause, advice = said(staged, registry.uri("a/b/manifests/x"))
    assert "holds no user name" in cause
    filled(advice, "name one: username = ... in the credentials of its [[host]]")
    staged.configure(with_name)
    reload(staged)
    assert staged.headers(registry.uri("a/b/manifests/x"))


def test_a_rule_that_the_daemon_does_not_read_is_written_where_it_reads(staged: Stage) -> None:
    """Its ``--config`` is another file."""
    mine = staged.home / "mine.toml"
    mine.write_text(NETRC)
    mine.chmod(0o600)
    log = staged.home / "serve.log"
    with log.open("wb") as out:
        staged.logs.append(log)
        staged.process = subprocess.Popen(
            [CREDPROXY, "serve", "--config", str(mine)],
            env=staged.environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    staged.await_ready()
    done = staged.credproxy("actions", "allow", "ghcr.io/my-org/**")
    assert done.returncode == 1
    filled(done.stderr.splitlines()[-1].removeprefix("hint: "), "add the rule there, or start it without --config")
    staged.stop()
    staged.start()
    assert staged.credproxy("actions", "allow", "ghcr.io/my-org/**").returncode == 0
