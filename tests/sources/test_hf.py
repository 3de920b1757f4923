"""The token of Hugging Face's tools: its variables, its file, and the hosts that it is for."""

from collections.abc import Mapping

import pytest

from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.sources.hf import FILE as PLACE, HfSource
from credproxy.sources.hf import Hf
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles
from tests.hints import filled


FILE = "/home/u/.cache/huggingface/token"
HOME = {"HOME": "/home/u"}
URL = "https://huggingface.co/o/m/resolve/main/f"


class World:
    """A home with the file of hf."""

    def __init__(self, environ: Mapping[str, str] | None = None, stored: str | bytes | None = "hf_file\n") -> None:
        self.clock, self.files = FakeClock(), FakeFiles()
        if stored is not None:
            self.files.put(FILE, stored)
        self.hf = Hf({**HOME, **(environ or {})}, files=self.files, clock=self.clock)

    async def token(self, uri: str = URL) -> str | None:
        """What would be sent."""
        target = parse_uri(uri)
        identity = await self.hf.locate(target, None)
        login = None if identity is None else await self.hf.read(identity, target)
        return None if login is None else getattr(login.stored, "value").reveal()  # noqa: B009  only plain secrets here


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"HF_TOKEN": "one", "HUGGING_FACE_HUB_TOKEN": "two"}, "one"),
        ({"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "two"}, "two"),
        ({"HF_TOKEN": " \n", "HUGGING_FACE_HUB_TOKEN": "two"}, "two"),
        ({"HF_TOKEN": " one\r\n"}, "one"),
        ({}, "hf_file"),
    ],
)
async def test_variables_take_precedence_over_the_file(environ: dict[str, str], wanted: str) -> None:
    """In the order of huggingface_hub, and without the space around that it drops as well."""
    assert await World(environ).token() == wanted


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, FILE),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/token"),
        ({"XDG_CACHE_HOME": "/c", "HF_HOME": "/h"}, "/h/token"),
        ({"HF_HOME": "/h", "HF_TOKEN_PATH": "/t"}, "/t"),
        ({"HF_HOME": "~/h"}, f"{HOME['HOME']}/h/token"),
        ({"HF_TOKEN_PATH": "~/t"}, f"{HOME['HOME']}/t"),
        ({"HF_TOKEN_PATH": "", "HF_HOME": "", "XDG_CACHE_HOME": ""}, FILE),
        ({"HOME": ""}, None),
    ],
)
def test_where_the_file_lies(environ: dict[str, str], wanted: str | None) -> None:
    """Source: huggingface_hub constants.py."""
    assert PLACE.path({**HOME, **environ}) == wanted


@pytest.mark.parametrize(
    ("uri", "environ", "wanted"),
    [
        ("https://hf.co/o/m", {}, "hf_file"),
        ("huggingface.co", {}, "hf_file"),
        ("https://router.huggingface.co/x", {}, "hf_file"),
        ("https://evilhuggingface.co/o/m", {}, None),
        ("https://huggingface.co.evil.test/o/m", {}, None),
        ("https://hub.corp.test/o/m", {}, None),
        ("https://hub.corp.test/o/m", {"HF_ENDPOINT": "https://hub.corp.test/"}, "hf_file"),
        (URL, {"HF_ENDPOINT": "https://hub.corp.test/"}, None),
        (URL, {"HF_ENDPOINT": "https://hf.co"}, "hf_file"),
        (URL, {"HF_ENDPOINT": "https://[broken"}, None),
        ("grpcs://huggingface.co/x", {}, None),
    ],
)
async def test_the_token_is_for_its_own_hub(uri: str, environ: dict[str, str], wanted: str | None) -> None:
    """A mirror that ``HF_ENDPOINT`` names has a token of its own, which the public Hub must not see, and the other way round."""
    assert await World(environ).token(uri) == wanted


async def test_a_new_token_is_seen_within_a_second_and_an_emptied_file_has_none() -> None:
    """``hf auth login`` rewrites the file, ``hf auth logout`` deletes it."""
    world = World()
    before = await world.hf.locate(parse_uri(URL), None)
    world.files.put(FILE, "hf_new")
    await world.clock.advance(1)
    assert await world.token() == "hf_new"
    assert await world.hf.locate(parse_uri(URL), None) != before
    world.files.put(FILE, "\n")
    await world.clock.advance(1)
    assert await world.token() is None


async def test_where_it_has_looked() -> None:
    """``explain`` names each place."""
    none = "neither 'HF_TOKEN' nor 'HUGGING_FACE_HUB_TOKEN' is set in the daemon's environment"
    target = parse_uri(URL)
    for environ, stored, told in (
        ({}, None, f"the file of hf {FILE!r} is not there"),
        ({}, " ", f"the file of hf {FILE!r} is empty"),
        ({"HOME": ""}, None, "the file of hf is not looked for: HOME is not set"),
    ):
        world = World(environ, stored)
        assert await world.token() is None
        assert world.hf.looked(target) == (none, told)
    assert World().hf.looked(parse_uri("https://hub.test/x")) == (
        "the token of Hugging Face's tools is for huggingface.co and hf.co, and not for 'hub.test'",
    )


async def test_a_file_that_cannot_be_used_is_reported_and_fixed_as_the_hint_says() -> None:
    """It is the intended token: no other source is asked instead. A variable takes precedence."""
    world, target = World(stored=f"{CANARY}\xff".encode("latin-1")), parse_uri(URL)
    assert await world.token() is None
    failure = world.hf.trouble(target)
    assert failure is not None
    assert (failure.code, failure.message) == (Code.CREDENTIAL_UNREADABLE, f"the file of hf {FILE!r} is not UTF-8 text")
    assert any("is not UTF-8 text" in told for told in world.hf.looked(target))
    assert filled(failure.hint, "hf auth login") == ()
    world.files.put(FILE, "hf_again")
    await world.clock.advance(1)
    assert await world.token() == "hf_again"
    assert World({"HF_TOKEN": "x"}, b"\xff").hf.trouble(target) is None


async def test_a_token_that_no_header_can_carry_is_reported() -> None:
    """Line breaks go, as with huggingface_hub; other control characters are a mistake."""
    world = World({"HF_TOKEN": f"{CANARY}\x01"})
    with pytest.raises(Failed, match="control characters") as caught:
        await world.token()
    assert filled(caught.value.failure.hint, "hf auth login") == ()
    assert CANARY not in str(caught.value)
    world = World(stored=f"{CANARY}\n{CANARY}\n")
    assert await world.token() == CANARY * 2


def into_file(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    ground.files.put(FILE, f"{secret}\n")


def garbage(ground: Ground) -> None:
    """No UTF-8."""
    ground.files.put(FILE, f"{CANARY}\xff".encode("latin-1"))


CONTRACTS = {"hf": SourceContract(HfSource(), into_file, garbage, target=parse_uri(URL))}
