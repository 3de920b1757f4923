"""``credproxy login`` and ``logout`` without a network: the output, and where a login is stored. tests/real/test_login.py has the rest."""

import json
import signal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from credproxy.adapters import replaced_file
from credproxy.adapters.secret_service import LockedKeyringError, NoKeyringError
from credproxy.adapters.writable_keyring import NativeKeyring
from credproxy.cli import main
from credproxy.cli.login import login, logout, undisturbed
from credproxy.cli.login_words import WIDTH, LoginError
from credproxy.core.ask.credential import Secret
from credproxy.core.kinds import KINDS


class Keyring:
    """A keyring that takes secrets, or says why not."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.closes = False  # it is locked by the time that something is stored
        self.secrets: dict[tuple[str, str], str] = {}

    def usable(self) -> None:
        """Say why not."""
        if self.problem is not None:
            raise self.problem

    def store(self, attributes: dict[str, str], label: str, *, secret: Secret) -> None:
        """Store it."""
        assert label
        if self.closes:
            raise LockedKeyringError
        self.usable()
        self.secrets[attributes["service"], attributes["username"]] = secret.reveal()

    def erase(self, attributes: dict[str, str]) -> int:
        """Delete what matches."""
        self.usable()
        wanted = attributes["service"], attributes.get("username")
        found = [key for key in self.secrets if key[0] == wanted[0] and wanted[1] in {None, key[1]}]
        for key in found:
            del self.secrets[key]
        return len(found)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home."""
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def run(*arguments: str, keyring: Keyring, password: str = "canary-pass") -> Result:
    """Run with the password on standard input; the output does not show it, and every line fits."""
    result = CliRunner().invoke(main, [*arguments], input=f"{password}\n", obj=keyring)
    assert password not in result.output
    assert [line for line in result.output.splitlines() if len(line) > WIDTH and " " in line.strip()] == []
    return result


def log_in(*arguments: str, keyring: Keyring, password: str = "canary-pass") -> Result:
    """Log in without trying the login."""
    return run("login", *arguments, "--no-check", "--password-stdin", keyring=keyring, password=password)


def configure(home: Path, text: str) -> None:
    """Write the configuration."""
    place = home / ".config/credproxy/config.toml"
    place.parent.mkdir(parents=True)
    place.write_text(text)


def stored(home: Path) -> dict[str, dict[str, str]]:
    """The file of logins."""
    found: dict[str, dict[str, str]] = json.loads((home / ".local/state/credproxy/logins.json").read_text())["logins"]
    return found


@pytest.mark.parametrize("command", [login, logout])
def test_the_help_fits_and_has_an_example_of_each_kind(command: click.Command) -> None:
    """On a screen of 60 columns."""
    result = CliRunner().invoke(main, [str(command.name), "--help"])
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= WIDTH
    for kind in KINDS:
        words = kind.login_example.split()
        assert not words or any(
            line.split()[:4] == [kind.tag(), "credproxy", command.name, words[2]] for line in lines
        ), kind


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.login_example], ids=lambda kind: str(kind.tag()))
def test_every_example_is_one_that_can_be_typed(kind: type) -> None:
    """Its options exist."""
    _, name, *arguments = kind.login_example.split()  # type: ignore[attr-defined]  # of a rule
    assert name == "login"
    login.make_context("login", arguments)


def test_a_login_goes_into_the_keyring_and_the_old_user_s_secret_goes_from_it(home: Path) -> None:
    """The file only says that there is one; after logging out, nothing is left."""
    keyring = Keyring()
    assert (
        log_in("reg.test", "-u", "one", keyring=keyring).output
        == "logged in to reg.test as one\nstored in the keyring\n"
    )
    first = stored(home)["reg.test"]
    assert log_in("https://reg.test/", "-u", "two", password="canary-two", keyring=keyring).exit_code == 0
    second = stored(home)["reg.test"]
    assert keyring.secrets == {("credproxy:reg.test", "two"): "canary-two"}
    assert (second["kept"], second["username"]) == ("keyring", "two")
    assert first["id"] != second["id"]
    assert log_in("reg.test", "-u", "three", "--store", "file", keyring=keyring).exit_code == 0
    assert (keyring.secrets, stored(home)["reg.test"]["kept"]) == ({}, "file")
    assert run("logout", "reg.test", keyring=keyring).exit_code == 0
    assert stored(home) == {}
    assert run("logout", "reg.test", keyring=keyring).output == "no login for reg.test was stored from here\n"


