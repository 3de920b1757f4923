"""``credproxy config check --deep`` on real files."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from credproxy.cli.gathering import gather
from tests.cli.test_commands import configure, home, run
from tests.contract import jwt


__all__ = ["home"]  # the fixture

_VAULT = 'source = "vault", address = "https://v.test", path = "kv/data/x", field = "y"'


def test_deep_looks_at_files_programs_and_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything at once, the worst first; the plain check only covers the text."""
    monkeypatch.delenv("NOT_SET", raising=False)
    junk, secret = home / "junk.pem", home / "secret"
    junk.write_text("no certificate\n")
    secret.write_text("canary\n")
    secret.chmod(0o644)
    configure(
        home,
        f"""
[[host]]
match = "a.test"
provider = "oci"
ca_bundle = "{junk}"
credentials = {{ source = "file", path = "{home}/none", username = "u" }}
[[host]]
match = "b.test"
provider = "header"
secret = {{ source = "env", name = "NOT_SET" }}
[[host]]
match = "c.test"
provider = "exec"
command = ["{home}/none/helper"]
[[host]]
match = "d.test"
provider = "header"
secret = {{ source = "file", path = "{secret}" }}
""",
    )
    assert run("config", "check").exit_code == 0
    done = run("config", "check", "--deep")
    assert done.exit_code == 1
    said = " ".join(done.stdout.split())
    for words in (
        f"the ca_bundle of 'a.test', '{junk}', holds no certificate in PEM form",
        f"the secret of 'a.test', '{home}/none', cannot be read: it is not there",
        f"the program of 'c.test', '{home}/none/helper', is not there",
        "the variable 'NOT_SET' for 'b.test' is not set here",
        f"others may read the secret of 'd.test': '{secret}' has mode 0644",
    ):
        assert words.replace(" ", "") in said.replace(" ", ""), words
    assert "canary" not in done.output
    assert said.index("error") < said.index("warning")


def test_deep_of_what_works_is_fine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for a named file; nothing is started."""
    monkeypatch.setenv("IS_SET", "x")
    bundle, program = home / "ca.pem", home / "helper"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    program.write_text(f"#!/bin/sh\ntouch {home}/started\n")
    program.chmod(0o700)
    path = configure(
        home,
        f"""
[[host]]
match = "a.test"
provider = "oci"
ca_bundle = "{bundle}"
credentials = {{ source = "env", name = "IS_SET", username = "u" }}
[[host]]
match = "c.test"
provider = "exec"
command = ["{program}"]
""",
    )
    for args in ((), (str(path),)):
        done = run("config", "check", "--deep", *args)
        assert done.exit_code == 0, done.output
        assert done.stdout.splitlines()[-1] == f"{path}: fine, 2 host rules"
    assert not (home / "started").exists()


def test_deep_tells_a_token_that_is_over_wherever_it_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of the daemon, before the build that would read them; the token itself is not shown."""
    monkeypatch.setenv("OVER", jwt(1000.0))
    (home / "over").write_text(jwt(2000.0))
    (home / "over").chmod(0o600)
    rule = '[[host]]\nmatch = "{}.test"\nprovider = "header"\nsecret = {{ source = {} }}\n'
    configure(home, rule.format("a", '"env", name = "OVER"') + rule.format("b", f'"file", path = "{home}/over"'))
    done = run("config", "check", "--deep")
    said = " ".join(done.output.split())
    assert done.exit_code == 1
    assert "the variable 'OVER' for 'a.test' holds a token that expired at 1970-01-01 00:16:40 UTC" in said
    assert f"'{home}/over', holds a token that expired at 1970-01-01 00:33:20 UTC" in said
    assert jwt(1000.0)[:20] not in done.output


def test_deep_tells_a_broken_file_of_logins(home: Path) -> None:
    """Found automatically, as the daemon finds it."""
    (home / "h" / ".docker").mkdir()
    (home / "h" / ".docker" / "config.json").write_text("{")
    done = run("config", "check", "--deep")
    assert done.exit_code == 1
    assert "is not the JSON of a docker configuration" in " ".join(done.stdout.split())


def test_deep_tells_the_file_and_the_line_of_each_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing makes the check fail, a variable and a policy file as well, and one does not hide another."""
    monkeypatch.delenv("NOT_SET", raising=False)
    path = configure(
        home,
        f"""netrc = "{home}/none"
