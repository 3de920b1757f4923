"""A GitHub App against a server that verifies what GitHub verifies: the daemon, the command line, and the errors."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.github import APP, CANARY, INSTALLATION, OWNER, GitHub, new_key, running, stored
from tests.e2e.stage import Stage
from tests.e2e.test_actions import ask
from tests.e2e.test_objects import fetch
from tests.hints import filled


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

KEY = new_key()


@pytest.fixture
def github() -> Iterator[GitHub]:
    """With one file."""
    made = GitHub(KEY)
    made.files["/octo/hello/archive/v1.zip"] = b"PK"
    made.files["/octo/hello/contents/a"] = b"A"
    with running(made):
        yield made


def config(github: GitHub, key: Path, more: str = "") -> str:
    """A rule for that server."""
    return (
        f'[[host]]\nmatch = "{github.authority}"\nprovider = "github"\ninsecure = true\n'
        f'credentials = {{ source = "github-app", host = "{github.authority}", app = "{APP}", key_file = "{key}"{more} }}\n'
    )


def rules(*urls: str) -> str:
    """What build actions may have."""
    return "".join(f'[[actions.rule]]\naction = "allow"\nurl = "{url}"\n' for url in urls)


def test_a_token_is_made_once_for_all_that_the_installation_has(staged: Stage, github: GitHub, tmp_path: Path) -> None:
    """Found by the owner of the URL; limited to reading; and neither key nor token is in the log."""
    key = stored(KEY, tmp_path)
    staged.configure(config(github, key) + "[log]\naudit = true\n")
    staged.start()
    root = f"http://{github.authority}"
    first = staged.headers(f"{root}/octo/hello/archive/v1.zip")
    assert first == {"Authorization": [f"Bearer {CANARY}0"]}
    assert staged.headers(f"{root}/api/v3/repos/octo/world/tarball/main") == first
    assert github.requests == [
        "GET /api/v3/orgs/octo/installation",
        "GET /api/v3/users/octo/installation",
        f"POST /api/v3/app/installations/{INSTALLATION}/access_tokens",
    ]
    assert github.issued[f"{CANARY}0"].permissions == {"contents": "read"}
    told = staged.credproxy("explain", f"{root}/octo/hello/archive/v1.zip")
    assert f"github-app:{APP}@{OWNER}" in told.stdout
    assert staged.stop() == 0
    for text in (staged.log(), told.stdout, told.stderr):
        assert CANARY not in text
        assert "PRIVATE KEY" not in text
        assert "eyJ" not in text  # how every JWT begins


def test_a_build_action_is_given_a_token_for_one_repository_where_rules_allow_all_of_that(
    staged: Stage, github: GitHub, tmp_path: Path
) -> None:
    """Otherwise the gateway carries the object; ``actions test`` says which."""
    key, root = stored(KEY, tmp_path), f"http://{github.authority}"
    url = f"{root}/octo/hello/archive/v1.zip"
    one = rules(url)
    staged.configure(config(github, key) + one)
    staged.start()
    status, answer = ask(staged, url)
    error = json.loads(answer)["error"]
    assert (status, error["code"]) == (403, "use_gateway")
    _, wider = filled(error["hint"], "{}; or let build actions have all of it: credproxy actions allow {}")
    assert github.issued == {}
    assert "a header is given where" in staged.credproxy("actions", "test", url).stdout
    assert fetch(staged, url) == (200, b"PK")
    (pattern,) = shlex.split(wider)
    assert pattern == f"{root}/api/v3/repos/octo/hello/**"
    assert staged.credproxy("actions", "allow", pattern).returncode == 0
    assert staged.credproxy("reload").returncode == 0
    assert "or a header is given" in staged.credproxy("actions", "test", url).stdout
    status, answer = ask(staged, url)
    token = json.loads(answer)["headers"]["Authorization"][0].removeprefix("Bearer ")
    assert status == 200
    assert github.issued[token].repositories == {"hello"}
    assert github.issued[token].permissions == {"contents": "read"}
    assert staged.headers(url) != {"Authorization": [f"Bearer {token}"]}
    assert staged.stop() == 0
    assert CANARY not in staged.log()


def test_a_private_asset_is_fetched_by_its_browsers_url(staged: Stage, github: GitHub, tmp_path: Path) -> None:
    """Policy only knows that URL: the API requests for it, also page by page, need no rule."""
    content = bytes(range(256)) * 2048
    names = [f"a{number}.txt" for number in range(230)]
    github.releases["hello", "v1"] = dict.fromkeys(names, b"x") | {"tool.tar": content}
    root = f"http://{github.authority}"
    browsers = f"{root}/octo/hello/releases/download/v1/tool.tar"
    staged.configure(config(github, stored(KEY, tmp_path)) + rules(f"{root}/octo/hello/releases/download/**"))
    staged.start()
    assert fetch(staged, browsers) == (200, content)
    listing = [request for request in github.requests if "per_page" in request]
    assert [request.partition("page=100&")[2] for request in listing] == ["page=1", "page=2", "page=3"]
    status, told = fetch(staged, f"{root}/octo/hello/releases/download/v1/none.tar")
    assert status == 404
    assert "has no asset 'none.tar'" in json.loads(told)["error"]["message"]
    assert fetch(staged, f"{root}/octo/hello/releases/download/v2/tool.tar")[0] == 404
    status, told = fetch(staged, f"{root}/api/v3/repos/octo/hello/releases/tags/v1")
    assert (status, json.loads(told)["error"]["code"]) == (403, "policy_denied")
    assert "which the gateway does for build actions" in staged.credproxy("explain", browsers).stdout
    assert staged.stop() == 0
    assert CANARY not in staged.log()


class World:
    """The daemon, that server and the App's key; each change is followed by a new question."""

    def __init__(self, staged: Stage, github: GitHub, *, key: Path) -> None:
        self.staged, self.github, self.key = staged, github, key
        staged.configure(config(github, key))
        staged.start()

    def configure(self, more: str = "") -> None:
        """Write other options of the App, and put them into force."""
        self.staged.configure(config(self.github, self.key, more))
        assert self.staged.credproxy("reload").returncode == 0

    def refusal(self, path: str = "/octo/hello/archive/v1.zip") -> tuple[str, str]:
        """The helper's error: what is wrong, and what to do."""
        assert self.staged.credproxy("flush").returncode == 0
        done = self.staged.helper(f"http://{self.github.authority}{path}")
        assert done.returncode == 1, done.stdout
        problem, hint, _ = done.stderr.split("\n")
        return problem, hint

    def works(self, path: str = "/octo/hello/archive/v1.zip") -> None:
        """Check that it gives a token now."""
        assert self.staged.credproxy("flush").returncode == 0
        assert self.staged.headers(f"http://{self.github.authority}{path}")