def test_a_login_in_docker_s_configuration_takes_the_place_of_an_older_one_that_would_take_precedence_over_it(
    home: Path,
) -> None:
    """Otherwise the old one would be used."""
    keyring = Keyring()
    assert log_in("reg.test", "-u", "one", keyring=keyring).exit_code == 0
    result = log_in("reg.test", "-u", "two", "--store", "docker", keyring=keyring)
    assert "warning: your password is stored unencrypted in" in result.output
    assert (keyring.secrets, stored(home)) == ({}, {})
    assert list(json.loads((home / ".docker/config.json").read_text())["auths"]) == ["reg.test"]


@pytest.mark.parametrize(
    ("problem", "store", "said", "hint"),
    [
        (LockedKeyringError(), "auto", "the keyring is locked", "unlock it"),
        (LockedKeyringError(), "keyring", "the keyring is locked", "unlock it"),
        (NoKeyringError("there is none"), "keyring", "no keyring: there is none", "--store file, docker or"),
    ],
)
def test_a_keyring_that_cannot_be_had_is_reported_and_nothing_is_stored(
    home: Path, problem: Exception, store: str, said: str, hint: str
) -> None:
    """A plain-text file does not replace a keyring that is only locked."""
    keyring = Keyring(problem)
    result = log_in("reg.test", "-u", "u", "--store", store, keyring=keyring)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert hint in " ".join(result.output.split())
    assert not (home / ".local/state/credproxy/logins.json").exists()
    assert not (home / ".docker").exists()


@pytest.mark.parametrize(
    ("rule", "file"),
    [
        ("", ".docker/config.json"),
        ('docker_config = "none"\n', ".local/state/credproxy/logins.json"),
        ('[[host]]\nmatch = "reg.test"\nprovider = "basic"\n', ".local/state/credproxy/logins.json"),
        ('login_store = "file"\n', ".local/state/credproxy/logins.json"),
    ],
)
def test_without_a_keyring_a_registry_s_login_goes_where_docker_has_them(home: Path, rule: str, file: str) -> None:
    """And everything else into a file of our own."""
    keyring = Keyring(NoKeyringError("there is none"))
    configure(home, rule)
    assert log_in("reg.test", "-u", "u", keyring=keyring).exit_code == 0
    assert "reg.test" in (home / file).read_text()


@pytest.mark.parametrize("config", ['{"credsStore": "credproxy"}', '{"credHelpers": {"reg.test": "credproxy"}}'])
def test_what_docker_would_ask_us_for_is_not_stored_with_docker(home: Path, config: str) -> None:
    """It would write an empty entry over ours."""
    keyring = Keyring(NoKeyringError("there is none"))
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(config)
    assert log_in("reg.test", "-u", "u", keyring=keyring).exit_code == 0
    assert (home / ".docker/config.json").read_text() == config
    assert stored(home)["reg.test"]["kept"] == "file"
    result = log_in("reg.test", "-u", "u", "--store", "docker", keyring=keyring)
    assert result.exit_code == 1
    assert "has credproxy itself for 'reg.test'" in " ".join(result.output.split())


HEADER = '[[host]]\nmatch = "h.test"\nprovider = "header"\nsecret = { source = "login" }\n'