[[host]]
match = "b.test"
provider = "header"
secret = {{ source = "env", name = "NOT_SET" }}
[actions]
policy_file = "{home}/none"
""",
    )
    done = run("config", "check", "--deep")
    assert done.exit_code == 1
    said = done.stdout.replace(" ", "")
    for where in (f"{path}:1:netrc:", f"{path}:5:host[0].secret:", f"{path}:7:actions.policy_file:"):
        assert where in said


def test_a_rule_of_the_second_file_has_its_place_there(home: Path) -> None:
    """A rule that the user's file replaces is not reported, and line numbers are those of each file."""
    rule = '[[host]]\nmatch = "a.test"\nprovider = "exec"\ncommand = ["/none"]\n'
    for name, text in (("mine", rule), ("theirs", rule + rule.replace("a.test", "b.test"))):
        (home / name).write_text(text)
    facts, _ = gather((str(home / "mine"), str(home / "theirs")), strict=True)
    places = [facts.place(("host", index, "command")) for index in range(len(facts.settings.host))]
    assert places == [f"{home}/mine:4: host[0].command: ", f"{home}/theirs:8: host[1].command: "]


def test_deep_reads_the_files_of_logins_that_rules_name(home: Path) -> None:
    """Like the usual ones: the programs that they name, and what cannot be read in them."""
    (home / "d.json").write_text('{"credsStore":"of-a-rule"}')
    (home / "n").write_text('machine a.test login u password "canary\n')
    (home / "folder").mkdir()
    configure(
        home,
        f"""
[[host]]
match = "a.test"
provider = "oci"
credentials = {{ source = "docker-config", path = "{home}/d.json" }}
[[host]]
match = "b.test"
provider = "basic"
credentials = {{ source = "netrc", path = "{home}/n" }}
[[host]]
match = "c.test"
provider = "exec"
command = ["{home}/folder"]
""",
    )
    done = run("config", "check", "--deep")
    assert done.exit_code == 1
    assert "names 'docker-credential-of-a-rule' for every registry, which is not on PATH" in done.stdout
    assert f"the netrc file '{home}/n'" in done.stdout
    assert f"'{home}/folder', is not a file" in done.stdout
    assert "canary" not in done.output


def test_deep_takes_what_is_not_there_in_a_list_as_it_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several places are named because no machine has them all; existing ones are still checked."""
    monkeypatch.delenv("NOT_SET", raising=False)
    secret = home / "secret"
    configure(
        home,
        f"""
[[host]]
match = "a.test"
provider = "header"
secret = [{{ source = "env", name = "NOT_SET" }}, {{ source = "file", path = "{secret}" }}]
""",
    )
    assert run("config", "check", "--deep").exit_code == 0
    secret.write_text("a\nb\n")
    done = run("config", "check", "--deep")
    assert done.exit_code == 1
    assert "holds more than one line" in " ".join(done.stdout.split())


def test_a_client_certificate_that_cannot_be_used_is_told(home: Path) -> None:
    """Expired, encrypted, with another's key, or none at all: as the daemon will say, with the next command."""
    authority, (certificate, key) = trustme.CA(), (home / "c.pem", home / "c.key")
    path = configure(
        home,
        f'[[host]]\nmatch = "a.test"\nprovider = "oci"\nclient_cert = "{certificate}"\nclient_key = "{key}"\n',
    )

    def put(made: trustme.LeafCert, other: trustme.LeafCert) -> str:
        made.cert_chain_pems[0].write_to_path(str(certificate))
        other.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)
        return " ".join(run("config", "check", "--deep", str(path)).stdout.split())

    good = authority.issue_cert("me@test")
    assert put(good, good).endswith("fine, 1 host rule")
    assert "is not that of the certificate" in put(good, authority.issue_cert("you@test"))
    sealed = serialization.BestAvailableEncryption(b"x")
    private = serialization.load_pem_private_key(good.private_key_pem.bytes(), None)
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed))
    assert f"{path}:4: host[0].client_cert: the key '{key}' is encrypted" in " ".join(
        run("config", "check", "--deep").stdout.split()
    )
    old = authority.issue_cert("me@test", not_after=datetime(2020, 1, 2, tzinfo=UTC))
    said = put(old, old)
    assert f"the client certificate '{certificate}' has expired, on 2020-01-02" in said
    assert "openssl x509 -noout -enddate" in said
    good.cert_chain_pems[0].write_to_path(str(certificate))
    configure(home, f'[[host]]\nmatch = "a.test"\nprovider = "oci"\nclient_cert = "{certificate}"\n')
    said = " ".join(run("config", "check", "--deep").stdout.split())
    assert (
        f"{path}:4: host[0].client_cert: the file of the client certificate '{certificate}' has no private key" in said
    )
    assert 'client_key = "/PATH' in said
    configure(
        home, f'[[host]]\nmatch = "a.test"\nprovider = "header"\nsecret = {{ {_VAULT}, client_cert = "{certificate}" }}'
    )
    said = " ".join(run("config", "check", "--deep").stdout.split())
    assert f"{path}:4: host[0].secret: the file of the client certificate '{certificate}' has no private key" in said
    certificate.write_text("junk")
    assert "wanted a certificate and its private key" in " ".join(run("config", "check", "--deep").stdout.split())
