"""The floor for the daemon: an aiohttp handler that reads the body and answers the same bytes every time.

bare.py SOCKET
"""

import asyncio
import sys

from aiohttp import web


ANSWER = b'{"headers":{"Authorization":["Bearer 0123456789abcdef0123456789abcdef"]},"expires":"2030-01-01T00:00:00Z"}'


async def answer(request: web.Request) -> web.Response:
    """Read, then answer."""
    await request.read()
    return web.Response(body=ANSWER, content_type="application/json")


async def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_post("/v1/get", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, sys.argv[1], backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
