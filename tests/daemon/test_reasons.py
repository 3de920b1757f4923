"""``explain`` gives the reason for every ``{}``, and names the places that were checked."""

import pytest

from credproxy.broker.explain_uri import explain_uri
from credproxy.core.ask.credential import Caller
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.none import NoneHost
from credproxy.core.kinds.oci import BareHost, OciHost
from credproxy.core.kinds.sources.docker_config import DockerConfigSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.core.kinds.sources.netrc import NetrcSource
from credproxy.ports.processes import Command, Completed
from tests.daemon.test_broken_sources import DENIED, daemon


DOCKER = '{"auths": {"reg.test:5000": {"auth": "YTpi"}, "ghcr.io/other": {"auth": "YTpi"}, "hollow.test": {}}}'
FILE = "the docker configuration '/home/u/.docker/config.json'"
NOT_THERE = "the netrc file '/home/u/.netrc' is not there"

CASES: list[tuple[list[HostRule], str, list[str]]] = [
    # no rule, with the places that were checked
    ([], "https://reg.test/v2/a/manifests/x", ["no [[host]] matches 'reg.test'", f"{FILE} has no login for 'reg.test'", NOT_THERE]),
    ([], "other.test", ["no [[host]] matches 'other.test'", f"{FILE} has no login for 'other.test'", NOT_THERE]),
    ([], "hollow.test", [f"{FILE} has an entry for 'hollow.test' that is empty"]),
    # http
    ([], "http://ghcr.io/v2/other/manifests/x", ["no credential is sent over plain http: ask for https://, or write insecure = true into a [[host]] for it"]),
    ([OciHost("ghcr.io")], "http://ghcr.io/v2/a/manifests/x", ["no credential is sent over plain http: ask for https://, or write insecure = true into its [[host]]"]),
    # a port or a path without a login
    ([], "https://reg.test/v2/a/manifests/x", [f"{FILE} has no login for 'reg.test', only for 'reg.test:5000': port and path matter"]),
    ([], "https://reg.test:6000/v2/a/manifests/x", [f"{FILE} has no login for 'reg.test:6000', only for 'reg.test:5000': port and path matter"]),
    ([], "https://ghcr.io/v2/mine/manifests/x", [f"{FILE} has no login for 'ghcr.io', only for 'ghcr.io/other': port and path matter"]),
    # outside of a rule's port or path
    ([OciHost("a.test:5000")], "https://a.test/v2/a/manifests/x", ["no [[host]] matches this port and path of 'a.test', only 'a.test:5000'"]),
    ([OciHost("a.test/v2/team")], "https://a.test/v2/b/manifests/x", ["no [[host]] matches this port and path of 'a.test', only 'a.test/v2/team'"]),
    ([OciHost("a.test/v2/team")], "https://a.test/v2/team%2f..%2fb/manifests/x", ["no [[host]] matches this port and path of 'a.test', only 'a.test/v2/team'"]),
    # not the API of a registry
    ([OciHost("a.test")], "https://a.test/index.html", ["the rule 'a.test' answers for it", "the path is not part of a registry's API: /v2/NAME/manifests/…, /v2/NAME/blobs/…, /v2/NAME/tags/list or /v2/NAME/referrers/…"]),
    ([OciHost("a.test")], "https://a.test/v1/search", ["this is the registry API of version 1, which is obsolete"]),
    ([OciHost("a.test")], "https://a.test/v2/", ["the registry's root belongs to no repository; a question for its bare host gets the login"]),
    ([OciHost("a.test")], "https://a.test/v2/_catalog", ["the list of all repositories gets a token only with allow_catalog = true in the registry's [[host]]"]),
    ([OciHost("a.test")], "https://a.test/v2/a/blobs/uploads/manifests/x", ["the path can be read as one of several repositories"]),
    ([OciHost("a.test")], "https://a.test/v2/Org/App/manifests/x", ["the repository 'Org/App' has upper-case letters, which no registry accepts in a name"]),
    ([], "https://ghcr.io/v2/Org/App/blobs/sha256:00", ["the repository 'Org/App' has upper-case letters, which no registry accepts in a name"]),
    ([OciHost("a.test")], "https://a.test/v2/org%2fapp/manifests/x", ["the repository's name is percent-encoded"]),
    ([OciHost("a.test")], "https://a.test/api/docker/x/v2/app/manifests/1", ["'/api/docker/x' comes before /v2/: a [[host]] for the registry needs path_prefix = \"/api/docker/x\""]),
    ([OciHost("a.test", path_prefix="/api/x")], "https://a.test/v2/app/manifests/1", ["the path does not begin with the rule's path_prefix = \"/api/x\""]),
    ([OciHost("a.test", path_prefix="/api/x")], "https://a.test/api/x/v2/App/manifests/1", ["the repository 'App' has upper-case letters, which no registry accepts in a name"]),
    # what a rule says
    ([NoneHost("a.test")], "https://a.test/x", ["the rule 'a.test' answers for it", 'its rule says provider = "none": this host gets nothing, whatever login there is']),
    ([OciHost("a.test", bare_host="none")], "a.test", ['its rule says bare_host = "none": a question without a repository gets nothing']),
    ([OciHost("a.test", bare_host=BareHost(("repository:a:pull",)), single_scope=True)], "a.test", ["its rule says single_scope = true"]),
    ([OciHost("a.test", actions={"x": ()})], "https://a.test/v2/x/manifests/1", ["its rule's actions name nothing that may be done with 'x'"]),
    ([OciHost("a.test")], "https://a.test/v2/x/manifests/1", ["the rule 'a.test' answers for it", f"{FILE} has no login for 'a.test'"]),
    # built-in rules whose names are wider than what they are for
    ([], "https://lambda.eu-west-1.amazonaws.com/x", ["no [[host]] matches 'lambda.eu-west-1.amazonaws.com', and the built-in rule '*.amazonaws.com'"]),
    ([], "https://acc.r2.cloudflarestorage.com/b/o", ["no [[host]] matches 'acc.r2.cloudflarestorage.com', and the built-in rule '*.r2.cloudflarestorage.com' is not for"]),
    ([], "https://acc.r2.cloudflarestorage.com/b/o", ["the hosts of Cloudflare's store are ACCOUNT.r2.cloudflarestorage.com, where ACCOUNT is 32 hex digits"]),
    # what to do next
    ([], "https://new.test/v2/a/manifests/x", ["to have a login for it: credproxy login new.test"]),
    ([], "new.test:5000", ["to have a login for it: credproxy login new.test:5000"]),
    ([], "https://new.test/a.tar", ["to have a login for it: machine new.test login NAME password SECRET in the netrc file, or a [[host]] for it"]),
    ([OciHost("new.test")], "https://new.test/v2/a/manifests/x", ["to have a login for it: docker login new.test"]),
    # literal forms
    ([], "grpcs://a.test", ["'a.test' in this form is answered by a [[host]] for exactly that, never by a wildcard"]),
    ([BasicHost("*.test")], "grpcs://a.test/x", ["'a.test' in this form is answered by a [[host]] for exactly that, never by a wildcard such as '*.test'"]),
    ([OciHost("a.test")], "grpcs://a.test/x", ["a registry has no URI of this form: it takes a [[host]] of another provider, such as exec, header or remoteapis"]),
    # by design
    ([], "https://auth.docker.io/token?service=registry.docker.io", ["this is a token server: the daemon asks it itself, so its URL gets no credential"]),
    ([OciHost("a.test")], "https://a.test/token?scope=repository:x:pull", ["this is the URL of a token server: the daemon asks it itself, so it gets no credential"]),
    ([], "https://d1.cloudfront.net/x", ["'d1.cloudfront.net' is a storage host: a URL that leads there carries its own signature"]),
    ([], "https://b.s3.eu-west-1.amazonaws.com/x", ["the built-in rule '*.amazonaws.com' answers for it", "'AWS_ACCESS_KEY_ID' is not set in the daemon's environment", "to have a login for it: aws configure"]),
    ([], "https://cdn.test/x?a=1&X-Amz-Signature=canary", ["the URL carries its own signature, which a credential would break"]),
]  # a table  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "uri", "wanted"), CASES, ids=[f"{n}-{uri[:40]}" for n, (_, uri, _) in enumerate(CASES)]
)
async def test_every_empty_answer_has_its_reason(rules: list[HostRule], uri: str, wanted: list[str]) -> None:
    """In words, with what to write or ask instead; and the answer is indeed empty."""
    async with daemon(*rules, docker=DOCKER) as running:
        assert '"headers":{}' in await running.get(uri)
        told = await explain_uri(running.broker, uri, caller=Caller())
    assert told.answer == "{}"
    for sentence in wanted:
        assert any(reason.startswith(sentence) for reason in told.reasons), (sentence, told.reasons)
    assert "canary" not in repr(told)
    assert len(set(told.reasons)) == len(told.reasons)


