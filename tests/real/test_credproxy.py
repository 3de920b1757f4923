"""credproxy between real counterparts: Debian's registry over TLS, curl, crane, regctl, skopeo, uv, helpers in shell."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import bazel_parser
from tests.e2e.stage import BIN, Stage, stage
from tests.real.clients import docker_config, find, run
from tests.real.conftest import ROBOT
from tests.real.content import Image, digest
from tests.real.pki import Pki
from tests.real.registry import Registry
from tests.real.shell_helpers import BazelHelper, DockerHelper
from tests.real.token_server import TokenServer
from tests.real.tokens import read_claims
from tests.real.wire import basic


pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]

OCI_MANIFEST = "Accept: application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def staged(short_path: Path) -> Iterator[Stage]:
    """A home without a daemon yet."""
    with stage(short_path) as made:
        yield made


def rule(registry: Registry, pki: Pki, **keys: str) -> str:
    """Give the host rule of a registry, its password in the environment."""
    more = "".join(f"{name} = {value}\n" for name, value in keys.items())
    return (
        f'[[host]]\nmatch = "{registry.authority}"\nprovider = "oci"\nca_bundle = "{pki.bundle}"\n'
        f'credentials = {{ source = "env", name = "ROBOT", username = "robot" }}\n{more}'
    )


def realm_hosts(token_server: TokenServer) -> str:
    """Give the key that pairs the registry with its token server, which listens on another port."""
    return f'["{token_server.realm.split("/")[2]}"]'


@pytest.fixture
def serving(staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki) -> Stage:
    """A daemon for the registry with token authentication."""
    staged.configure(rule(registry, pki, realm_hosts=realm_hosts(token_server)))
    staged.start(ROBOT=ROBOT.password)
    return staged


def curl(pki: Pki, url: str, *headers: str) -> bytes:
    """Download with plain ``curl -H``."""
    named = [part for header in headers for part in ("-H", header)]
    argv = [str(find("curl")), "-sS", "--fail", "--cacert", str(pki.bundle), *named, url]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def bearer(staged: Stage, url: str) -> str:
    """Ask the helper; give the header as curl wants it."""
    return f"Authorization: {staged.headers(url)['Authorization'][0]}"


def test_helper_answers_download_manifest_and_blobs_with_plain_curl(
    serving: Stage, registry: Registry, token_server: TokenServer, pushed: Image, pki: Pki
) -> None:
    """The main job on a real registry over TLS: one exchange, every file of the image, digests right."""
    url = registry.manifest_url("team/app", "v1")
    assert curl(pki, url, bearer(serving, url), OCI_MANIFEST) == pushed.manifest
    for blob in (pushed.config, pushed.layer):
        url = registry.blob_url("team/app", digest(blob))
        content = curl(pki, url, bearer(serving, url))
        assert digest(content) == digest(blob)
    assert len(token_server.asked) == 1
    assert token_server.asked[0].authorization == basic("robot", ROBOT.password)


def test_a_thousand_blobs_through_the_helper_cost_one_exchange(
    serving: Stage, registry: Registry, token_server: TokenServer
) -> None:
    """Here two hundred, eight at a time as Bazel does; the bench has the thousand."""
    urls = [registry.blob_url("team/app", f"sha256:{n:064x}") for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = {json.dumps(answer) for answer in pool.map(serving.headers, urls)}
    assert len(answers) == 1
    assert len(token_server.asked) == 1


def test_a_token_is_replaced_before_it_expires_while_a_loop_sees_no_failure(
    serving: Stage, registry: Registry, token_server: TokenServer, pushed: Image
) -> None:
    """Tokens of 12 s, until the first would have expired: the token in hand is alive at every moment, by its own ``exp``."""
    token_server.expires_in = 12
    url = registry.blob_url("team/app", digest(pushed.layer))
    end = time.perf_counter() + 13
    tokens = set()
    while time.perf_counter() < end:
        token = serving.headers(url)["Authorization"][0].removeprefix("Bearer ")
        expires = read_claims(token)["exp"]
        assert isinstance(expires, int)
        assert expires > time.time()  # noqa: TID251  a real token on a real clock
        tokens.add(token)
        time.sleep(0.25)
    assert 2 <= len(tokens) <= 4


def test_stopping_the_token_server_does_not_break_valid_answers(
    serving: Stage, registry: Registry, token_server: TokenServer, pushed: Image, pki: Pki
) -> None:
    """Cached answers still work; others get a clear error; the server's return is noticed."""
    url = registry.blob_url("team/app", digest(pushed.layer))
    serving.headers(url)
    token_server.stop()
    assert digest(curl(pki, url, bearer(serving, url))) == digest(pushed.layer)
    other = registry.blob_url("team/other", digest(pushed.layer))
    done = serving.helper(other, CREDPROXY_TIMEOUT="4")
    assert done.returncode == 1
    assert "token server 'localhost" in done.stderr
    assert "connection refused" in done.stderr
    token_server.start()
    end = time.perf_counter() + 20
    while serving.helper(other).returncode != 0:
        assert time.perf_counter() < end
        time.sleep(0.5)


