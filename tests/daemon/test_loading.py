"""The configuration and its policy file are read together, and both are checked again while one is broken."""

import asyncio

import pytest

from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.ownership import Exposure
from credproxy.daemon.loading import Loader
from tests.fakes import FakeFiles, settle


USER, MACHINE, POLICY = "/home/u/config.toml", "/etc/credproxy/config.toml", "/etc/credproxy/policy.yaml"
NAMES_IT = f'[actions]\npolicy_file = "{POLICY}"\n'
ALLOWS = """\
version: 1
rules:
- {action: allow, registry: ghcr.io, repository: "org/**", operations: [blob:read]}
"""


def loader(files: FakeFiles) -> Loader:
    """Both usual places, neither of which has to be there."""
    return Loader(files, (USER, MACHINE), required=False)


async def problem(made: Loader) -> str:
    """The message of what cannot be loaded; its code is always the same."""
    with pytest.raises(Failed) as caught:
        await made.load()
    assert caught.value.failure.code is Code.CONFIG_INVALID
    assert caught.value.failure.hint
    return caught.value.failure.message


async def test_without_any_file() -> None:
    """Defaults, and nothing is allowed."""
    loaded = await loader(FakeFiles()).load()
    assert loaded.settings == Settings()
    assert not loaded.policy.rules.decide(
        Authority("ghcr.io"), RepositoryName("org/app"), operation="blob:read"
    ).allowed


async def test_a_policy_file_stands_for_the_rules() -> None:
    """Its rules decide, and are called by their place in it."""
    files = FakeFiles()
    files.put(MACHINE, NAMES_IT)
    files.put(POLICY, ALLOWS)
    policy = (await loader(files).load()).policy
    assert (
        policy.deciding(Authority("ghcr.io"), RepositoryName("org/app"), operation="blob:read")
        == "rules[0] of 'policy.yaml'"
    )
    assert not policy.rules.decide(Authority("ghcr.io"), RepositoryName("other/app"), operation="blob:read").allowed


async def test_a_tilde_stands_for_the_daemons_home() -> None:
    """In the daemon as in ``credproxy config check``; without a home it is an error, not a file of that name."""
    files = FakeFiles()
    files.put(USER, '[actions]\npolicy_file = "~/policy.yaml"\n')
    files.put("/home/u/policy.yaml", ALLOWS)
    made = Loader(files, (USER, MACHINE), required=False, home="/home/u")
    assert (
        (await made.load())
        .policy.rules.decide(Authority("ghcr.io"), RepositoryName("org/app"), operation="blob:read")
        .allowed
    )
    assert await problem(loader(files)) == (
        f"{USER}:2: actions.policy_file: there is no home directory for '~'; write the path out"
    )


async def test_the_users_rules_stand_in_place_of_the_machines_policy_file() -> None:
    """A user's ``[actions]`` replaces the whole table; a policy file that is not in force is not read."""
    files = FakeFiles()
    files.put(MACHINE, NAMES_IT)
    files.put(USER, '[[actions.rule]]\naction = "allow"\nregistry = "a.b"\nrepository = "x"\noperations = ["*"]\n')
    policy = (await loader(files).load()).policy
    assert policy.deciding(Authority("a.b"), RepositoryName("x"), operation="blob:read") == "actions.rule[0]"
    assert POLICY not in files.reads


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (None, f"the policy file '{POLICY}' is not there"),
        ("version: 2\n", f"{POLICY}:1: version: wanted version: 1, the only one there is, not 2"),
        (
            f"{ALLOWS}- {{}}\n",
            f'{POLICY}:4: rules[1].action: \'\' is not an action; wanted "allow" or "deny" (and 3 more)',
        ),
    ],
)
async def test_a_broken_policy_file_breaks_the_configuration(policy: str | None, message: str) -> None:
    """Neither half is taken without the other."""
    files = FakeFiles()
    files.put(USER, NAMES_IT)
    if policy is not None:
        files.put(POLICY, policy)
    assert await problem(loader(files)) == message


@pytest.mark.parametrize("path", [USER, POLICY])
async def test_what_cannot_be_read_is_a_broken_configuration(path: str) -> None:
    """Not a broken credential, which would mislead the user."""
    files = FakeFiles()
    files.put(USER, NAMES_IT)
    files.broken[path] = failed(Code.CREDENTIAL_UNREADABLE, f"the file {path!r} is no regular file", hint="ls -l")
    assert await problem(loader(files)) == f"the file '{path}' is no regular file"


GRAVE = Exposure("could be replaced by others: '/etc/credproxy' is writable", "chmod go-w /etc/credproxy")
GROUP = GRAVE._replace(problem="could be replaced by its group: '/etc/credproxy' is writable", grave=False)

