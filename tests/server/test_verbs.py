"""What the two sockets' verbs do and refuse, in front of a broker with fakes behind it."""

import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from credproxy.adapters.libraries import worker_report
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Granted, Repository, Target
from credproxy.core.errors import Code, failed
from credproxy.server.actions_api import ActionsApi
from credproxy.server.answer_memo import Memo
from credproxy.server.helper_api import HelperApi, Reloaded, ReportedState
from credproxy.server.listener import Bound, bind
from credproxy.server.narrow import NarrowAnswers
from credproxy.server.sandboxes import Sandboxes
from tests.broker.world import World, world
from tests.fakes import FakeAudit, settle
from tests.server.answering import InProcess
from tests.server.test_protocol import serving, talk


@dataclass
class Desk:
    """Both APIs over one broker; ``denied`` is what policy says."""

    world: World
    denied: bool = False
    reloads: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        audit = FakeAudit()
        memo = Memo(audit)
        self.helper = HelperApi(
            broker=self.world.broker,
            memo=memo,
            audit=audit,
            clock=self.world.clock,
            reload=self.reload,
            metrics_page=lambda: (b"", "text/plain"),
            state=lambda: ReportedState("all is well", well=True),
            worker=worker_report,
            refused=self.refused,
        )
        self.actions = ActionsApi(
            answers=InProcess(NarrowAnswers(broker=self.world.broker, memo=memo, grants=self.grants)),
            clock=self.world.clock,
            gateway=None,  # type: ignore[arg-type]  # nothing here begins with /v2
            sandboxes=Sandboxes(self.world.clock),
            refused=self.refused,
        )

    async def reload(self) -> Reloaded:
        """Count."""
        self.reloads += 1
        return Reloaded(2, 0)

    def grants(self, target: Target) -> tuple[Granted, ...]:
        """Policy."""
        if self.denied:
            raise failed(Code.POLICY_DENIED, f"no rule allows {target.authority!r}")
        return (Repository(RepositoryName("a/b"), ("pull",)),)


@contextlib.asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    """One with a running broker."""
    async with world() as w:
        yield Desk(w)


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Bound]:
    """A listening socket."""
    with contextlib.closing(bind(str(tmp_path / "run" / "s"), backlog=64)) as made:
        yield made


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Bound]:
    """Another one."""
    with contextlib.closing(bind(str(tmp_path / "run" / "a"), backlog=64)) as made:
        yield made


async def post(bound: Bound, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    """Ask; give the status and the JSON of the answer."""
    sent = b"" if body is None else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(sent)}\r\nConnection: close\r\n\r\n"
    answer = await talk(bound, head.encode() + sent)
    await settle()
    found: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return int(answer.split()[1]), found


@pytest.mark.parametrize("verb", ["flush", "reload"])
async def test_flush_rate_limited(bound: Bound, verb: str) -> None:
    """T3: once a second, or a loop of them would turn every question into an exchange; each verb for itself."""
    other = {"flush": "reload", "reload": "flush"}[verb]
    async with desk() as d, serving(bound, d.helper.handle):
        assert (await post(bound, f"/v1/{verb}"))[0] == 200
        status, body = await post(bound, f"/v1/{verb}")
        assert (status, body["error"]) == (
            503,
            {
                "code": "overloaded",
                "message": f"{verb} is allowed once a second",
                "hint": "wait a second",
                "retry_after": 1.0,
            },
        )
        assert (await post(bound, f"/v1/{other}"))[0] == 200
        await d.world.clock.advance(1.0)
        assert (await post(bound, f"/v1/{verb}"))[0] == 200
        assert d.reloads == (2 if verb == "reload" else 1)


async def test_denied_request_never_touches_cache(bound: Bound, door: Bound) -> None:
    """T18: nothing reveals whether another caller got that repository: neither the answer nor a look-up."""
    question = {"uri": "https://reg.test/v2/a/b/blobs/x"}
    async with desk() as d:
        async with serving(bound, d.helper.handle, limit=8):
            await post(bound, "/v1/get", question)
            await post(bound, "/v1/get", question)
        before, looks = d.world.broker.status(), list(d.world.metrics.seen)
        assert before.entries[0].uses == 2
        d.denied = True
        async with serving(door, d.actions.handle):
            known = await post(door, "/v1/get", question)
            unknown = await post(door, "/v1/get", {"uri": "https://reg.test/v2/c/d/blobs/x"})
        assert known == unknown
        assert known[0] == 403
        assert d.world.metrics.seen == looks
        assert d.world.broker.status().entries == before.entries
        assert d.world.provider.runs == ["reg.test"]
        assert d.refused == {"policy_denied": 2}


async def test_only_documented_routes(bound: Bound) -> None:
    """T2: there is no verb to store, set or shut down; every path takes its one method."""
    async with desk() as d, serving(bound, d.helper.handle, limit=64):
        for verb in ("store", "set", "put", "shutdown", "stop", "erase", "list", "config"):
            assert (await post(bound, f"/v1/{verb}"))[0] == 404, verb
        for route in HelperApi.ROUTES:
            if route.method == "GET":
                assert (await post(bound, route.path))[0] == 405, route.path
