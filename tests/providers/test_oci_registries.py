"""The registries of docs/design/exchanges.md#registries: what is unusual about each, and that it works."""

import base64
import json

import pytest
from structlog.testing import capture_logs

from credproxy.core.ask.credential import IdentityToken, Secret, UserPassword
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.oci import OciHost
from tests.fake_registries import Registries, authorization
from tests.registry_world import U_P, Answer, World, basic, ok, world


MANIFEST = "https://reg.test/v2/a/b/manifests/latest"
BOTH = IdentityToken(Secret("idt"), "u", Secret("p"))


def serve(made: World, *names: str, registry: str) -> None:
    """Put a registry behind these authorities."""
    for name in names:
        made.http.script[f"https://{name}/"] = [getattr(Registries(made.clock), registry)]
    for url in ("https://reg.test/v2/", "https://reg.test/token"):
        made.http.script.pop(url, None)


async def test_nvcr_is_pinged_cold_again_and_keeps_its_first_realm() -> None:
    """T-82: token and challenge expire; presenting the expired token would lead to a realm that refuses."""
    async with world(OciHost(match="nvcr.io", anonymous="pull"), stored=None) as w:
        serve(w, "nvcr.io", registry="nvcr")
        assert await w.ask("https://nvcr.io/v2/nvidia/cuda/manifests/x") == ok("A", 540)
        w.clock.suspend(3700)
        assert await w.ask("https://nvcr.io/v2/nvidia/cuda/manifests/x") == ok("A", 4240)
        cycle = ["GET /v2/", "GET /proxy_auth?scope=repository:nvidia/cuda:pull"]
        assert w.requests == cycle * 2
        assert not any(authorization(one) for one in w.http.requests)


async def test_docker_auth_names_no_lifetime() -> None:
    """Sixty seconds, and a 200 that grants nothing is not an error (TX-12)."""
    async with world(OciHost(match="reg.test", realm_hosts=("reg.test:5001",))) as w:
        serve(w, "reg.test", "reg.test:5001", registry="docker_auth")
        assert await w.ask(MANIFEST) == ok("t", 54)


@pytest.mark.parametrize(
    ("claims", "level", "note"),
    [
        ({"access": []}, "warning", "grants nothing of what was asked for"),
        ({"access": [{"type": "repository", "name": "a/b", "actions": ["pull"]}]}, "info", ""),
        (
            {"access": [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}]},
            "info",
            "grants more than was asked for: repository:a/b:push",
        ),
    ],
    ids=["docker hub", "as asked", "harbor"],
)
async def test_the_log_says_what_was_granted(claims: dict[str, object], level: str, note: str) -> None:
    """TX-12: docker hub always issues a token, harbor one for all rights of the login; the answer is still given."""
    token = ".".join(["e30", base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("="), "c2ln"])
    async with world() as w:
        w.script(token=w.granted(token))
        with capture_logs() as logs:
            assert await w.ask(MANIFEST) == ok(token, 270)
        (line,) = logs
        assert (line["event"], line["log_level"], line["note"]) == ("exchanged", level, note)


async def test_olareg_counts_in_nanoseconds() -> None:
    """More than thirty days is a mistake and means sixty seconds, not twelve hours; issued_at has nine digits."""
    async with world() as w:
        serve(w, "reg.test", registry="olareg")
        assert await w.ask(MANIFEST) == ok("t", 54)


async def test_olareg_refuses_a_bad_password_with_403() -> None:
    """It is the login's fault either way."""
    async with world(stored=UserPassword("u", Secret("wrong"))) as w:
        serve(w, "reg.test", registry="olareg")
        assert await w.refusal(MANIFEST) is Code.DENIED


async def test_keycloak_refuses_anonymous_requests_with_a_page() -> None:
    """The page is in no error (SEC-6)."""
    async with world(OciHost(match="reg.test", anonymous="pull"), stored=None) as w:
        serve(w, "reg.test", registry="keycloak")
        with pytest.raises(Failed) as caught:
            await w.ask(MANIFEST)
        assert caught.value.failure.code is Code.DENIED
        assert "SECRET" not in str(caught.value) + repr(caught.value.failure)


@pytest.mark.parametrize("stored", [U_P, BOTH], ids=["login", "identity token and login"])
async def test_gitlab_has_its_realm_elsewhere_and_no_post(stored: UserPassword | IdentityToken) -> None:
    """The built-in pair allows it, the GET follows the POST, and no lifetime means sixty seconds."""
    async with world(OciHost(match="registry.gitlab.com"), stored=stored) as w:
        serve(w, "registry.gitlab.com", "gitlab.com", registry="gitlab")
        assert await w.ask("https://registry.gitlab.com/v2/g/p/manifests/x") == ok("t", 54)


@pytest.mark.parametrize("stored", [U_P, BOTH], ids=["login", "identity token and login"])
async def test_artifactory_hides_its_challenge_and_refuses_post_with_401(stored: UserPassword | IdentityToken) -> None:
    """TX-3, TX-9, T-99 together."""
    async with world(stored=stored) as w:
        serve(w, "reg.test", "reg.test:443", registry="artifactory")
        assert await w.ask(MANIFEST) == ok("t", 3540)


async def test_ghcr_answers_403_to_a_bad_login_without_an_anonymous_retry() -> None:
    """P-12: the anonymous request would succeed, and the private image be "not found"."""
    async with world() as w:
        serve(w, "reg.test", registry="ghcr")
        assert await w.refusal(MANIFEST) is Code.DENIED
        assert all(authorization(one) == basic("u:p") for one in w.http.requests[1:])


async def test_acr_answers_access_token_alone() -> None:
    """TX-8, TX-14."""
    async with world() as w:
        serve(w, "reg.test", registry="acr")
        assert await w.ask(MANIFEST) == ok("t", 54)


async def test_zot_sends_an_empty_scope() -> None:
    """CH-7: the derived one is requested, once."""
    async with world() as w:
        serve(w, "reg.test", registry="zot")
        assert await w.ask(MANIFEST) == ok("t", 270)


async def test_an_answer_without_a_credential_is_not_an_error() -> None:
    """The fixture itself: an unknown host on the same daemon gets the empty answer."""
    async with world() as w:
        assert await w.ask("https://elsewhere.test/v2/a/manifests/x") == Answer(None, 60)
