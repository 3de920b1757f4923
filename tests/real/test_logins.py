"""Logins that change without a file changing: in a store, or by the token server itself. Real programs, a real registry, the helper and the gateway."""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, stage
from tests.real.clients import find
from tests.real.conftest import ROBOT
from tests.real.content import Image, digest
from tests.real.nginx import Nginx
from tests.real.pki import Pki
from tests.real.registry import Registry, basic_auth
from tests.real.shell_helpers import DockerHelper
from tests.real.token_server import ROTATED, TokenServer
from tests.real.wire import basic


pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]

NEW = "a new password"
LAYER = b"a layer"


@pytest.fixture
def staged(short_path: Path) -> Iterator[Stage]:
    """A home without a daemon yet."""
    with stage(short_path) as made:
        yield made


def start(staged: Stage, registry: Registry | Nginx, pki: Pki, helper: DockerHelper, more: str = "") -> None:
    """Start a daemon whose login for a registry is the program's."""
    helper.replace(registry.authority, "robot", ROBOT.password)
    folder = staged.home / ".docker"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"credHelpers": {registry.authority: "shelltest"}}))
    staged.configure(f'[[host]]\nmatch = "{registry.authority}"\nprovider = "oci"\nca_bundle = "{pki.bundle}"\n{more}')
    staged.start(PATH=f"{helper.folder}:{staged.environ['PATH']}")


def allow(registry: Registry | Nginx) -> str:
    """Give the rule that lets build actions read."""
    return (
        f'[[actions.rule]]\naction = "allow"\nregistry = "{registry.authority}"\nrepository = "team/**"\n'
        'operations = ["blob:read"]\n'
    )


def get(staged: Stage, registry: Registry | Nginx, content: bytes) -> bytes:
    """Download a blob through the gateway; a refusal fails."""
    socket = staged.home / "run" / "credproxy-actions" / "actions.sock"
    url = f"http://localhost/v2/team/app/blobs/{digest(content)}"
    header = f"X-Rules_img-Original-Host: {registry.authority}"
    argv = [str(find("curl")), "-sS", "--fail", "--unix-socket", str(socket), url, "-H", header]
    return subprocess.run(argv, check=True, capture_output=True, timeout=30).stdout


def ecr(old: str, new: str) -> str:
    """Answer as ECR does: 401 without a login, 403 to one whose twelve hours are over."""
    denied = (
        '{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}'
    )
    return (
        f'location / {{ if ($http_authorization = "{new}") {{ return 200 "{LAYER.decode()}"; }} '
        f"if ($http_authorization = \"{old}\") {{ return 403 '{denied}'; }} "
        "add_header WWW-Authenticate 'Basic realm=\"ecr\"' always; return 401; }"
    )


def test_a_password_that_was_changed_in_its_store_is_used_at_once(
    staged: Stage, registry: Registry, token_server: TokenServer, docker_helper: DockerHelper, pki: Pki
) -> None:
    """The token server refuses the old one, the program is asked again, and Bazel gets its token."""
    place = token_server.realm.split("/")[2]
    start(staged, registry, pki, docker_helper, f'realm_hosts = ["{place}"]\n')
    staged.headers(f"https://{registry.authority}/v2/team/app/manifests/v1")
    token_server.accounts["robot"] = replace(ROBOT, password=NEW)
    docker_helper.replace(registry.authority, "robot", NEW)
    staged.headers(f"https://{registry.authority}/v2/team/other/manifests/v1")
    sent = [asked.authorization for asked in token_server.asked]
    assert sent == [basic("robot", ROBOT.password), basic("robot", ROBOT.password), basic("robot", NEW)]
    assert docker_helper.calls == [f"get {registry.authority}"] * 2
    assert NEW not in staged.log()


def test_a_basic_login_that_was_changed_in_its_store_is_used_at_once_by_the_gateway(
    staged: Stage, basic_registry: Registry, basic_pushed: Image, docker_helper: DockerHelper, pki: Pki, tmp_path: Path
) -> None:
    """The registry refuses the old one with 401; within the same request the new one is sent."""
    start(staged, basic_registry, pki, docker_helper, allow(basic_registry))
    assert digest(get(staged, basic_registry, basic_pushed.layer)) == digest(basic_pushed.layer)
    basic_auth(tmp_path / "htpasswd", {"robot": NEW})
    docker_helper.replace(basic_registry.authority, "robot", NEW)
    for _ in range(3):
        assert digest(get(staged, basic_registry, basic_pushed.layer)) == digest(basic_pushed.layer)
    assert docker_helper.calls == [f"get {basic_registry.authority}"] * 2
    assert NEW not in staged.log()


def test_a_login_that_ran_out_as_ecr_says_it_is_replaced_within_the_request(
    staged: Stage, docker_helper: DockerHelper, pki: Pki, tmp_path: Path
) -> None:
    """403 to Basic: the program has a new password already, and the build does not notice the refusal."""
    answers = ecr(basic("robot", ROBOT.password), basic("robot", NEW))
    with Nginx(find("nginx"), tmp_path / "ecr", pki, answers) as registry:
        start(staged, registry, pki, docker_helper, allow(registry))
        # The old login into the daemon's memory, and only then the new one into the store.
        staged.headers(f"https://{registry.authority}/v2/team/app/manifests/v1")
        docker_helper.replace(registry.authority, "robot", NEW)
        assert get(staged, registry, LAYER) == LAYER
        assert docker_helper.calls == [f"get {registry.authority}"] * 2
        assert " 403 " in registry.access()


def test_a_rotated_refresh_token_is_spent_once_each_and_survives_a_reload(
    staged: Stage, registry: Registry, token_server: TokenServer, docker_helper: DockerHelper, pki: Pki
) -> None:
    """Twenty images at once, a reload, another one: a token server that takes each refresh token once never objects."""
    place = token_server.realm.split("/")[2]
    start(staged, registry, pki, docker_helper, f'realm_hosts = ["{place}"]\n')
    assert ROBOT.identity_token is not None
    docker_helper.replace(registry.authority, "<token>", ROBOT.identity_token)
    token_server.rotates = True
    uris = [f"https://{registry.authority}/v2/team/app{number}/manifests/v1" for number in range(21)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(staged.headers, uris[:20]))
    assert staged.credproxy("reload").returncode == 0
    assert staged.headers(uris[20])
    spent = [asked.all("refresh_token")[0] for asked in token_server.asked]
    assert len(spent) == len(set(spent)) == 21
    assert ROTATED not in staged.log()


def test_what_a_program_printed_is_handed_out_with_an_end(
    staged: Stage, basic_registry: Registry, basic_pushed: Image, docker_helper: DockerHelper, pki: Pki
) -> None:
    """``docker-credential-gcr`` prints tokens of 300 s: Bazel must not keep one for its half an hour."""
    del basic_pushed
    start(staged, basic_registry, pki, docker_helper)
    done = staged.helper(f"https://{basic_registry.authority}/v2/team/app/manifests/v1")
    answer = json.loads(done.stdout)
    assert answer["headers"]["Authorization"] == [basic("robot", ROBOT.password)]
    left = datetime.fromisoformat(answer["expires"]).timestamp() - time.time()  # noqa: TID251  a real answer
    assert 200 < left <= 240