@pytest.mark.parametrize(
    "uri",
    [
        "https://storage.googleapis.com/b/o",
        "https://b.s3.eu-west-1.amazonaws.com/x",
        "https://acc.blob.core.windows.net/c/o",
        "https://huggingface.co/o/m/resolve/main/x",
        "https://remote.buildbuddy.io/x.Y",
        "grpcs://remote.buildbuddy.io/x.Y",
    ],
)
async def test_a_host_of_another_kind_is_told_nothing_about_registries(uri: str) -> None:
    """They are asked after a built-in rule, for what might be in docker's configuration; that a path is not theirs helps nobody."""
    async with daemon(docker=DOCKER) as running:
        told = await explain_uri(running.broker, uri, caller=Caller())
        other = await explain_uri(running.broker, "https://a.test/x", caller=Caller())
    assert told.answer == "{}"
    assert not any("registry" in reason for reason in told.reasons), told.reasons
    assert any("to have a login for it" in reason for reason in told.reasons) or "storage.google" in uri
    assert any("registry's API" in reason for reason in other.reasons)


@pytest.mark.parametrize(
    "uri",
    [
        "https://auth.docker.io/token",
        "https://new.test/token?scope=repository:x:pull",
        "https://new.test/v2/",
        "https://new.test/v2/Org/App/manifests/x",
        "https://d1.cloudfront.net/x",
        "http://new.test/v2/a/manifests/x",
        "grpcs://new.test",
        "https://gitlab.com/g/p/-/raw/main/f",
    ],
)
async def test_a_login_is_not_advised_where_none_would_help(uri: str) -> None:
    """The reason is another one; and a token server of a registry is not what is wrong with a file of GitLab's."""
    async with daemon(docker=DOCKER) as running:
        told = await explain_uri(running.broker, uri, caller=Caller())
    assert told.answer == "{}"
    assert not any("to have a login for it" in reason for reason in told.reasons), told.reasons
    assert any("token server" in reason for reason in told.reasons) is ("token" in uri)


