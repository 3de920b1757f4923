"""Tokens of Google's: where the login is looked for, what is asked of the library, and how long an answer is used."""

import json
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from credproxy.core.ask.credential import Identity, UserPassword
from credproxy.core.ask.lifetime import remaining
from credproxy.core.ask.login import Login, dressed
from credproxy.core.ask.uri import parse_uri
from credproxy.core.ask.worker_messages import GoogleToken, LibraryAnswer, LibraryQuestion, LibraryToken
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.sources.google import PRODUCT, GoogleSource
from credproxy.sources.google import Google
from tests.contract import CANARY, HOST, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles, FakeLibraries
from tests.hints import filled


ADC = "/home/u/.config/gcloud/application_default_credentials.json"
TARGET = parse_uri("https://storage.googleapis.com/b/o")


def put(ground: Ground, secret: str) -> None:
    """As gcloud does; the token is what Google gives for that."""
    ground.files.put(ADC, json.dumps({"type": "authorized_user", "refresh_token": secret}))
    ground.libraries.answers[GoogleToken] = lambda _: LibraryToken(secret)


def put_broken(ground: Ground) -> None:
    """A file that is not JSON."""
    ground.files.put(ADC, f"{CANARY}")


CONTRACTS = {"google": SourceContract(GoogleSource(), put, put_broken, target=parse_uri(f"https://{HOST}/x"))}


NOTHING: Mapping[str, object] = MappingProxyType({})


class Machine:
    """A daemon's view of a machine."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        options: Mapping[str, object] = NOTHING,
        *,
        optional: bool = False,
    ) -> None:
        self.files, self.clock, self.libraries = FakeFiles(), FakeClock(), FakeLibraries()
        self.libraries.answers[GoogleToken] = self.answer
        self.given: LibraryToken | Failed = LibraryToken("t", self.clock.wall() + 3599, "u@corp.test")
        self.source = Google(
            GoogleSource(**options),  # type: ignore[arg-type]  # a row of a table
            {"HOME": "/home/u", **(environ or {})},
            files=self.files,
            libraries=self.libraries,
            clock=self.clock,
            optional=optional,
        )

    def answer(self, question: LibraryQuestion) -> LibraryAnswer | Failed:
        """What the library gives."""
        del question
        return self.given

    def log_in(self, path: str = ADC, **content: str) -> None:
        """Store a login."""
        self.files.put(path, json.dumps({"type": "authorized_user"} | content))

    async def identity(self) -> Identity:
        """Of the login that there is."""
        found = await self.source.locate(TARGET, None)
        assert found is not None
        return found

    async def login(self, *, anew: bool = False) -> Login:
        """The token."""
        found = await self.source.read(await self.identity(), TARGET, anew=anew)
        assert found is not None
        return found

    @property
    def asked(self) -> GoogleToken:
        """The last question."""
        last = self.libraries.asked[-1]
        assert isinstance(last, GoogleToken)
        return last


async def test_the_variable_comes_before_gclouds_file_and_that_before_the_machine() -> None:
    """As Google's libraries have it."""
    machine = Machine({"GOOGLE_APPLICATION_CREDENTIALS": "/k.json", "GCE_METADATA_HOST": "127.0.0.1:1"})
    machine.log_in("/k.json")
    machine.log_in()
    await machine.login()
    assert machine.asked.credentials == "/k.json"
    usual = Machine({"GCE_METADATA_HOST": "127.0.0.1:1", "XDG_CONFIG_HOME": "/elsewhere"})
    usual.log_in()
    await usual.login()
    assert usual.asked.credentials == ADC
    moved = Machine({"CLOUDSDK_CONFIG": "/g"})
    moved.log_in("/g/application_default_credentials.json")
    await moved.login()
    assert moved.asked.credentials == "/g/application_default_credentials.json"
    alone = Machine({"GCE_METADATA_HOST": "127.0.0.1:1"})
    await alone.login()
    assert alone.asked.credentials == ""
    assert (await alone.identity()).entry == "this machine's service account"


@pytest.mark.parametrize(
    ("product", "environ", "asked"),
    [
        ("Google Compute Engine\n", {}, True),
        ("Google\n", {}, True),
        ("VirtualBox\n", {}, False),
        ("", {}, False),
        ("VirtualBox\n", {"K_SERVICE": "s"}, True),
        ("Google Compute Engine\n", {"NO_GCE_CHECK": "true"}, False),
    ],
)
async def test_the_metadata_server_is_asked_where_the_machine_is_googles(
    product: str, environ: dict[str, str], *, asked: bool
) -> None:
    """To find out by asking takes seconds; nobody waits for that."""
    machine = Machine(environ)
    if product:
        machine.files.put(PRODUCT, product)
    assert (await machine.source.locate(TARGET, None) is not None) is asked
    assert machine.libraries.asked == []
    if not asked:
        assert "this machine is not one of Google's" in machine.source.looked(TARGET)[-1]