@pytest.mark.parametrize(
    ("arguments", "rule", "said"),
    [
        (("a b",), "", "'a b' names no host"),
        (("grpc://reg.test",), "", "names no host"),
        (("http://me:canary-pass@reg.test/",), "", "'http://***@reg.test/' has a user name in it"),
        (("me:canary-pass@reg.test",), "", "hint: credproxy login reg.test -u me"),
        (("reg.test",), "", "whose password is it?"),
        (
            ("reg.test", "-u", "u"),
            '[[host]]\nmatch = "reg.test"\nprovider = "none"\n',
            "nobody logs in to a host of provider 'none' here",
        ),
        (
            ("reg.test", "-u", "u", "--store", "docker"),
            '[[host]]\nmatch = "reg.test"\nprovider = "basic"\n',
            "docker's configuration is for registries alone",
        ),
        (
            ("reg.test", "-u", "u"),
            '[[host]]\nmatch = "reg.test"\nprovider = "oci"\ncredentials = { source = "netrc" }\n',
            "the rule for 'reg.test' looks where nothing can be stored",
        ),
        (("reg.test", "-u", "a:b"), "", "has a user name that is empty or holds ':'"),
        (
            ("reg.test/../x", "-u", "u"),
            "",
            "'reg.test/../x' has a path that no login is for hint: credproxy login reg.test",
        ),
        (("http://reg.test", "-u", "u"), "", "would travel in plain http"),
        (("http://h.test",), HEADER, "the login for 'h.test' would travel in plain http"),
        (("h.test", "--check-url", "http://h.test/x"), HEADER, "the login for 'h.test' would travel in plain http"),
        (
            ("h.test", "--check-url", "https://g.test/x"),
            HEADER,
            "'h.test', is not for 'g.test', which would be sent it",
        ),
        (("h.test", "--check-url", "ftp://h.test/"), HEADER, "has the scheme 'ftp' hint: name another page"),
        (("h.test", "--check-url", "https://h.test/"), HEADER, "means nothing together with --no-check"),
        (
            ("reg.test", "-u", "u", "--check-url", "https://reg.test/"),
            "",
            "--check-url means nothing for a host of provider 'oci'",
        ),
    ],
)
def test_what_cannot_be_is_reported(home: Path, arguments: tuple[str, ...], rule: str, said: str) -> None:
    """And nothing is stored."""
    keyring = Keyring(NoKeyringError("there is none"))
    configure(home, rule)
    result = log_in(*arguments, keyring=keyring)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert not (home / ".local/state/credproxy/logins.json").exists()


OAUTH = '[[host]]\nmatch = "cache.test"\nprovider = "oauth2"\nclient_id = "c"\ntoken_url = "https://id.test/t"\n'
REFRESH = f'{OAUTH}grant = "refresh_token"\n'


@pytest.mark.parametrize(
    ("rule", "arguments", "said"),
    [
        (REFRESH, ("-u", "me", "--password-stdin"), "-u means nothing here"),
        (REFRESH, (), "there is no terminal to show a code on"),
        (REFRESH, ("--flow", "device"), "does not say where a login on another device begins"),
        (REFRESH, ("--flow", "browser"), "does not say where a login in a browser begins"),
        (REFRESH, ("--store", "docker", "--password-stdin"), "docker's configuration is for registries alone"),
        (
            f'{OAUTH}client_secret = {{ source = "env", name = "X" }}\n',
            (),
            "nobody logs in to a host of provider 'oauth2'",
        ),
        ('[[host]]\nmatch = "cache.test"\nprovider = "basic"\n', ("--flow", "device"), "--flow means nothing"),
    ],
)
def test_a_login_at_an_identity_provider_that_cannot_be_is_told(
    home: Path, rule: str, arguments: tuple[str, ...], said: str
) -> None:
    """Before anybody is asked, where that can be."""
    configure(home, rule)
    result = run("login", "cache.test", *arguments, keyring=Keyring(NoKeyringError("there is none")))
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert not (home / ".local/state/credproxy/logins.json").exists()


ROBOT = f'{OAUTH}client_secret = {{ source = "login" }}\n'


def test_the_secret_of_a_client_is_stored_where_its_rule_looks(home: Path) -> None:
    """As any other login: it does not change by being used; and it is gone after ``logout``, without a word to the server."""
    keyring = Keyring()
    configure(home, ROBOT)
    result = log_in("cache.test", keyring=keyring)
    assert result.output == "logged in to cache.test\nstored in the keyring\n"
    assert keyring.secrets == {("credproxy:cache.test", ""): "canary-pass"}
    assert "rotates" not in stored(home)["cache.test"]
    assert run("logout", "cache.test", keyring=keyring).output == "deleted from the keyring\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-u", "me", "--password-stdin"), "-u means nothing here"),
        (("--flow", "device"), "--flow means nothing here"),
        ((), "there is no terminal to ask on"),
        (("--password-stdin",), "'127.0.0.1:1'"),
    ],
)
def test_the_secret_of_a_client_that_cannot_be_had_or_tried_is_told(
    home: Path, arguments: tuple[str, ...], said: str
) -> None:
    """And nothing is stored."""
    keyring = Keyring()
    configure(home, ROBOT.replace("https://id.test/t", "http://127.0.0.1:1/t"))
    result = run("login", "cache.test", *arguments, keyring=keyring)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert keyring.secrets == {}


