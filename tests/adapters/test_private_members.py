"""Private members of aiohttp and the standard library that are used, and what breaks without them.

They are the reason for aiohttp's upper bound. Run this file before raising it.
"""

import ast
import asyncio
import http.client
import importlib
import inspect
import io
import tomllib
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from aiohttp.web_protocol import RequestHandler


ROOT = Path(__file__).parents[2]

USED = {
    (RequestHandler, "_manager"): "the gate finds its server by it, and a refused peer gets no handler",
    (
        RequestHandler,
        "_loop",
    ): "a client that does not read is cut off by a timer, and pauses between requests are timed",
    (RequestHandler, "_messages"): "what waits behind an unfinished request counts for its sandbox",
    (RequestHandler, "_waiter"): "whether a request is under way, or the next one awaited",
    (RequestHandler, "_msg_queue_resume_size"): "no further request is read before all that were read are answered",
    (RequestHandler, "_buffer_paused"): "whether reading was stopped behind a request",
    (RequestHandler, "_pause_reading_for_buffer"): "stops it",
    (RequestHandler, "_resume_reading_if_drained"): "goes on with it",
    (web.Server, "_loop"): "each connection is made for that loop",
    (ResponseHandler, "_loop"): "a head that has begun ends within its limit",
    (ResponseHandler, "_payload"): "what an upstream sends unasked is noticed, and its connection not lent again",
    (ResponseHandler, "_buffer"): "the same, for what comes behind an answer",
    (http.client.HTTPResponse, "_read_status"): "interim answers have a bound",
    (http.client.HTTPResponse, "_safe_read"): "a chunk ends as it must, or its body is cut",
}
"""Members that are read or called, by the class that they belong to."""

REPLACED = {
    (http.client.HTTPResponse, "_read_next_chunk_size"): "the size of a chunk is a number of its grammar",
    (http.client.HTTPResponse, "_read_and_discard_trailer"): "trailers have an end",
}
"""Methods that the library calls and we replace."""


@pytest.mark.parametrize(
    ("owner", "name"), [*USED, *REPLACED], ids=[f"{o.__name__}.{n}" for o, n in (*USED, *REPLACED)]
)
async def test_the_member_is_there(owner: type, name: str) -> None:
    """The message says what it is for, and so what has to be done in another way."""
    assert hasattr(await an_instance(owner), name), (USED | REPLACED)[owner, name]


async def test_a_connector_makes_its_handlers_by_its_factory() -> None:
    """Without ``_factory``, interim answers and heads of an upstream would have no limits."""
    async with aiohttp.TCPConnector() as connector:
        assert isinstance(connector._factory(), ResponseHandler)


def test_the_library_makes_sockets_where_it_can_be_told_how() -> None:
    """Without ``_create_connection``, a download would bypass the dial guard."""
    asked: list[object] = []

    def refuse(*place: object) -> None:
        asked.extend(place)
        raise ConnectionRefusedError

    connection = http.client.HTTPConnection("upstream.test", 80)
    connection._create_connection = refuse  # type: ignore[attr-defined]  # as adapters/connections.py does
    with pytest.raises(ConnectionRefusedError):
        connection.connect()
    assert asked[0] == ("upstream.test", 80)


@pytest.mark.timeout(60)  # it imports and parses the package
def test_no_other_private_member_of_a_library_is_used() -> None:
    """One that is not in the table would break without saying what it is for."""
    listed = {(owner, name) for owner, name in (*USED, *REPLACED)}
    found = {member for path in sorted((ROOT / "credproxy").rglob("*.py")) for member in borrowed(path)}
    assert found <= listed
    assert set(USED) <= found, "no longer used"


def test_aiohttp_has_an_upper_bound() -> None:
    """Below the next minor version, which is untested; and the installed version is within it."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bound = next(one for one in wanted if one.startswith("aiohttp")).partition("<")[2]
    installed = tuple(map(int, aiohttp.__version__.split(".")[:2]))
    assert tuple(map(int, bound.split("."))) == (installed[0], installed[1] + 1)


async def an_instance(owner: type) -> object:
    """One, since some members are made as it is."""
    loop = asyncio.get_running_loop()
    server = web.Server(answer)
    if owner is RequestHandler:
        return server()
    if owner is ResponseHandler:
        return ResponseHandler(loop)
    return server if owner is web.Server else http.client.HTTPResponse(Arrived())  # type: ignore[arg-type]  # all that it needs of a socket


class Arrived:
    """Stands for a socket."""

    def makefile(self, mode: str) -> io.BytesIO:
        """Give what came."""
        assert mode == "rb"
        return io.BytesIO()


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    """Never asked."""
    del request
    return web.Response()


def borrowed(path: Path) -> set[tuple[type, str]]:
    """Private members of a library's base class that a module's classes use, by the class that we list them under."""
    text = path.read_text()
    if "aiohttp" not in text and "http.client" not in text and "OutgoingHandler" not in text:
        return set()
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found: set[tuple[type, str]] = set()
    for made in (one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__):
        owner = next(
            (
                one
                for one in (RequestHandler, ResponseHandler, web.Server, http.client.HTTPResponse)
                if issubclass(made, one)
            ),
            None,
        )
        if owner is not None:
            ours = {name for base in made.__mro__ if base.__module__.startswith("credproxy") for name in assigned(base)}
            found |= {(owner, name) for name in private(made) - ours}
    return found


def private(made: type) -> set[str]:
    """The names that a class uses of itself with one underscore: ``self._x``, ``super()._x``."""
    return {node.attr for node in of_itself(made)}


def assigned(made: type) -> set[str]:
    """The names that it defines: by an assignment, an annotation, a slot, or a method that its library does not have."""
    foreign = {name for base in made.__mro__ if not base.__module__.startswith("credproxy") for name in vars(base)}
    stored = {node.attr for node in of_itself(made) if isinstance(node.ctx, ast.Store)}
    return (stored | {*vars(made)} | {*inspect.get_annotations(made)}) - foreign


def of_itself(made: type) -> list[ast.Attribute]:
    """Its ``self._x`` and ``super()._x``."""
    tree = ast.parse(inspect.getsource(made))
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and (
            (isinstance(node.value, ast.Name) and node.value.id == "self")
            or (
                isinstance(node.value, ast.Call)
                and isinstance(node.value.func, ast.Name)
                and node.value.func.id == "super"
            )
        )
    ]
