"""The counterparts behave as the other tests assume: real clients against real registries, without credproxy."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.real.clients import Ran, docker_auths, docker_config, find, run
from tests.real.conftest import OTHER, ROBOT
from tests.real.content import Image, digest
from tests.real.pki import Pki
from tests.real.registry import Registry
from tests.real.shell_helpers import BazelHelper, DockerHelper
from tests.real.token_server import TokenServer
from tests.real.tokens import LEEWAY, SERVICE, Signer, read_claims
from tests.real.wire import MANIFEST_TYPE, Wire, basic


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

SCOPE = "repository:team/app:pull"
PULL = [{"type": "repository", "name": "team/app", "actions": ["pull"]}]


def _token_url(server: TokenServer, *scopes: str) -> str:
    """The first flow's URL, built by hand."""
    return f"{server.realm}?service={SERVICE}" + "".join(f"&scope={quote(scope, safe='')}" for scope in scopes)


def _token(wire: Wire, server: TokenServer, *scopes: str, user: str = "robot", password: str = ROBOT.password) -> str:
    """A token as a client gets it."""
    reply = wire.get(_token_url(server, *scopes), basic(user, password))
    assert reply.status == 200, reply
    token = reply.json()["token"]
    assert isinstance(token, str)
    return token


class TestRegistryWithTokens:
    """Debian's docker-registry, `auth: token`."""

    def test_challenges_a_stranger_with_realm_and_service(
        self, registry: Registry, token_server: TokenServer, environment: dict[str, str]
    ) -> None:
        """A curl without a token sees 401 and where to get one."""
        done = run([find("curl"), "--silent", "--include", registry.url], env=environment)
        assert done.out.startswith("HTTP/2 401")
        challenge = f'www-authenticate: Bearer realm="{token_server.realm}",service="{SERVICE}"'
        assert challenge in done.out.splitlines()

    def test_serves_manifest_and_blob_to_curl_with_a_token(
        self, registry: Registry, token_server: TokenServer, pushed: Image, wire: Wire, environment: dict[str, str]
    ) -> None:
        """One token of the token server downloads both, and the digests are right."""
        header = f"Authorization: Bearer {_token(wire, token_server, SCOPE)}"
        output = Path(environment["HOME"]) / "download"
        for url, content in (
            (registry.manifest_url("team/app", "v1"), pushed.manifest),
            (registry.blob_url("team/app", digest(pushed.layer)), pushed.layer),
        ):
            accept = f"Accept: {MANIFEST_TYPE}"
            options = ["--silent", "--show-error", "--fail", "--output", str(output)]
            done = run([find("curl"), *options, "--header", header, "--header", accept, url], env=environment)
            assert done == Ran(0, "", "")
            assert digest(output.read_bytes()) == digest(content)

    def test_refuses_a_token_for_another_repository(
        self, registry: Registry, token_server: TokenServer, pushed: Image, wire: Wire
    ) -> None:
        """The challenge then says that the scope is insufficient, and which one is wanted."""
        token = _token(wire, token_server, "repository:public/app:pull", user="other", password=OTHER.password)
        assert wire.get(registry.manifest_url("public/app", "v1"), f"Bearer {token}").body == pushed.manifest
        refused = wire.get(registry.manifest_url("team/app", "v1"), f"Bearer {token}")
        assert refused.status == 401
        assert f'scope="{SCOPE}",error="insufficient_scope"' in refused.headers["WWW-Authenticate"]

    def test_refuses_a_token_whose_time_and_leeway_are_over(
        self, registry: Registry, token_server: TokenServer, pushed: Image, wire: Wire
    ) -> None:
        """The registry accepts a token for 60 s after its end, and then no longer."""
        leeway = int(LEEWAY.total_seconds())
        url = registry.manifest_url("team/app", "v1")
        late = token_server.signer.sign(PULL, lifetime=-leeway // 2)
        assert wire.get(url, f"Bearer {late}").body == pushed.manifest
        expired = token_server.signer.sign(PULL, lifetime=-leeway - 2)
        refused = wire.get(url, f"Bearer {expired}")
        assert refused.status == 401
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]

    def test_refuses_a_token_of_another_signer(
        self, registry: Registry, token_server: TokenServer, pushed: Image, wire: Wire, tmp_path: Path
    ) -> None:
        """The same claims are worthless under a key whose certificate the registry does not trust."""
        url = registry.manifest_url("team/app", "v1")
        assert wire.get(url, f"Bearer {token_server.signer.sign(PULL)}").body == pushed.manifest
        assert wire.get(url, f"Bearer {Signer(Pki(tmp_path)).sign(PULL)}").status == 401