def test_a_login_that_cannot_be_revoked_goes_from_here_all_the_same(home: Path) -> None:
    """With a warning: who logs out wants it gone, and may do at the provider what is left."""
    keyring, path = Keyring(), home / "token"
    source = f'refresh_token = {{ source = "file", path = "{path}" }}\n'
    configure(home, REFRESH.replace('token_url = "https://id.test/t"', 'issuer = "http://127.0.0.1:1"') + source)
    path.write_text("canary-pass\n")
    path.chmod(0o600)
    result = run("logout", "cache.test", keyring=keyring)
    assert (result.exit_code, path.exists()) == (0, False)
    assert result.stdout.split() == ["deleted", "from", str(path)]
    assert "warning: the login was not revoked: issuer 'http://127.0.0.1:1'" in " ".join(result.stderr.split())
    assert "end the session there" in " ".join(result.stderr.split())
    again = run("logout", "cache.test", keyring=keyring)
    assert again.output == "no login for cache.test was stored from here\n", "there is nothing to warn about"


@pytest.mark.parametrize("place", ["login", "file"])
def test_a_refresh_token_goes_where_its_rule_looks(home: Path, place: str) -> None:
    """In the keyring nothing else is written for each renewal; a file is the rule's own."""
    keyring = Keyring()
    path = home / "token"
    source = f'refresh_token = {{ source = "file", path = "{path}" }}\n' if place == "file" else ""
    configure(home, REFRESH + source)
    assert log_in("cache.test", keyring=keyring).exit_code == 0
    if place == "file":
        assert path.read_text() == "canary-pass\n"
    else:
        assert keyring.secrets == {("credproxy:cache.test", ""): "canary-pass"}
        assert stored(home)["cache.test"]["rotates"]
    assert run("logout", "cache.test", keyring=keyring).exit_code == 0
    assert (keyring.secrets, path.exists()) == ({}, False)


@pytest.mark.parametrize(
    ("match", "more", "typed", "key"),
    [
        ("*.cache.test", "", "a.cache.test", "cache.test"),
        ("*.cache.test", "", "cache.test", "cache.test"),
        ("cache.test/team", "", "cache.test/team", "cache.test/team"),
        ("cache.test:8443", "", "cache.test:8443", "cache.test:8443"),
        ("*.cache.test", 'refresh_token = { source = "login", host = "id.test" }\n', "b.cache.test", "id.test"),
    ],
)
def test_one_login_at_an_identity_provider_is_for_all_hosts_of_its_rule(
    home: Path, match: str, more: str, typed: str, key: str
) -> None:
    """Whichever of them is named, and by the name that it is stored under; ``logout`` finds it as well."""
    keyring = Keyring()
    configure(home, REFRESH.replace('match = "cache.test"', f'match = "{match}"') + more)
    for name in (typed, key):
        assert log_in(name, keyring=keyring).exit_code == 0
        assert list(stored(home)) == [key]
        assert run("logout", name, keyring=keyring).stdout == "deleted from the keyring\n"
        assert stored(home) == {}


@pytest.mark.parametrize("place", ["logins.json", "token"])
def test_who_is_writing_or_renewing_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """For ten seconds; then nothing is stored. A daemon holds the lock of a rule's own file while it renews what is there."""
    monkeypatch.setattr(replaced_file, "PATIENCE", 0.1)
    keyring, folder = Keyring(), home / ".local/state/credproxy"
    source = f'refresh_token = {{ source = "file", path = "{folder}/token" }}\n' if place == "token" else ""
    configure(home, REFRESH + source)
    with replaced_file.exclusively(folder / place):
        result = log_in("cache.test", keyring=keyring)
        assert result.exit_code == 1
        assert "another process is writing" in " ".join(result.output.split())
        assert (keyring.secrets, (folder / "token").exists()) == ({}, False)
    assert log_in("cache.test", keyring=keyring).exit_code == 0


