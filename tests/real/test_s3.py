"""Signatures against a store that checks them: odd names, other methods, other URLs, and an object in a sandbox."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, stage
from tests.e2e.test_actions import actions_socket, ask
from tests.e2e.test_objects import fetch
from tests.real.clients import find
from tests.real.weed import BUCKET, KEY_ID, SECRET, Weed


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """One store for all tests of this file."""
    with Weed(find("weed"), tmp_path_factory.mktemp("weed") / "weed") as running:
        running.put("plain", b"plain")
        running.put("other", b"other")
        yield running


@pytest.fixture
def staged(short_path: Path, weed: Weed) -> Iterator[Stage]:
    """A daemon with the key of Amazon's tools, whose build actions may have some objects."""
    with stage(short_path) as made:
        (made.home / ".aws").mkdir()
        (made.home / ".aws" / "credentials").write_text(
            f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
        )
        made.configure(
            f'[[host]]\nmatch = "{weed.host}"\nprovider = "s3"\n'
            f'[[actions.rule]]\naction = "allow"\nurl = "{weed.url}/{BUCKET}/plain"\n'
            "[log]\naudit = true\n"
        )
        made.start()
        yield made
        assert made.stop() == 0
        assert SECRET not in made.log()


def curl(url: str, headers: dict[str, list[str]], *more: str) -> tuple[int, bytes]:
    """Send a request as Bazel would: the URL as it is written, and the headers that the helper gave."""
    argv = [str(find("curl")), "-sS", "--path-as-is", "--globoff", "-w", "\n%{http_code}", *more, url]
    for name, values in headers.items():
        argv += [part for value in values for part in ("-H", f"{name}: {value}")]
    done = subprocess.run(argv, capture_output=True, check=True, timeout=20)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def test_the_store_checks_what_it_is_sent(weed: Weed) -> None:
    """Else the tests below would hold nothing."""
    path = f"/{BUCKET}/plain"
    assert [weed.send(method, path) for method in ("GET", "HEAD")] == [200, 200]
    assert weed.send("GET", path, secret=None) == 403
    assert weed.send("GET", path, secret="wrong") == 403
    assert weed.send("HEAD", path, signed_as="GET") == 403


NAMES = {
    "d/a(b)+c!.txt": "d/a%28b%29%2Bc%21.txt",
    "a@b=c&d.txt": "a%40b%3Dc%26d.txt",
    "t~x": "t~x",
    "%7Ey": "~y",
    "sp%20ace": "sp%20ace",
    "%C3%A9": "%C3%A9",
    "q%25x": "q%25x",
    "[1];'$,:*": "%5B1%5D%3B%27%24%2C%3A%2A",
}


def test_an_object_of_any_name_is_had_as_the_client_writes_it(weed: Weed, staged: Stage) -> None:
    """Reserved characters raw, as Bazel and curl send them, or encoded, as SDKs do; with a query, too."""
    for written, encoded in NAMES.items():
        weed.put(encoded, written.encode())
        for name in (written, encoded):
            url = f"{weed.url}/{BUCKET}/{name}"
            assert curl(url, staged.headers(url)) == (200, written.encode()), name
    for query in ("response-content-type=text/plain", "x-id", "response-content-language=a+b", "b=2&a=1"):
        url = f"{weed.url}/{BUCKET}/plain?{query}"
        assert curl(url, staged.headers(url)) == (200, b"plain"), query


def test_a_signature_is_good_for_its_url_and_method_alone(weed: Weed, staged: Stage) -> None:
    """And a client may add headers of its own, such as Range."""
    url = f"{weed.url}/{BUCKET}/plain"
    headers = staged.headers(url)
    assert curl(url, headers, "-H", "Range: bytes=1-3", "-H", "Accept: */*") == (206, b"lai")
    assert curl(f"{weed.url}/{BUCKET}/other", headers)[0] == 403
    assert curl(url, headers, "--head")[0] == 403
    assert SECRET not in json.dumps(headers)


def test_an_object_comes_into_a_sandbox(weed: Weed, staged: Stage, sandbox: tuple[str, ...]) -> None:
    """By the gateway, which signs what it sends; or by a signature that the action is given for that URL and no other."""
    url, other = (f"{weed.url}/{BUCKET}/{name}" for name in ("plain", "other"))
    assert fetch(staged, url, *sandbox) == (200, b"plain")
    head = [
        "curl",
        "-sS",
        "--head",
        "-G",
        "--data-urlencode",
        f"url={url}",
        "--unix-socket",
        str(actions_socket(staged)),
    ]
    done = subprocess.run(
        [*sandbox, *head, "http://localhost/v1/fetch"], capture_output=True, check=True, timeout=20, text=True
    )
    assert done.stdout.startswith("HTTP/1.1 200")
    assert "content-length: 5" in done.stdout.lower()
    status, answer = ask(staged, url, *sandbox)
    assert status == 200
    headers: dict[str, list[str]] = json.loads(answer)["headers"]
    assert curl(url, headers) == (200, b"plain")
    assert curl(other, headers)[0] == 403
    assert (ask(staged, other, *sandbox)[0], fetch(staged, other, *sandbox)[0]) == (403, 403)


def test_it_is_explained_where_the_key_is(weed: Weed, staged: Stage) -> None:
    """And none of it is shown."""
    said = staged.credproxy("explain", f"{weed.url}/{BUCKET}/plain").stdout
    assert "aws:profile default" in said
    assert SECRET not in said


def test_a_key_that_amazons_library_finds_signs_as_well(weed: Weed, short_path: Path) -> None:
    """Here what a program of the user's prints: asked for once for all objects, in a process of its own."""
    with stage(short_path) as made:
        folder = made.home / ".aws"
        folder.mkdir()
        keys = {"Version": 1, "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET, "Expiration": "2099-01-01T00:00:00Z"}
        (folder / "keys").write_text(json.dumps(keys))
        (folder / "printer").write_text(f"#!/bin/sh\necho x >> {folder}/runs\ncat {folder}/keys\n")
        (folder / "printer").chmod(0o700)
        (folder / "config").write_text(f"[default]\ncredential_process = {folder}/printer\n")
        made.configure(f'[[host]]\nmatch = "{weed.host}"\nprovider = "s3"\n')
        made.start()
        for name in ("plain", "other"):
            url = f"{weed.url}/{BUCKET}/{name}"
            assert curl(url, made.headers(url)) == (200, name.encode())
        assert (folder / "runs").read_text() == "x\n"
        assert made.stop() == 0
        assert SECRET not in made.log()
