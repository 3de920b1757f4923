"""The identity token of a CI job: where each platform has it, its audience, and what a job without one lacks."""

import base64
import json
from collections.abc import Mapping

import msgspec
import pytest

from credproxy.core.ask.credential import Identity, reveal, secret_of
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.login import Login
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.sources.ci_oidc import CiOidcSource
from credproxy.core.ownership import Exposure
from credproxy.ports.processes import Command, Completed
from credproxy.sources.ci_oidc import CiOidc
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import T0, FakeClock, FakeFiles, FakeHttp, FakeProcesses
from tests.hints import filled


TARGET = parse_uri("https://cache.test/x")
AUDIENCE = "https://vault.test"
PATH = "/var/run/secrets/tokens/vault"
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://actions.test/t?v=2",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": CANARY,
}


def token(*, aud: object = AUDIENCE, left: float = 300, mark: str = "sig") -> str:
    """A JWT; ``mark`` takes the place of its signature."""
    body = base64.urlsafe_b64encode(json.dumps({"aud": aud, "exp": T0 + left}).encode()).decode().rstrip("=")
    return f"e30.{body}.{mark}"


def settings(**options: str) -> CiOidcSource:
    """A source, as a file would have it."""
    return msgspec.convert({"source": "ci-oidc", "audience": AUDIENCE, **options}, CiOidcSource)


class Job:
    """A daemon in a job."""

    def __init__(self, environ: Mapping[str, str], **options: str) -> None:
        self.clock, self.files, self.processes = FakeClock(), FakeFiles(), FakeProcesses()
        self.http = FakeHttp(script={"https://actions.test/t": [self._gives]}, clock=self.clock)
        self.gives = token(mark="1")
        self.source = CiOidc(
            settings(**options),
            environ,
            files=self.files,
            processes=self.processes,
            http=self.http,
            clock=self.clock,
            key=lambda: b"k",
        )

    def _gives(self, request: Request) -> Response:
        """What GitHub answers."""
        del request
        body = json.dumps({"value": self.gives}).encode()
        return Response(200, (), body, self.clock.boot(), self.clock.wall())

    def installed(self, program: str, stdout: str, status: int = 0) -> None:
        """A program is there, and prints this."""

        def run(command: Command) -> Completed:
            del command
            return Completed(status, stdout.encode(), "it is not a job")

        self.processes.programs[program] = run

    async def login(self, *, anew: bool = False) -> Login | None:
        """What would be given."""
        identity = await self.source.locate(TARGET, None)
        return None if identity is None else await self.source.read(identity, TARGET, anew=anew)

    async def given(self, *, anew: bool = False) -> str | None:
        """The token."""
        login = await self.login(anew=anew)
        return None if login is None else secret_of(login.stored).reveal()

    async def failure(self) -> Failure:
        """Why there is none."""
        with pytest.raises(Failed) as caught:
            await self.login()
        return caught.value.failure


async def test_github_is_asked_for_the_audience_and_again_before_the_end() -> None:
    """Its token lives for five minutes, and a job for hours."""
    job = Job(GITHUB)
    assert await job.given() == token(mark="1")
    assert await job.given() == token(mark="1")
    (asked,) = job.http.requests
    assert asked.url == "https://actions.test/t?v=2&audience=https%3A%2F%2Fvault.test"
    assert f"Bearer {CANARY}" in [reveal(value) for _, value in asked.headers]
    job.gives = token(mark="2", left=600)
    job.clock.suspend(250)
    assert await job.given() == token(mark="2", left=600)


async def test_a_new_token_of_github_is_another_identity() -> None:
    """Otherwise tokens from the old one would be served (P-1)."""
    job = Job(GITHUB)
    await job.login()
    before = await job.source.locate(TARGET, None)
    job.gives = token(mark="2")
    job.clock.suspend(20)
    await job.given(anew=True)
    assert await job.source.locate(TARGET, None) != before