def test_a_keyring_that_is_locked_midway_leaves_what_was_there(home: Path) -> None:
    """It was open when the login began."""
    keyring = Keyring()
    configure(home, REFRESH)
    assert log_in("cache.test", keyring=keyring).exit_code == 0
    before = stored(home)
    keyring.closes = True
    result = log_in("cache.test", password="canary-two", keyring=keyring)
    assert result.exit_code == 1
    assert "the keyring is locked, and nothing was changed" in " ".join(result.output.split())
    assert stored(home) == before


def test_a_secret_is_deleted_again_where_the_file_of_logins_cannot_be_written(home: Path) -> None:
    """Else it would lie in the keyring, and nothing would point to it."""
    keyring = Keyring()
    place = home / ".local/state/credproxy/logins.json"
    place.parent.mkdir(parents=True)
    place.symlink_to("/proc/nowhere/logins.json")
    assert log_in("reg.test", "-u", "u", keyring=keyring).exit_code == 1
    assert keyring.secrets == {}
    place.unlink()
    assert log_in("reg.test", "-u", "u", keyring=keyring).exit_code == 0
    assert keyring.secrets == {("credproxy:reg.test", "u"): "canary-pass"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_asked_to_end_while_it_stores_stores_first(number: signal.Signals) -> None:
    """It takes moments; afterwards signals do what they did before."""
    before, done = signal.getsignal(number), []
    with undisturbed():
        signal.raise_signal(number)
        done.append(number)
    assert done == [number]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("", "on standard input is empty hint: pipe it in, with --password-stdin"),
        ("a\nb", "holds more than one line"),
        ("x" * 70_000, "more than 65536 bytes"),
    ],
    ids=["nothing", "two lines", "too much"],
)
def test_an_impossible_password_is_refused(home: Path, password: str, said: str) -> None:
    """For example, a file that was piped in by mistake."""
    keyring = Keyring()
    result = CliRunner().invoke(
        main, ["login", "reg.test", "-u", "u", "--password-stdin", "--no-check"], input=password, obj=keyring
    )
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert not (home / ".local/state/credproxy/logins.json").exists()


def test_a_command_in_a_hint_can_be_copied_with_its_line_end(capsys: pytest.CaptureFixture[str]) -> None:
    """As the examples in --help are continued; a sentence is not continued in that way."""
    path = "/home/somebody/with/a/long/way/to/her/files/credproxy"
    LoginError("it is full", f"findmnt --target {path}").show()
    LoginError("it is full", f"log in with a shorter name, and take it out of {path}").show()
    said = capsys.readouterr().err
    assert f"hint: findmnt --target \\\n  {path}\n" in said
    assert said.count("\\\n") == 1


def test_a_disk_that_is_full_or_read_only_is_reported(home: Path) -> None:
    """In the system's words."""
    keyring = Keyring(NoKeyringError("there is none"))
    (home / ".local").write_text("not a directory")
    result = log_in("reg.test", "-u", "u", "--store", "file", keyring=keyring)
    assert result.exit_code == 1
    assert "nothing was changed" in result.output


def test_bazelrc_has_the_hosts_with_a_stored_login(home: Path) -> None:
    """All of GitHub's hosts; and the file is hidden from sandboxes."""
    keyring = Keyring()
    for host in ("reg.test:5000", "github.com"):
        assert log_in(host, "-u", "u", keyring=keyring).exit_code == 0
    named = CliRunner().invoke(main, ["bazelrc"]).output
    for host in ("reg.test", "api.github.com", "raw.githubusercontent.com"):
        assert f"--credential_helper={host}=" in named
    assert "gitlab.com" not in named
    hidden = CliRunner().invoke(main, ["bazelrc", "--sandbox"]).output
    assert f"--sandbox_block_path={home}/.local/state/credproxy/logins.json" in hidden
    (home / ".config/credproxy").mkdir(parents=True)
    (home / ".config/credproxy/config.toml").write_text('builtin = ["netrc"]\n')
    assert "reg.test" not in CliRunner().invoke(main, ["bazelrc"]).output


def test_the_library_is_asked_for_the_system_s_own_keyring_alone() -> None:
    """On Linux there is none, or another backend."""
    with pytest.raises(NoKeyringError):
        NativeKeyring().usable()