NAMES_MORE = (
    NAMES_IT + '[[host]]\nmatch = "a.b"\nprovider = "oci"\nca_bundle = "/ca.pem"\n'
    'credentials = { source = "file", path = "/secret" }\n'
    '[[host]]\nmatch = "c.d"\nprovider = "exec"\ncommand = ["/helper", "x"]\n'
    '[[host]]\nmatch = "e.f"\nprovider = "header"\nsecret = { source = "command", argv = ["/pass", "x"] }\n'
)


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        (USER, "the configuration"),
        (MACHINE, "the configuration"),
        (POLICY, "the policy file"),
        ("/ca.pem", "the ca_bundle of 'a.b',"),
        ("/secret", "the secret of 'a.b',"),
        ("/helper", "the program of 'c.d',"),
        ("/pass", "the program of 'e.f',"),
    ],
)
async def test_a_file_that_others_may_write_is_not_trusted(path: str, subject: str) -> None:
    """Neither the configuration nor what it names; following the hint fixes it, and then it counts as changed."""
    files = FakeFiles()
    files.put(USER, NAMES_MORE)
    files.put(MACHINE, "")
    files.put(POLICY, ALLOWS)
    files.exposed[path] = (GROUP, GRAVE)
    made = loader(files)
    assert await problem(made) == f"{subject} {path!r} is not trusted: it {GRAVE.problem}"
    with pytest.raises(Failed) as caught:
        await made.load()
    assert caught.value.failure.hint == "chmod go-w /etc/credproxy"
    assert not await made.changed()
    files.exposed.clear()
    assert await made.changed(), "a mode is not part of a file's version"
    assert (await made.load()).exposed == ()


async def test_a_group_writable_file_is_trusted_with_a_warning() -> None:
    """For each file, with its name."""
    files = FakeFiles()
    files.put(USER, NAMES_MORE)
    files.put(POLICY, ALLOWS)
    files.exposed = {USER: (GROUP,), "/ca.pem": (GROUP,)}
    loaded = await loader(files).load()
    assert [one.problem for one in loaded.exposed] == [
        f"the configuration {USER!r} {GROUP.problem}",
        f"the ca_bundle of 'a.b', '/ca.pem' {GROUP.problem}",
    ]


async def test_a_file_that_was_asked_for_has_to_be_there() -> None:
    """Files named by ``--config`` must exist."""
    assert await problem(Loader(FakeFiles(), (USER,), required=True)) == f"the configuration '{USER}' is not there"


@pytest.mark.parametrize("path", [USER, MACHINE, POLICY])
async def test_each_file_that_was_looked_at_counts_as_changed(path: str) -> None:
    """P3: Healing waits for a new version of the configuration or of the policy, also of one that was not there."""
    files = FakeFiles()
    files.put(USER, NAMES_IT)
    made = loader(files)
    await problem(made)
    assert not await made.changed()
    files.put(path, ALLOWS)
    assert await made.changed()


async def test_what_cannot_be_looked_at_has_not_changed() -> None:
    """Until it can."""
    files = FakeFiles()
    files.put(USER, NAMES_IT)
    files.put(POLICY, ALLOWS)
    files.broken[POLICY] = failed(Code.CREDENTIAL_UNREADABLE, "the file is no regular file", hint="ls -l")
    made = loader(files)
    await problem(made)
    assert not await made.changed()
    files.broken.clear()
    assert await made.changed()
    assert (
        (await made.load())
        .policy.rules.decide(Authority("ghcr.io"), RepositoryName("org/app"), operation="blob:read")
        .allowed
    )


async def test_loads_come_one_after_the_other() -> None:
    """A large policy that was read first must not be in force last."""
    files = FakeFiles()
    files.put(USER, NAMES_IT)
    another = ALLOWS.splitlines()[-1].replace("ghcr.io", "a.b")
    files.put(POLICY, ALLOWS + f"{another}\n" * 300)
    made = loader(files)
    done: list[int] = []

    async def load() -> None:
        loaded = await made.load()
        done.append(len(loaded.policy.rules.registries()))

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        await settle()
        files.put(POLICY, ALLOWS)
        group.create_task(load())
    assert done == [2, 1]


async def test_a_configuration_that_is_not_utf_8_is_refused_with_its_line() -> None:
    """As `credproxy config check` does: a silently replaced byte may belong to a prefix."""
    files = FakeFiles()
    files.put(USER, b"empty_ttl = 30\n# f\xfcr\n")
    assert await problem(loader(files)) == f"{USER}:2: not in UTF-8; save the file as UTF-8 text"
