"""The helper socket's API in front of a broker with fakes behind it."""

import contextlib
from collections.abc import AsyncIterator

from credproxy.adapters.libraries import worker_report
from credproxy.server.answer_memo import Memo
from credproxy.server.helper_api import HelperApi, Reloaded, ReportedState
from credproxy.server.listener import Bound
from credproxy.server.protocol import GatedServer
from tests.broker.world import World
from tests.fakes import FakeAudit
from tests.server.test_protocol import serving


@contextlib.asynccontextmanager
async def daemon(w: World, bound: Bound) -> AsyncIterator[GatedServer]:
    """Serve that broker."""

    async def reload() -> Reloaded:
        raise AssertionError

    audit = FakeAudit()
    api = HelperApi(
        broker=w.broker,
        memo=Memo(audit),
        audit=audit,
        clock=w.clock,
        reload=reload,
        metrics_page=lambda: (b"", "text/plain"),
        state=lambda: ReportedState("all is well", well=True),
        worker=worker_report,
        refused={},
    )
    async with serving(bound, api.handle) as server:
        yield server