async def test_a_user_name_in_the_uri_is_reported_and_not_repeated() -> None:
    """For any answer: Google's own tools write one."""
    async with daemon(docker=DOCKER) as running:
        for host, answer in (("reg.test:5000", "credential"), ("reg.test", "{}")):
            told = await explain_uri(running.broker, f"https://canary:canary@{host}/v2/a/manifests/x", caller=Caller())
            assert told.answer == answer
            assert told.reasons[-1].startswith("the user name in the URI is ignored")
            assert "canary" not in repr(told)


async def test_an_unreadable_file_is_not_said_to_be_absent() -> None:
    """The reason is given with the file that was checked: the problem may be in another file."""
    async with daemon(netrc=DENIED) as running:
        told = await explain_uri(running.broker, "https://a.test/x", caller=Caller())
    assert "the netrc file cannot be read: the file '/home/u/.netrc' permission denied" in told.reasons
    assert told.problem is not None


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (Completed(1, b"", "locked"), "and its store 'docker-credential-x' cannot tell"),
        (
            Completed(1, b"credentials not found in native keychain"),
            "and its store 'docker-credential-x' has none either",
        ),
    ],
)
async def test_a_store_is_named_with_what_it_said(printed: Completed, said: str) -> None:
    """A failed store is not the same as an empty one."""

    def store(_: Command) -> Completed:
        return printed

    async with daemon(store=store, docker='{"credsStore": "x"}') as running:
        told = await explain_uri(running.broker, "https://a.test/v2/x/manifests/y", caller=Caller())
    assert f"{FILE} has no login for 'a.test', {said}" in told.reasons


async def test_a_rule_with_a_login_has_no_reasons() -> None:
    """Reasons are for what is missing."""
    async with daemon(docker=DOCKER) as running:
        told = await explain_uri(running.broker, "https://reg.test:5000/v2/a/manifests/x", caller=Caller())
    assert (told.answer, told.reasons) == ("credential", ())


async def test_what_is_left_out_of_builtin_is_not_asked_and_told() -> None:
    """``builtin = ["netrc"]``: docker's logins only count if a rule names them."""
    login = "machine reg.test login u password p\n"
    async with daemon(builtin=("netrc",), docker=DOCKER, netrc=login) as running:
        assert '"headers":{}' not in await running.get("https://reg.test/x")
        told = await explain_uri(running.broker, "https://ghcr.io/v2/other/a/manifests/x", caller=Caller())
    assert "builtin leaves out 'login' and 'docker-config': their logins are used by rules only" in told.reasons
    async with daemon(builtin=("docker-config",), netrc=login) as running:
        assert '"headers":{}' in await running.get("https://reg.test/x")


async def test_of_several_sources_each_that_was_passed_is_reported() -> None:
    """``explain`` shows where the login is from, and why the earlier sources had none."""
    rule = BasicHost("reg.test", credentials=(NetrcSource(), FileSource("/none"), DockerConfigSource()))
    async with daemon(rule, docker='{"auths": {"reg.test": {"auth": "YTpi"}}}') as running:
        assert "Basic YTpi" in await running.get("https://reg.test/x")
        told = await explain_uri(running.broker, "https://reg.test/x", caller=Caller())
    assert told.detail["looked"] == f"{NOT_THERE}; the file '/none' is not there"
    async with daemon(rule, docker='{"auths": {"reg.test": {"auth": "YTpi"}}}', netrc=DENIED) as running:
        told = await explain_uri(running.broker, "https://reg.test/x", caller=Caller())
    assert told.problem is not None
    assert told.problem.message.startswith("the file '/home/u/.netrc' permission denied")