async def test_to_locate_asks_nobody_and_looks_once_a_second() -> None:
    """It is done for each question."""
    machine = Machine()
    machine.log_in()
    first = await machine.identity()
    for _ in range(50):
        assert await machine.identity() == first
    assert machine.libraries.asked == []


async def test_each_place_that_was_looked_at_is_told() -> None:
    """Where there is no login."""
    machine = Machine()
    assert await machine.source.locate(TARGET, None) is None
    assert machine.source.looked(TARGET) == (
        "GOOGLE_APPLICATION_CREDENTIALS is not set in the daemon's environment",
        f"the file {ADC!r} is not there",
        f"this machine is not one of Google's: {PRODUCT} is not there",
    )
    assert machine.source.trouble(TARGET) is None


@pytest.mark.parametrize(
    ("environ", "options", "message", "hint"),
    [
        (
            {"GOOGLE_APPLICATION_CREDENTIALS": "/k.json"},
            {},
            "the file '/k.json', which GOOGLE_APPLICATION_CREDENTIALS names, is not there",
            "gcloud auth application-default login",
        ),
        (
            {},
            {"account": "a@b.test"},
            "the file '/home/u/.config/gcloud/legacy_credentials/a@b.test/adc.json' is not there",
            "gcloud auth login a@b.test",
        ),
        (
            {},
            {"credentials_file": "/k.json"},
            "the file '/k.json' is not there",
            "store a key there: gcloud iam service-accounts keys create /k.json --iam-account=NAME",
        ),
    ],
)
async def test_a_file_that_is_named_and_not_there_is_told(
    environ: dict[str, str], options: dict[str, str], *, message: str, hint: str
) -> None:
    """With what stores it; among several sources the next one is asked."""
    machine = Machine(environ, options)
    assert await machine.source.locate(TARGET, None) is None
    trouble = machine.source.trouble(TARGET)
    assert trouble is not None
    assert (trouble.message, trouble.hint) == (message, hint)
    optional = Machine(environ, options, optional=True)
    assert await optional.source.locate(TARGET, None) is None
    assert optional.source.trouble(TARGET) is None


async def test_a_file_that_cannot_be_used_is_trouble() -> None:
    """Nothing of it is told; a new login is seen at once."""
    machine = Machine()
    machine.files.put(ADC, "canary")
    assert await machine.source.locate(TARGET, None) is None
    trouble = machine.source.trouble(TARGET)
    assert trouble is not None
    assert trouble.message == f"the file {ADC!r} is not a JSON object with a login of Google's"
    assert filled(trouble.hint, "gcloud auth application-default login") == ()
    machine.log_in()
    await machine.clock.advance(1)
    await machine.identity()


async def test_options_go_into_the_question() -> None:
    """And make another login of it."""
    options = {
        "impersonate": "sa@corp.test",
        "scopes": ("https://www.googleapis.com/auth/cloud-platform",),
        "proxy": "http://p:1",
        "ca_bundle": "/ca.pem",
    }
    machine = Machine(options=options)
    machine.log_in()
    await machine.login()
    assert machine.asked == GoogleToken(
        ("https://www.googleapis.com/auth/cloud-platform",), ADC, "", "sa@corp.test", None, "http://p:1", "/ca.pem"
    )
    assert (await machine.identity()).entry == "sa@corp.test"
    audience = Machine(options={"audience": "https://x.run.app"})
    audience.log_in()
    assert (await audience.login()).beside == ()
    assert (audience.asked.audience, audience.asked.scopes) == ("https://x.run.app", ())


async def test_two_accounts_are_two_logins() -> None:
    """Each has a file of its own."""
    names = set()
    for account in ("a@b.test", "c@d.test"):
        machine = Machine(options={"account": account})
        machine.log_in(f"/home/u/.config/gcloud/legacy_credentials/{account}/adc.json", account=account)
        names.add(await machine.identity())
    folder = "/home/u/.config/gcloud/legacy_credentials"
    assert {one.entry for one in names} == {f"{folder}/{who}/adc.json#{who}" for who in ("a@b.test", "c@d.test")}


