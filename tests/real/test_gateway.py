"""The gateway between real counterparts.

On one side curl in a sandbox, crane, regctl and skopeo; on the other Debian's registry with tokens and with Basic, behind
nginx, redirecting to nginx, and a server that breaks off.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, stage
from tests.img_client import download_blob, download_manifest
from tests.real.breaking import BreakingRegistry
from tests.real.clients import Ran, find, run
from tests.real.conftest import PUSHER, ROBOT
from tests.real.content import Image, digest, image
from tests.real.nginx import Nginx, files, front
from tests.real.pki import Pki
from tests.real.registry import Registry, token_auth
from tests.real.shim import Shim
from tests.real.token_server import TokenServer
from tests.real.wire import basic


pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]

READ, EVERYTHING = '["blob:read", "manifest:read"]', '["*"]'
OCI_MANIFEST = "Accept: application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Answer:
    """What curl got: status, header fields in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> str:
        """Code and message of an OCI error, as clients print them."""
        error = json.loads(self.body)["errors"][0]
        return f"{error['code']}: {error['message']}"


@dataclass
class Gateway:
    """A daemon, and curl at its actions socket."""

    staged: Stage
    secrets: tuple[str, ...]

    @property
    def socket(self) -> Path:
        """Where actions ask."""
        return self.staged.home / "run" / "credproxy-actions" / "actions.sock"

    def get(self, authority: str, path: str, *options: str, around: tuple[str, ...] = ()) -> Answer:
        """Ask for a path of a registry; the answer must not hold a secret."""
        done = self.curl(authority, path, *options, around=around)
        assert done.returncode == 0, done.stderr
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        while b" 100 Continue" in head:
            head, _, body = body.partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        assert not [secret for secret in self.secrets if secret.encode() in done.stdout]
        assert "www-authenticate" not in headers
        return Answer(int(status.split()[1]), headers, body)

    def curl(
        self, authority: str, path: str, *options: str, around: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """Run curl, which may fail."""
        header = ("-H", f"X-Rules_img-Original-Host: {authority}")
        where = ("--path-as-is", "--unix-socket", str(self.socket), f"http://localhost{path}")
        argv = [*around, str(find("curl")), "-sS", "-i", *header, *options, *where]
        return subprocess.run(argv, capture_output=True, check=False, timeout=60, env={"PATH": "/usr/bin:/bin"})


def host(authority: str, pki: Pki, account: str = "robot", **keys: str) -> str:
    """A host rule with a login from the environment."""
    more = "".join(f"{name} = {value}\n" for name, value in keys.items())
    return (
        f'[[host]]\nmatch = "{authority}"\nprovider = "oci"\nca_bundle = "{pki.bundle}"\n'
        f'credentials = {{ source = "env", name = "{account.upper()}", username = "{account}" }}\n{more}'
    )


def allow(authority: str, repository: str = "team/**", operations: str = READ) -> str:
    """A rule for build actions."""
    return (
        f'[[actions.rule]]\naction = "allow"\nregistry = "{authority}"\nrepository = "{repository}"\n'
        f"operations = {operations}\n"
    )


@pytest.fixture
def gateway(short_path: Path) -> Iterator[Gateway]:
    """A home without a daemon yet; at the end the daemon's output must not hold a secret."""
    secrets = (
        ROBOT.password,
        PUSHER.password,
        basic("robot", ROBOT.password)[6:],
        basic("pusher", PUSHER.password)[6:],
    )
    with stage(short_path) as staged:
        made = Gateway(staged, secrets)
        yield made
        if staged.logs:
            staged.stop()
            assert not [secret for secret in secrets if secret in staged.log()]
            assert "Bearer ey" not in staged.log()


def start(gateway: Gateway, configuration: str) -> None:
    """Write the configuration and start the daemon."""
    gateway.staged.configure(configuration)
    gateway.staged.start(ROBOT=ROBOT.password, PUSHER=PUSHER.password)


def realm_hosts(token_server: TokenServer) -> str:
    """Pair the registry with its token server, which listens on another port."""
    return f'["{token_server.realm.split("/")[2]}"]'


@pytest.fixture
def served(gateway: Gateway, registry: Registry, token_server: TokenServer, pki: Pki) -> Gateway:
    """A daemon that may read ``team/**`` of the registry with tokens."""
    rule = host(registry.authority, pki, realm_hosts=realm_hosts(token_server))
    start(gateway, rule + allow(registry.authority))
    return gateway


def blob(content: bytes, repository: str = "team/app") -> str:
    """A blob's path."""
    return f"/v2/{repository}/blobs/{digest(content)}"


def test_a_layer_reaches_a_sandbox_without_a_network_and_without_a_rule_it_does_not(
    served: Gateway, registry: Registry, token_server: TokenServer, pushed: Image, sandbox: tuple[str, ...]
) -> None:
    """The case that upstream documentation calls impossible: no network, no secret, the digest is right."""
    answer = served.get(registry.authority, blob(pushed.layer), around=sandbox)
    assert (answer.status, digest(answer.body)) == (200, digest(pushed.layer))
    assert answer.headers["docker-content-digest"] == digest(pushed.layer)
    assert len(token_server.asked) == 1
    refused = served.get(registry.authority, blob(pushed.layer, "public/app"), around=sandbox)
    assert refused.status == 403
    command = f"credproxy actions allow '{registry.authority}/public/app'"
    assert command in refused.message
    done = served.staged.credproxy(*command.replace("'", "").split()[1:])
    assert done.returncode == 0, done.stderr
    assert served.staged.credproxy("reload").returncode == 0
    assert served.get(registry.authority, blob(pushed.layer, "public/app")).status == 403  # the registry's own refusal
    assert len([asked for asked in token_server.asked if "public/app" in str(asked.parameters)]) > 0


def test_img_downloads_a_lazy_layer(served: Gateway, registry: Registry, pushed: Image) -> None:
    """rules_img's own bytes: two requests on one connection, no pause; a refusal is final and reported at once."""
    done = download_blob(served.socket, registry.authority, "team/app", digest(pushed.layer))
    assert (done.error, done.content, len(done.requests), done.pauses) == ("", pushed.layer, 2, ())
    by_tag = download_manifest(served.socket, registry.authority, "team/app", "v1")
    assert (by_tag.error, by_tag.content) == ("", pushed.manifest)
    refused = download_blob(served.socket, registry.authority, "public/app", digest(pushed.layer))
    assert (refused.exit_status, refused.pauses) == (1, ())
    assert refused.error.startswith("DENIED: no rule allows build actions blob:read of 'public/app'")
    assert f"credproxy actions allow '{registry.authority}/public/app'" in refused.error


def test_what_is_asked_is_what_comes_back(served: Gateway, registry: Registry, pushed: Image) -> None:
    """Manifests by tag and digest, HEAD with its length, ranges, tags: as from the registry itself."""
    manifest = served.get(registry.authority, "/v2/team/app/manifests/v1", "-H", OCI_MANIFEST)
    assert (manifest.status, manifest.body) == (200, pushed.manifest)
    by_digest = f"/v2/team/app/manifests/{digest(pushed.manifest)}"
    head = served.get(registry.authority, by_digest, "-I", "-H", OCI_MANIFEST)
    assert (head.status, head.headers["content-length"]) == (200, str(len(pushed.manifest)))
    part = served.get(registry.authority, blob(pushed.layer), "-H", "Range: bytes=100-199")
    assert (part.status, part.body) == (206, pushed.layer[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(pushed.layer)}"
    beyond = served.get(registry.authority, blob(pushed.layer), "-H", "Range: bytes=99999999-")
    assert beyond.status == 416
    tags = served.get(registry.authority, "/v2/team/app/tags/list")
    assert json.loads(tags.body) == {"name": "team/app", "tags": ["v1"]}
    missing = served.get(registry.authority, f"/v2/team/app/blobs/sha256:{'0' * 64}")
    assert (missing.status, missing.message.partition(":")[0]) == (404, "BLOB_UNKNOWN")
    assert served.get(registry.authority, blob(pushed.layer), "-X", "DELETE").status == 403


def test_a_rejected_token_is_replaced_and_a_refused_login_is_reported_at_once(
    served: Gateway, registry: Registry, token_server: TokenServer, pushed: Image
) -> None:
    """It is dropped and fetched again; a refusal then is a 403 with cause and remedy, after one more exchange."""
    token_server.expires_in = -120  # the answer says 300 s, the registry's own clock says otherwise
    refused = served.get(registry.authority, blob(pushed.layer))
    assert refused.status in {403, 503}
    token_server.expires_in = 300
    served.staged.credproxy("flush")
    assert served.get(registry.authority, blob(pushed.layer)).status == 200
    before = len(token_server.asked)
    other = served.get(registry.authority, "/v2/team/secret/tags/list")
    assert other.status == 403
    assert "docker login" in other.message
    assert len(token_server.asked) - before <= 2


def test_a_registry_that_takes_basic_works_through_the_gateway_alone(
    gateway: Gateway, basic_registry: Registry, basic_pushed: Image, pki: Pki
) -> None:
    """No token could be narrowed: header mode refuses with "use the gateway", and there it works."""
    start(gateway, host(basic_registry.authority, pki) + allow(basic_registry.authority))
    url = f"https://{basic_registry.authority}{blob(basic_pushed.layer)}"
    ask = gateway.curl("", "/v1/get", "--data", json.dumps({"uri": url}))
    assert b"use_gateway" in ask.stdout
    answer = gateway.get(basic_registry.authority, blob(basic_pushed.layer))
    assert (answer.status, digest(answer.body)) == (200, digest(basic_pushed.layer))


def test_redirects_are_followed_inside_and_the_credential_stays_behind(
    gateway: Gateway, token_server: TokenServer, pki: Pki, tmp_path: Path
) -> None:
    """The storage host, another TLS origin, gets a request without Authorization; the client only sees bytes."""
    folder, made = tmp_path / "redirecting", image(300_000)
    (tmp_path / "redirecting").parent.mkdir(exist_ok=True)
    auth = token_auth(token_server.realm, pki)
    with (
        Nginx(find("nginx"), tmp_path / "storage", pki, files(folder / "storage")) as storage,
        Registry(find("docker-registry"), folder, pki, auth, redirect=f"https://{storage.authority}/") as registry,
    ):
        access = [{"type": "repository", "name": "team/app", "actions": ["pull", "push"]}]
        registry.push("team/app", "v1", made, authorization=f"Bearer {token_server.signer.sign(access)}")
        rule = host(registry.authority, pki, realm_hosts=realm_hosts(token_server), allow_private='["127.0.0.0/8"]')
        start(gateway, rule + allow(registry.authority))
        answer = gateway.get(registry.authority, blob(made.layer))
        assert (answer.status, digest(answer.body)) == (200, digest(made.layer))
        assert "location" not in answer.headers
        assert f"/sha256/{digest(made.layer)[7:9]}/" in storage.access()
        gateway.staged.configure(
            host(registry.authority, pki, realm_hosts=realm_hosts(token_server)) + allow(registry.authority)
        )
        assert gateway.staged.credproxy("reload").returncode == 0
        refused = gateway.get(registry.authority, blob(made.layer))
        assert refused.status == 403
        assert 'allow_private = ["127.0.0.1/32"]' in refused.message


@pytest.mark.parametrize("ranges", [True, False], ids=["with ranges", "without ranges"])
def test_three_breaks_within_one_blob_cost_the_client_nothing(gateway: Gateway, pki: Pki, *, ranges: bool) -> None:
    """U15: The digest is right; with ranges nothing is fetched twice."""
    content = image(3_000_000).layer
    with BreakingRegistry(pki, content, breaks=3, ranges=ranges) as registry:
        start(gateway, host(registry.authority, pki) + allow(registry.authority))
        answer = gateway.get(registry.authority, registry.path)
        assert (answer.status, digest(answer.body)) == (200, digest(content))
        assert len(registry.downloads) == 4
        resumed = [head for head in registry.downloads if b"\r\nRange: bytes=" in head]
        assert len(resumed) == 3
        assert all(b'\r\nIf-Range: "one"\r\n' in head for head in resumed)


BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
NO_SUCH_RANGE = b"HTTP/1.1 416 No\r\nContent-Range: bytes */10\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("instead", "ranges"),
    [
        pytest.param({2: BUSY}, True, id="a passing fault"),
        pytest.param({2: BUSY, 3: BUSY}, False, id="two of them, and no ranges"),
        pytest.param({2: NO_SUCH_RANGE}, True, id="a place that has moved"),
        pytest.param({}, True, id="another tag alone"),
    ],
)
def test_a_blob_is_completed_by_its_digest_whatever_the_registry_says_meanwhile(
    gateway: Gateway, pki: Pki, instead: dict[int, bytes], *, ranges: bool
) -> None:
    """Its tag is another one each time, and hints come before each answer: curl has the blob that was named (U15)."""
    content = image(3_000_000).layer
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    etag = (lambda number: f'"{number}"') if ranges else (lambda number: f'W/"{number}"')
    with BreakingRegistry(pki, content, breaks=1, etag=etag, ranges=ranges, instead=instead, hints=hints) as registry:
        start(gateway, host(registry.authority, pki) + allow(registry.authority))
        answer = gateway.get(registry.authority, registry.path)
        assert (answer.status, digest(answer.body)) == (200, digest(content))
        assert len(registry.downloads) <= 4


def test_a_blob_that_cannot_be_completed_is_never_a_clean_answer(gateway: Gateway, pki: Pki) -> None:
    """U15: A fourth break, another blob's bytes, more than was announced: curl fails in each case."""
    content = image(3_000_000).layer
    other = dict.fromkeys(range(2, 9), bytes(reversed(content)))
    for registry in (
        BreakingRegistry(pki, content, breaks=4),
        BreakingRegistry(pki, content, breaks=1, etag=lambda number: f'"{number}"', ranges=False, other=other),
        BreakingRegistry(pki, content, breaks=1, etag=lambda number: f'"{number}"', other=other),
        BreakingRegistry(pki, content, breaks=0, surplus=b"more"),
    ):
        with registry:
            start(gateway, host(registry.authority, pki) + allow(registry.authority))
            done = gateway.curl(registry.authority, registry.path)
            assert done.returncode in {18, 56}, done.stderr  # transfer closed with bytes remaining, or reset
            gateway.staged.stop()


@pytest.fixture
def pushing(
    gateway: Gateway, registry: Registry, token_server: TokenServer, pki: Pki, tmp_path: Path
) -> Iterator[tuple[Shim, dict[str, str]]]:
    """A daemon that may do everything in ``team/**``, a shim in front of it, and an environment for clients."""
    rule = host(registry.authority, pki, "pusher", realm_hosts=realm_hosts(token_server))
    start(gateway, rule + allow(registry.authority, operations=EVERYTHING))
    home = tmp_path / "client"
    (home / ".docker").mkdir(parents=True)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    with Shim(gateway.socket, registry.authority) as shim:
        yield shim, environment


def ran(argv: list[str | Path], environment: dict[str, str]) -> Ran:
    """Run a client, which must succeed."""
    done = run(argv, env=environment)
    assert done.code == 0, done.err
    return done


def test_crane_pulls_pushes_mounts_and_deletes(
    pushing: tuple[Shim, dict[str, str]], token_server: TokenServer, pushed: Image, tmp_path: Path
) -> None:
    """A client that does not know credproxy, through the shim; blobs are mounted and not sent."""
    shim, environment = pushing
    crane, here = find("crane"), f"{shim.authority}/team"
    ran([crane, "pull", f"{here}/app:v1", tmp_path / "image.tar"], environment)
    ran([crane, "push", tmp_path / "image.tar", f"{here}/pushed:v1"], environment)
    copied = ran([crane, "cp", f"{here}/app:v1", f"{here}/copy:v2"], environment)
    assert "mounted blob" in copied.err
    assert ran([crane, "digest", f"{here}/copy:v2"], environment).out.strip() == digest(pushed.manifest)
    ran([crane, "delete", f"{here}/copy@{digest(pushed.manifest)}"], environment)
    assert run([crane, "digest", f"{here}/copy:v2"], env=environment).code != 0
    scopes = {scope for asked in token_server.asked for scope in asked.all("scope")}
    assert "repository:team/copy:pull,push" in {part for scope in scopes for part in scope.split()}


@pytest.mark.parametrize("several", [1, 0], ids=["one scope", "no two scopes"])
def test_a_push_goes_on_where_the_token_server_gives_nothing_to_mount_from(
    pushing: tuple[Shim, dict[str, str]], token_server: TokenServer, pushed: Image, several: int
) -> None:
    """TX-22: it looks at one scope of two, or refuses both: crane asks to mount and uploads, and the image arrives."""
    shim, environment = pushing
    token_server.several = several
    crane, here = find("crane"), f"{shim.authority}/team"
    copied = ran([crane, "cp", f"{here}/app:v1", f"{here}/copy:v2"], environment)
    assert "mounted blob" not in copied.err
    assert ran([crane, "digest", f"{here}/copy:v2"], environment).out.strip() == digest(pushed.manifest)


def test_skopeo_and_regctl_copy_through_the_gateway(pushing: tuple[Shim, dict[str, str]], pushed: Image) -> None:
    """Both upload in chunks of their own, with the sessions of the gateway."""
    shim, environment = pushing
    here = f"{shim.authority}/team"
    insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    places = [f"docker://{here}/app:v1", f"docker://{here}/skopeo:v1"]
    ran([find("skopeo"), "--insecure-policy", "copy", *insecure, *places], environment)
    regctl = find("regctl")
    ran([regctl, "registry", "set", shim.authority, "--tls", "disabled"], environment)
    ran([regctl, "image", "copy", f"{here}/skopeo:v1", f"{here}/regctl:v1"], environment)
    digests = {ran([regctl, "image", "digest", f"{here}/{name}:v1"], environment).out for name in ("app", "regctl")}
    assert digests == {f"{digest(pushed.manifest)}\n"}


def test_a_registry_behind_nginx(
    gateway: Gateway, basic_registry: Registry, basic_pushed: Image, pki: Pki, tmp_path: Path
) -> None:
    """An operator's reverse proxy with its own TLS: pulling and a chunked upload, with rewritten locations."""
    with Nginx(find("nginx"), tmp_path / "front", pki, front(basic_registry.authority, pki)) as nginx:
        start(gateway, host(nginx.authority, pki) + allow(nginx.authority, operations=EVERYTHING))
        answer = gateway.get(nginx.authority, blob(basic_pushed.layer))
        assert (answer.status, digest(answer.body)) == (200, digest(basic_pushed.layer))
        content = image(200_000).layer
        begun = gateway.get(nginx.authority, "/v2/team/app/blobs/uploads/", "-X", "POST")
        assert begun.status == 202
        session = begun.headers["location"]
        assert session.startswith("/v2/team/app/blobs/uploads/")
        assert "?" not in session
        (tmp_path / "content").write_bytes(content)
        upload = ["-X", "PATCH", "-H", "Content-Type: application/octet-stream", "-T", str(tmp_path / "content")]
        sent = gateway.get(nginx.authority, session, *upload, "-H", "Transfer-Encoding: chunked")
        assert (sent.status, sent.headers["location"]) == (202, session)
        ended = gateway.get(nginx.authority, f"{session}?digest={digest(content)}", "-X", "PUT")
        assert (ended.status, ended.headers["location"]) == (201, blob(content))
        assert gateway.get(nginx.authority, blob(content)).body == content
        assert gateway.get(nginx.authority, f"{session}?digest={digest(content)}", "-X", "PUT").status == 404