def test_fifty_helpers_at_once_on_a_cold_cache_cost_one_exchange(
    serving: Stage, registry: Registry, token_server: TokenServer
) -> None:
    """And the registry's log shows one ping."""
    urls = [registry.blob_url("team/app", f"sha256:{n:064x}") for n in range(50)]
    with ThreadPoolExecutor(50) as pool:
        assert len({json.dumps(answer) for answer in pool.map(serving.headers, urls)}) == 1
    assert len(token_server.asked) == 1
    pings = [line for line in registry.log.read_text().splitlines() if '"GET /v2/ HTTP' in line and "credproxy" in line]
    assert len(pings) == 1


def test_a_wrong_password_is_named_and_nothing_goes_anonymously(
    staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki
) -> None:
    """U4, P-12."""
    staged.configure(rule(registry, pki, realm_hosts=realm_hosts(token_server)))
    staged.start(ROBOT="canary-wrong")
    done = staged.helper(registry.manifest_url("team/app", "v1"))
    assert done.returncode == 1
    assert "refused the login from env:ROBOT" in done.stderr
    assert "canary" not in done.stderr + staged.log()
    assert [one.authorization for one in token_server.asked] == [basic("robot", "canary-wrong")]


def test_an_unpaired_token_server_sees_nothing(
    staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki
) -> None:
    """SEC-R: the real registry names another origin, and the error has the line that would allow it."""
    staged.configure(rule(registry, pki))
    staged.start(ROBOT=ROBOT.password)
    done = staged.helper(registry.manifest_url("team/app", "v1"))
    assert done.returncode == 1
    assert f"realm_hosts = {realm_hosts(token_server)}" in done.stderr
    assert token_server.asked == []


def test_an_untrusted_certificate_is_an_error(
    staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki
) -> None:
    """T32: no fallback; the error names the key to set."""
    staged.configure(rule(registry, pki).replace(f'ca_bundle = "{pki.bundle}"\n', ""))
    staged.start(ROBOT=ROBOT.password)
    done = staged.helper(registry.manifest_url("team/app", "v1"))
    assert done.returncode == 1
    assert "TLS connection to registry" in done.stderr
    assert "ca_bundle" in done.stderr
    assert token_server.asked == []


def test_an_identity_token_is_exchanged(
    staged: Stage, registry: Registry, token_server: TokenServer, pushed: Image, pki: Pki
) -> None:
    """By POST, as docker stores it: user ``<token>``."""
    text = rule(registry, pki, realm_hosts=realm_hosts(token_server)).replace('"robot"', '"<token>"')
    staged.configure(text)
    staged.start(ROBOT=ROBOT.identity_token or "")
    url = registry.blob_url("team/app", digest(pushed.layer))
    assert digest(curl(pki, url, bearer(staged, url))) == digest(pushed.layer)
    assert token_server.asked[0].method == "POST"


def test_a_registry_that_takes_only_basic(
    staged: Stage, basic_registry: Registry, basic_pushed: Image, pki: Pki
) -> None:
    """htpasswd: the answer is Basic, without ``expires``."""
    staged.configure(rule(basic_registry, pki))
    staged.start(ROBOT=ROBOT.password)
    url = basic_registry.blob_url("team/app", digest(basic_pushed.layer))
    done = staged.helper(url)
    answer = bazel_parser.parse(done.stdout.encode())
    assert (answer.headers["Authorization"], answer.expires_epoch) == ([basic("robot", ROBOT.password)], None)
    assert digest(curl(pki, url, bearer(staged, url))) == digest(basic_pushed.layer)


def test_the_login_comes_from_a_real_credential_program(
    staged: Stage,
    registry: Registry,
    token_server: TokenServer,
    pushed: Image,
    docker_helper: DockerHelper,
    pki: Pki,
) -> None:
    """``credHelpers`` of a docker configuration: run once for many questions."""
    docker_helper.store(registry.authority, "robot", ROBOT.password)
    folder = staged.home / ".docker"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"credHelpers": {registry.authority: "shelltest"}}))
    text = rule(registry, pki, realm_hosts=realm_hosts(token_server))
    staged.configure(
        text.replace('{ source = "env", name = "ROBOT", username = "robot" }', '{ source = "docker-config" }')
    )
    staged.start(PATH=f"{docker_helper.folder}:{staged.environ['PATH']}")
    url = registry.blob_url("team/app", digest(pushed.layer))
    for _ in range(3):
        assert digest(curl(pki, url, bearer(staged, url))) == digest(pushed.layer)
    assert docker_helper.calls == [f"get {registry.authority}"]