class TestRegistryWithBasic:
    """Debian's docker-registry, `auth: htpasswd`."""

    def test_challenges_with_basic_and_serves_a_login(
        self, basic_registry: Registry, basic_pushed: Image, wire: Wire
    ) -> None:
        """No login and a wrong one see the challenge, the right one the image."""
        url = basic_registry.manifest_url("team/app", "v1")
        for authorization in (None, basic("robot", "wrong")):
            refused = wire.get(url, authorization)
            assert refused.status == 401
            assert refused.headers["WWW-Authenticate"] == 'Basic realm="registry.test"'
        assert wire.get(url, basic("robot", ROBOT.password)).body == basic_pushed.manifest


class TestTokenServer:
    """The token server's own behaviour, which no other test would notice."""

    def test_grants_the_part_that_is_allowed(self, token_server: TokenServer, wire: Wire) -> None:
        """Scopes come repeated, and what is not allowed is silently left out."""
        token = _token(wire, token_server, "repository:team/app:pull,push", "repository:secret/app:pull")
        assert read_claims(token)["access"] == PULL

    def test_serves_anonymous_callers_and_refuses_wrong_passwords(self, token_server: TokenServer, wire: Wire) -> None:
        """Like Docker Hub: anybody gets a token, a wrong password gets none."""
        anonymous = wire.get(_token_url(token_server, SCOPE, "repository:public/app:pull")).json()["access_token"]
        assert read_claims(str(anonymous))["access"] == [
            {"type": "repository", "name": "public/app", "actions": ["pull"]}
        ]
        for wrong in (basic("robot", "wrong"), basic("nobody", ""), "Basic !", "Bearer x"):
            assert wire.get(_token_url(token_server, SCOPE), wrong).status == 401

    def test_exchanges_an_identity_token(self, token_server: TokenServer, wire: Wire) -> None:
        """The second flow: POST, all scopes in one parameter."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": "robot-identity-token",
            "service": SERVICE,
            "client_id": "tests",
            "scope": f"{SCOPE} repository:secret/app:pull",
        }
        token = wire.post_form(token_server.realm, form).json()["access_token"]
        assert read_claims(str(token))["sub"] == "robot"
        assert read_claims(str(token))["access"] == PULL
        assert wire.post_form(token_server.realm, form | {"refresh_token": "unknown"}).status == 401
        assert wire.post_form(token_server.realm, form | {"grant_type": "password"}).status == 400

    def test_records_each_request(self, token_server: TokenServer, wire: Wire) -> None:
        """Method, parameters in order, and the Authorization header that came."""
        wire.get(_token_url(token_server, "a:b:c", "d:e:f"), basic("robot", "x"))
        wire.post_form(token_server.realm, {"grant_type": "refresh_token"})
        first, second = token_server.asked
        assert first.method == "GET"
        assert first.parameters == (("service", SERVICE), ("scope", "a:b:c"), ("scope", "d:e:f"))
        assert first.authorization == basic("robot", "x")
        assert second.method == "POST"
        assert second.authorization is None

    def test_says_how_long_a_token_lives(self, token_server: TokenServer, wire: Wire) -> None:
        """`expires_in` can be changed while it runs, and the token agrees."""
        token_server.expires_in = 6
        answer = wire.get(_token_url(token_server)).json()
        assert answer["expires_in"] == 6
        claims = read_claims(str(answer["token"]))
        assert isinstance(claims["exp"], int)
        assert isinstance(claims["iat"], int)
        assert claims["exp"] - claims["iat"] == 6

    def test_fails_and_stalls_when_told_to(self, token_server: TokenServer, wire: Wire) -> None:
        """Both end when the attribute is set back."""
        token_server.failure = 503
        assert wire.get(_token_url(token_server)).status == 503
        token_server.failure, token_server.stall = None, 0.3
        started = time.perf_counter()
        assert wire.get(_token_url(token_server)).status == 200
        assert time.perf_counter() - started >= 0.3

    def test_cuts_off_waiting_clients_when_stopped(self, token_server: TokenServer, wire: Wire) -> None:
        """A client sees its connection end, and stop() does not wait for the stall."""
        token_server.stall = 30
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wire.get, _token_url(token_server))
            while not token_server.asked:
                time.sleep(0.01)
            token_server.stop()
            with pytest.raises(ConnectionError):
                waiting.result(timeout=5)

    def test_comes_back_on_its_port(self, token_server: TokenServer, wire: Wire) -> None:
        """Between stop() and start() nothing listens."""
        url = _token_url(token_server)
        token_server.stop()
        token_server.stop()  # does nothing
        with pytest.raises(ConnectionRefusedError):
            wire.get(url)
        token_server.start()
        assert wire.get(url).status == 200


def _crane(registry: Registry, environment: dict[str, str]) -> Ran:
    return run([find("crane"), "manifest", f"{registry.authority}/team/app:v1"], env=environment)


def _regctl(registry: Registry, environment: dict[str, str]) -> Ran:
    name = f"{registry.authority}/team/app:v1"
    return run([find("regctl"), "manifest", "get", "--format", "raw-body", name], env=environment)


def _skopeo(registry: Registry, environment: dict[str, str]) -> Ran:
    auth_file = Path(environment["DOCKER_CONFIG"]) / "config.json"
    name = f"docker://{registry.authority}/team/app:v1"
    return run([find("skopeo"), "inspect", "--raw", "--authfile", auth_file, name], env=environment)


@pytest.mark.parametrize("client", [_crane, _regctl, _skopeo], ids=["crane", "regctl", "skopeo"])
class TestClients:
    """Other clients read a docker configuration and pull."""

    def test_pulls_with_a_login_from_the_docker_configuration(
        self,
        client: Callable[[Registry, dict[str, str]], Ran],
        registry: Registry,
        token_server: TokenServer,
        pushed: Image,
        environment: dict[str, str],
    ) -> None:
        """It exchanges the login for a token, and gets the manifest."""
        docker_config(environment, docker_auths(registry.authority, basic("robot", ROBOT.password)))
        done = client(registry, environment)
        assert done.code == 0, done
        assert done.out.encode() == pushed.manifest
        assert token_server.asked[-1].authorization == basic("robot", ROBOT.password)
        assert SCOPE in token_server.asked[-1].all("scope")

    def test_pulls_with_a_login_from_a_credential_helper(
        self,
        client: Callable[[Registry, dict[str, str]], Ran],
        registry: Registry,
        pushed: Image,
        docker_helper: DockerHelper,
        environment: dict[str, str],
    ) -> None:
        """`credHelpers` names the program on the PATH, which is asked for the bare host."""
        docker_helper.store(registry.authority, "robot", ROBOT.password)
        docker_config(environment, {"credHelpers": {registry.authority: "shelltest"}})
        environment["PATH"] = f"{docker_helper.folder}:{environment['PATH']}"
        done = client(registry, environment)
        assert done.code == 0, done
        assert done.out.encode() == pushed.manifest
        assert set(docker_helper.calls) == {f"get {registry.authority}"}

    def test_pulls_with_basic(
        self,
        client: Callable[[Registry, dict[str, str]], Ran],
        basic_registry: Registry,
        basic_pushed: Image,
        environment: dict[str, str],
    ) -> None:
        """If the registry wants Basic, the login is sent as it is."""
        docker_config(environment, docker_auths(basic_registry.authority, basic("robot", ROBOT.password)))
        done = client(basic_registry, environment)
        assert done.code == 0, done
        assert done.out.encode() == basic_pushed.manifest

    def test_fails_without_a_login(
        self,
        client: Callable[[Registry, dict[str, str]], Ran],
        registry: Registry,
        pushed: Image,
        environment: dict[str, str],
    ) -> None:
        """The repository is private: what the other tests see does come from the login."""
        assert pushed.manifest
        docker_config(environment, {})
        done = client(registry, environment)
        assert done.code != 0
        assert "unauthorized" in done.err.lower()


class TestMissing:
    """A missing program."""

    def test_skips_on_a_persons_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reason says what to install it with."""
        monkeypatch.delenv("CI", raising=False)
        with pytest.raises(pytest.skip.Exception, match="install with tools/install-counterparts"):
            find("no-such-program")

    def test_fails_in_ci(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is skipped silently where everything has to be installed."""
        monkeypatch.setenv("CI", "true")
        with pytest.raises(pytest.fail.Exception, match="no-such-program is missing"):
            find("no-such-program")


class TestHelpers:
    """The credential helpers that stand behind credproxy."""

    def test_the_docker_helper_speaks_the_protocol(
        self, docker_helper: DockerHelper, environment: dict[str, str]
    ) -> None:
        """`get` knows what was stored, quotes included, `list` names it, and the rest are the protocol's texts."""
        docker_helper.store("https://registry.test", "ro\\bot", 'se"cr\\et with spaces')
        docker_helper.store("other.test:5000", "<token>", "identity")
        found = run([docker_helper.program, "get"], env=environment, stdin="https://registry.test")
        assert json.loads(found.out) == {
            "ServerURL": "https://registry.test",
            "Username": "ro\\bot",
            "Secret": 'se"cr\\et with spaces',
        }
        listed = run([docker_helper.program, "list"], env=environment)
        assert json.loads(listed.out) == {"https://registry.test": "ro\\bot", "other.test:5000": "<token>"}
        unknown = run([docker_helper.program, "get"], env=environment, stdin="unknown.test\n")
        assert unknown == Ran(1, "credentials not found in native keychain\n", "")
        assert run([docker_helper.program, "get"], env=environment) == Ran(1, "no credentials server URL\n", "")
        assert run([docker_helper.program, "erase"], env=environment, stdin="https://registry.test").code == 0
        assert run([docker_helper.program, "get"], env=environment, stdin="https://registry.test").code == 1
        assert run([docker_helper.program, "unheard"], env=environment).code == 1

    def test_the_bazel_helper_answers_and_counts(self, bazel_helper: BazelHelper, environment: dict[str, str]) -> None:
        """It says what it was told to, and remembers each request."""
        request = '{"uri":"https://registry.test/v2/"}'
        first = run([bazel_helper.program, "get"], env=environment, stdin=request)
        assert json.loads(first.out) == {"headers": {"Authorization": ["Bearer from-the-shell"]}}
        bazel_helper.answer("Bearer later", "2030-01-01T00:00:00Z")
        second = run([bazel_helper.program, "get"], env=environment, stdin=request)
        assert json.loads(second.out) == {
            "headers": {"Authorization": ["Bearer later"]},
            "expires": "2030-01-01T00:00:00Z",
        }
        assert bazel_helper.calls == [request, request]
        assert run([bazel_helper.program], env=environment).code == 2

    def test_uv_is_a_bazel_helper_without_logins(self, environment: dict[str, str]) -> None:
        """With an empty HOME it answers that a URL needs no header."""
        options = ["--preview-features", "auth-helper", "auth", "helper", "--protocol=bazel", "get"]
        done = run([find("uv"), *options], env=environment, stdin='{"uri":"https://registry.test/simple/"}')
        assert done.code == 0, done
        assert json.loads(done.out) == {"headers": {}}