@pytest.mark.parametrize("missing", ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
async def test_a_job_of_github_without_the_permission_says_so(missing: str) -> None:
    """GitHub sets both variables for jobs with ``id-token: write`` and for no other."""
    failure = await Job({name: value for name, value in GITHUB.items() if name != missing}).failure()
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert "ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN are not both set" in failure.message
    filled(failure.hint, "add to the job: permissions: {id-token: write}; and start the daemon in one of its steps")
    assert await Job(GITHUB).given()


@pytest.mark.parametrize("url", ["http://actions.test/t?v=2", "nonsense"])
async def test_the_jobs_token_does_not_leave_the_machine_in_plain_http(url: str) -> None:
    """What the job may ask with would be read on the way."""
    job = Job(GITHUB | {"ACTIONS_ID_TOKEN_REQUEST_URL": url})
    failure = await job.failure()
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert failure.message.startswith("the variable 'ACTIONS_ID_TOKEN_REQUEST_URL' ")
    (name,) = filled(failure.hint, "{} is set by the runner: start the daemon in a step of the job, as it is set there")
    assert name == "ACTIONS_ID_TOKEN_REQUEST_URL"
    assert job.http.requests == []
    own = Job(GITHUB | {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1/t"})
    assert await own.source.locate(TARGET, None) is not None


async def test_gitlab_has_it_in_the_variable_that_the_rule_names() -> None:
    """``id_tokens`` of its job."""
    assert await Job({"VAULT_ID": token()}, variable="VAULT_ID").given() == token()


async def test_a_job_of_gitlab_lacks_a_name_or_the_variable() -> None:
    """And the hint has the lines to add, on either side."""
    unnamed = await Job({"GITLAB_CI": "true"}).failure()
    filled(unnamed.hint, 'name the variable of the job\'s id_tokens: variable = "NAME"')
    unset = await Job({"GITLAB_CI": "true"}, variable="VAULT_ID").failure()
    assert "'VAULT_ID' is not set" in unset.message
    name, audience = filled(unset.hint, "add to the job: id_tokens: {{}: {aud: {}}}")
    assert await Job({"GITLAB_CI": "true", name: token(aud=audience)}, variable=name).given()


async def test_circleci_has_it_in_its_variable_or_makes_one_for_another_audience() -> None:
    """By its own program; the variable is for the organisation, if no other audience is requested."""
    given = Job({"CIRCLECI": "true", "CIRCLE_OIDC_TOKEN_V2": token()})
    assert await given.given() == token()
    other = Job({"CIRCLECI": "true", "CIRCLE_OIDC_TOKEN_V2": token(aud="org"), "CIRCLE_X": "1", "HOME": "/h"})
    other.installed("circleci", token(mark="made") + "\n")
    assert await other.given() == token(mark="made")
    run = other.processes.runs[0]
    assert run.argv == ("circleci", "run", "oidc", "get", "--claims", f'{{"aud":"{AUDIENCE}"}}')
    assert set(run.pass_env) == {"CIRCLECI", "CIRCLE_OIDC_TOKEN_V2", "CIRCLE_X"}


async def test_buildkite_is_asked_by_its_agent() -> None:
    """Which finds the job in variables of its own."""
    job = Job({"BUILDKITE": "true", "BUILDKITE_AGENT_ACCESS_TOKEN": "t", "OTHER": "o"})
    job.installed("buildkite-agent", token() + "\n")
    assert await job.given() == token()
    assert job.processes.runs[0].argv == ("buildkite-agent", "oidc", "request-token", "--audience", AUDIENCE)
    assert job.processes.runs[0].pass_env == ("BUILDKITE_AGENT_ACCESS_TOKEN",)


async def test_an_agent_that_fails_or_is_not_there_is_an_error_with_the_command() -> None:
    """So that the user can run it by hand."""
    job = Job({"BUILDKITE": "true"})
    absent = await job.failure()
    assert absent.code is Code.HELPER_NOT_RUNNABLE
    assert "put buildkite-agent on PATH" in absent.hint
    job.installed("buildkite-agent", "", status=1)
    failure = await job.failure()
    assert failure.code is Code.HELPER_FAILED
    assert "it is not a job" in failure.message
    assert failure.hint.startswith("buildkite-agent oidc request-token")


async def test_the_file_of_kubernetes_is_read_again_when_it_changes() -> None:
    """The kubelet rewrites it at 80 % of its lifetime."""
    job = Job({}, path=PATH)
    job.files.put(PATH, token(mark="1"))
    before = await job.source.locate(TARGET, None)
    assert await job.given() == token(mark="1")
    job.files.put(PATH, token(mark="2"))
    assert await job.given() == token(mark="2")
    assert await job.source.locate(TARGET, None) != before


async def test_a_file_that_others_could_write_is_not_trusted() -> None:
    """Anybody who writes it chooses the daemon's identity."""
    job = Job({}, path=PATH)
    job.files.put(PATH, token())
    job.files.exposed[PATH] = (Exposure("could be replaced by others", "chmod go-w it"),)
    failure = await job.failure()
    assert (failure.hint, "is not trusted" in failure.message) == ("chmod go-w it", True)


@pytest.mark.parametrize(
    ("environ", "options", "says"),
    [
        ({}, {}, "none of ACTIONS_ID_TOKEN_REQUEST_URL, GITHUB_ACTIONS, GITLAB_CI, CIRCLECI, BUILDKITE is set"),
        ({"CIRCLECI": "true"}, {"platform": "github"}, "not run in a job of github: GITHUB_ACTIONS is not true"),
        ({}, {"variable": "VAULT_ID"}, "the variable 'VAULT_ID' is not set"),
        ({}, {"path": PATH}, f"the file '{PATH}' is not there"),
    ],
)
async def test_outside_of_a_job_it_says_where_it_looked(
    environ: dict[str, str], options: dict[str, str], says: str
) -> None:
    """And the next source is asked: a laptop has another login."""
    job = Job(environ, **options)
    assert await job.login() is None
    assert says in " ".join(job.source.looked(TARGET))


@pytest.mark.parametrize(
    ("environ", "options", "hint"),
    [
        ({"VAULT_ID": token(left=-60)}, {"variable": "VAULT_ID"}, "raise that, or use the token earlier"),
        ({"CIRCLECI": "true", "CIRCLE_OIDC_TOKEN_V2": token(left=-60)}, {}, "to last for an hour"),
    ],
)
async def test_the_error_for_an_expired_token_says_how_to_get_another(
    environ: dict[str, str], options: dict[str, str], hint: str
) -> None:
    """A token that the job was given once is not renewed."""
    failure = await Job(environ, **options).failure()
    assert "holds a token that expired 60 s ago" in failure.message
    assert hint in failure.hint


async def test_a_file_that_is_over_points_to_the_kubelet() -> None:
    """Which should have replaced it."""
    job = Job({}, path=PATH)
    job.files.put(PATH, token(left=-60))
    assert "kubelet" in (await job.failure()).hint


@pytest.mark.parametrize("aud", ["sigstore", ["a", "b"]])
async def test_a_token_for_another_audience_is_not_given(aud: object) -> None:
    """Its receiver could use it there."""
    failure = await Job({"VAULT_ID": token(aud=aud)}, variable="VAULT_ID").failure()
    assert "holds a token for 'sigstore'" in failure.message or "for 'a' and 'b'" in failure.message
    (wanted,) = filled(failure.hint, "make it for {}, or name its audience in the rule")
    assert await Job({"VAULT_ID": token(aud=wanted.strip("'"))}, variable="VAULT_ID").given()
    first = aud if isinstance(aud, str) else "a"
    assert await Job({"VAULT_ID": token(aud=aud)}, variable="VAULT_ID", audience=first).given()


async def test_a_file_with_anything_else_is_not_a_token() -> None:
    """Such as a line of a shell script."""
    job = Job({}, path=PATH)
    job.files.put(PATH, f"export TOKEN=\n{token()}\n")
    filled((await job.failure()).hint, "write the token there, and nothing else")
    job.files.put(PATH, f"{token()}\n")
    assert await job.given() == token()


async def test_it_ends_where_the_token_ends() -> None:
    """By its own words, on both clocks."""
    login = await Job({"VAULT_ID": token(left=100)}, variable="VAULT_ID").login()
    assert login is not None
    assert (login.until, login.wall_until) == (1100.0, T0 + 100)


async def test_explain_sends_no_request() -> None:
    """Neither to GitHub nor to a program; only known facts are shown."""
    job = Job(GITHUB)
    identity = Identity("ci-oidc", "github")
    assert await job.source.peek(identity, TARGET) is None
    assert job.http.requests == []
    await job.login()
    known = await job.source.peek(identity, TARGET)
    assert known is not None
    assert secret_of(known.stored).reveal() == token(mark="1")
    job.source.forget()
    assert await job.source.peek(identity, TARGET) is None


async def test_to_explain_looks_whether_the_program_is_there() -> None:
    """Without starting it."""
    job = Job({"BUILDKITE": "true"})
    with pytest.raises(Failed):
        await job.source.peek(Identity("ci-oidc", "buildkite"), TARGET)
    held = Job({"VAULT_ID": token()}, variable="VAULT_ID")
    assert await held.source.peek(Identity("ci-oidc", "gitlab"), TARGET) is not None


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"audience": ""}, "audience"),
        ({"audience": "--lifetime"}, "audience"),
        ({"audience": "a\nb"}, "audience"),
        ({"variable": "a-b"}, "variable"),
        ({"variable": "A", "path": "/x"}, "variable"),
        ({"variable": "A", "platform": "github"}, "variable"),
        ({"path": "/x", "platform": "gitlab"}, "path"),
        ({"path": "x"}, "path"),
        ({"platform": "gitlab"}, "platform"),
        ({"platform": "kubernetes"}, "platform"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, str], key: str) -> None:
    """With the key that is wrong."""
    assert (key,) in {path for path, _ in settings(**options).problems()}


def put(ground: Ground, secret: str) -> None:
    """As the kubelet does; a secret that is not a JWT becomes the signature of one."""
    ground.files.put(PATH, secret if secret.count(".") == 2 else token(mark=secret))


def broken(ground: Ground) -> None:
    """A token for another audience."""
    ground.files.put(PATH, token(aud="sigstore", mark=CANARY))


CONTRACTS = {
    "ci-oidc": SourceContract(CiOidcSource(AUDIENCE, path=PATH), put, broken),
}