EXTERNAL = {"type": "external_account", "credential_source": {"file": "/run/token"}}


@pytest.mark.parametrize(
    "content",
    [EXTERNAL, {"type": "impersonated_service_account", "source_credentials": EXTERNAL}],
    ids=["external", "impersonated"],
)
async def test_another_identity_in_the_file_of_an_external_account_is_another_login(
    content: dict[str, object],
) -> None:
    """A runner has the same path for the next job: its token is not made with the job before."""
    machine = Machine()
    machine.files.put(ADC, json.dumps(content))
    machine.files.put("/run/token", "of the first job")
    before = await machine.identity()
    await machine.login()
    machine.files.put("/run/token", "of the second job")
    machine.clock.suspend(1)
    machine.given = LibraryToken("second", machine.clock.wall() + 3599)
    assert await machine.identity() != before
    found = await machine.login()
    assert isinstance(found.stored, UserPassword)
    assert found.stored.password.reveal() == "second"


@pytest.mark.parametrize("source", [None, [], "x", {"file": 7}, {"file": ""}, {"url": "https://x.test"}])
async def test_an_account_that_names_no_file_depends_on_none(source: object) -> None:
    """What is wrong with it is for the library to say."""
    machine = Machine()
    machine.files.put(ADC, json.dumps({"type": "external_account", "credential_source": source}))
    assert await machine.identity() == await machine.identity()


async def test_a_token_ends_when_google_says_and_is_asked_for_before_that() -> None:
    """Then once for all who wait."""
    machine = Machine()
    machine.log_in()
    found = await machine.login()
    assert isinstance(found.stored, UserPassword)
    assert found.stored.username == "oauth2accesstoken"
    lifetime = dressed(found, "x", boot=machine.clock.boot())
    assert remaining(lifetime, machine.clock.boot(), wall=machine.clock.wall()) == 3599
    machine.clock.suspend(1800)
    await machine.login()
    assert len(machine.libraries.asked) == 1
    machine.clock.suspend(1700)
    machine.given = LibraryToken("second", machine.clock.wall() + 3599)
    again = await machine.login()
    assert len(machine.libraries.asked) == 2
    assert again.until == machine.clock.boot() + 3599
    assert await machine.source.peek(await machine.identity(), TARGET) == again


async def test_a_refused_token_is_asked_for_anew_once_in_ten_seconds() -> None:
    """Somebody may have revoked it."""
    machine = Machine()
    machine.log_in()
    for _ in range(3):
        await machine.login(anew=True)
    assert len(machine.libraries.asked) == 1
    machine.clock.suspend(11)
    await machine.login(anew=True)
    assert len(machine.libraries.asked) == 2


@pytest.mark.parametrize(
    ("option", "file", "given", "wanted"),
    [("", "", "", ""), ("", "", "given", "given"), ("own", "", "given", "own")],
)
async def test_who_pays_is_what_the_rule_says_or_else_the_login(
    option: str, file: str, *, given: str, wanted: str
) -> None:
    """As a header beside the token."""
    machine = Machine(options={"quota_project": option} if option else NOTHING)
    machine.log_in(**({"quota_project_id": file} if file else {}))
    machine.given = LibraryToken("t", None, "", given)
    assert (await machine.login()).beside == ((("x-goog-user-project", wanted),) if wanted else ())


async def test_what_the_library_says_is_said() -> None:
    """And another user's login is another one at once."""
    machine = Machine()
    machine.log_in()
    machine.given = failed(Code.BAD_CREDENTIALS, "revoked", hint="log in")
    with pytest.raises(Failed) as caught:
        await machine.login()
    assert caught.value.failure.message == "revoked"
    before = await machine.identity()
    machine.log_in(account="other@corp.test")
    await machine.clock.advance(1)
    machine.given = LibraryToken("other")
    assert await machine.identity() != before
    await machine.login()
    machine.source.forget()
    await machine.login()
    assert len(machine.libraries.asked) == 3


async def test_a_file_that_is_broken_by_now_is_not_the_machine_s_account() -> None:
    """After a flush as well: the file is named in the question, and the library says what is wrong with it."""
    machine = Machine({"GCE_METADATA_HOST": "127.0.0.1:1"})
    machine.log_in()
    await machine.login()
    machine.files.put(ADC, "[")
    machine.source.forget()
    await machine.login()
    asked = machine.libraries.asked[-1]
    assert isinstance(asked, GoogleToken)
    assert asked.credentials == ADC