@pytest.fixture
def world(staged: Stage, github: GitHub, tmp_path: Path) -> Iterator[World]:
    """A working App; at the end its log must not hold a secret."""
    made = World(staged, github, key=stored(KEY, tmp_path))
    made.works()
    yield made
    assert staged.stop() == 0
    assert "canary" not in staged.log()


def test_a_clock_that_is_wrong_is_reported(world: World) -> None:
    """With the difference, and without blaming the key."""
    for ahead, said in ((-200.0, "s ahead (bad_credentials)"), (4000.0, "s behind (bad_credentials)")):
        world.github.ahead = ahead
        problem, hint = world.refusal()
        assert "does not take times by this machine's clock, which is " in problem
        assert problem.endswith(said)
        filled(hint, "timedatectl set-ntp true")
    world.github.ahead = -50.0
    world.works()


def test_another_apps_key_is_reported_and_replaced(world: World) -> None:
    """By a new one, as the hint says; no reload is needed."""
    stored(new_key(), world.key.parent)
    problem, hint = world.refusal()
    assert f"does not take what was signed for the App '{APP}'" in problem
    filled(hint, "compare app with the App's settings on GitHub; under Private keys there, make a new key")
    world.github.key = new_key()
    stored(world.github.key, world.key.parent)
    world.works()


def test_a_key_that_cannot_be_used_is_reported(world: World) -> None:
    """It is read and judged for each token."""
    world.key.write_text("canary-key")
    assert "is not a private key in PEM form" in world.refusal()[0]
    world.key.chmod(0o666)
    problem, hint = world.refusal()
    assert "is not trusted" in problem
    assert hint == f"chmod go-w {world.key}"
    world.key.unlink()
    problem, hint = world.refusal()
    assert "is not there" in problem
    (path,) = filled(hint, "make a key in the App's settings on GitHub, Private keys, and move it to {}, mode 0600")
    assert path == str(world.key)
    stored(KEY, world.key.parent)
    world.works()


def test_an_owner_without_an_installation_is_named(world: World) -> None:
    """It is installed, or another installation is named."""
    problem, hint = world.refusal("/gone/x/archive/v1.zip")
    assert f"the GitHub App '{APP}' is not installed for 'gone'" in problem
    filled(
        hint, "install it there: its settings on GitHub, Install App; or name an installation: installation = NUMBER"
    )
    world.configure(f", installation = {INSTALLATION}")
    world.works("/gone/x/archive/v1.zip")


def test_an_installation_that_is_not_the_apps_is_reported(world: World) -> None:
    """By its number."""
    world.configure(", installation = 5")
    problem, hint = world.refusal()
    assert f"knows no such installation of the App '{APP}'" in problem
    filled(hint, "installation is the number at the end of the address of Settings, Installed GitHub Apps, Configure")
    world.configure(f", installation = {INSTALLATION}")
    world.works()


def test_a_suspended_installation_is_reported(world: World) -> None:
    """Until that is lifted."""
    world.github.suspended = True
    problem, hint = world.refusal()
    assert "is suspended" in problem
    filled(hint, "its owner can lift that: Settings, Installed GitHub Apps, Configure")
    world.github.suspended = False
    world.works()


def test_permissions_that_were_not_granted_are_reported(world: World) -> None:
    """All that were requested: GitHub does not say which."""
    world.configure(', permissions = { contents = "read", packages = "read" }')
    problem, hint = world.refusal()
    assert "does not have all of: contents = read, packages = read" in problem
    filled(hint, "grant it in the App's settings, Permissions & events, and accept that for the installation")
    world.github.permissions["packages"] = "read"
    world.works()


def test_repositories_that_it_does_not_have_are_reported(world: World) -> None:
    """Likewise."""
    world.configure(', repositories = ["hello", "gone"]')
    problem, hint = world.refusal()
    assert "does not have all of: hello, gone" in problem
    filled(hint, "add them to the installation: Settings, Installed GitHub Apps, Configure, Repository access")
    world.github.repositories |= {"gone"}
    world.works()


def test_a_server_that_limits_no_token_gives_build_actions_none(staged: Stage, github: GitHub, tmp_path: Path) -> None:
    """It still answers 201, with a token for everything."""
    github.ignorant = True
    url = f"http://{github.authority}/octo/hello/archive/v1.zip"
    staged.configure(
        config(github, stored(KEY, tmp_path)) + rules(url, f"http://{github.authority}/api/v3/repos/octo/hello/**")
    )
    staged.start()
    status, answer = ask(staged, url)
    assert (status, json.loads(answer)["error"]["code"]) == (502, "bad_token")
    assert CANARY not in answer
    assert staged.stop() == 0