def crane(authority: str, environment: dict[str, str]) -> list[str]:
    """Give crane's command line for the manifest."""
    del environment
    return [str(find("crane")), "manifest", f"{authority}/team/app:v1"]


def regctl(authority: str, environment: dict[str, str]) -> list[str]:
    """Give regctl's command line for the manifest."""
    del environment
    return [str(find("regctl")), "manifest", "get", "--format", "raw-body", f"{authority}/team/app:v1"]


def skopeo(authority: str, environment: dict[str, str]) -> list[str]:
    """Give skopeo's command line for the manifest."""
    auth_file = f"{environment['DOCKER_CONFIG']}/config.json"
    return [str(find("skopeo")), "inspect", "--raw", "--authfile", auth_file, f"docker://{authority}/team/app:v1"]


@pytest.mark.parametrize("client", [crane, regctl, skopeo])
def test_docker_side_clients_pull_through_docker_credential_credproxy(
    client: Callable[[str, dict[str, str]], list[str]],
    serving: Stage,
    registry: Registry,
    token_server: TokenServer,
    pushed: Image,
    environment: dict[str, str],
) -> None:
    """They get the stored login and exchange it themselves."""
    docker_config(environment, {"credHelpers": {registry.authority: "credproxy"}})
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    environment["CREDPROXY_SOCKET"] = str(serving.socket)
    done = run(client(registry.authority, environment), env=environment)
    assert done.code == 0, done
    assert done.out.encode() == pushed.manifest
    assert token_server.asked[-1].authorization == basic("robot", ROBOT.password)


def test_a_bazel_helper_in_shell_behind_the_daemon(staged: Stage, bazel_helper: BazelHelper) -> None:
    """Started once per URI, and its header arrives."""
    staged.configure(f'[[host]]\nmatch = "*.corp.example"\nprovider = "exec"\ncommand = ["{bazel_helper.program}"]\n')
    staged.start()
    for _ in range(3):
        assert staged.headers("https://a.corp.example/x?y=1&z='2'") == {"Authorization": ["Bearer from-the-shell"]}
    assert [json.loads(call)["uri"] for call in bazel_helper.calls] == ["https://a.corp.example/x?y=1&z='2'"]


def test_uv_as_a_bazel_helper_behind_the_daemon(staged: Stage) -> None:
    """A third-party helper: it has no credential, and that is an answer; it does not support a bare host."""
    staged.configure(
        '[[host]]\nmatch = "pypi.example"\nprovider = "exec"\n'
        f'command = ["{find("uv")}", "--preview-features", "auth-helper", "auth", "helper", "--protocol=bazel"]\n'
    )
    staged.start()
    assert staged.headers("https://pypi.example/simple/x/") == {}
    done = staged.helper("pypi.example")
    assert done.returncode == 1
    assert "helper 'uv' ended with status 2" in done.stderr


def _asked(staged: Stage, uri: str) -> int:
    """Ask on the helper socket, as the helper does, without a process for each question; give the status."""
    body = json.dumps({"uri": uri}).encode()
    with socket.socket(socket.AF_UNIX) as talk:
        talk.settimeout(20)
        talk.connect(str(staged.socket))
        head = f"POST /v1/get HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        talk.sendall(head.encode() + body)
        return int(talk.recv(65536).split()[1])


def test_a_token_server_that_is_away_for_five_seconds_costs_no_call(
    serving: Stage, registry: Registry, token_server: TokenServer
) -> None:
    """Two hundred cold questions while it is down; each causes one request when it is back."""
    token_server.stop()
    with ThreadPoolExecutor(200) as pool:
        asking = [
            pool.submit(_asked, serving, registry.manifest_url(f"public/r{number}", "v1")) for number in range(200)
        ]
        time.sleep(5)
        token_server.start()
        assert [one.result() for one in asking] == [200] * 200
    assert 200 <= len(token_server.asked) <= 210


def test_a_token_server_that_is_restarted_under_load_costs_one_question_two_seconds(
    serving: Stage, registry: Registry, token_server: TokenServer
) -> None:
    """503 from the proxy in front of it for two seconds, and one cold call of the helper: few requests, no failure."""
    token_server.failure = 503
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(serving.headers, registry.manifest_url("team/app", "v1"))
        time.sleep(2)
        token_server.failure = None
        assert asking.result()["Authorization"][0].startswith("Bearer ")
    assert len(token_server.asked) <= 8
