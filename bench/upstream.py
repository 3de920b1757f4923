"""A token-protected registry for the benches, in a separate process.

    upstream.py DELAY_SECONDS

Prints its port, then answers; ``GET /counts`` counts its requests. The token answer takes DELAY_SECONDS.
"""

import asyncio
import json
import sys

from aiohttp import web
from aiohttp.typedefs import Handler

from credproxy.demo.demo_registry import DemoRegistry


async def main() -> None:
    """Serve until killed."""
    delay = float(sys.argv[1])
    registry = DemoRegistry(user="bench", password="bench", repository="acme/app", token_life=3600, api_key="bench")

    @web.middleware
    async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/token":
            await asyncio.sleep(delay)
        return await handler(request)

    async def counts(request: web.Request) -> web.Response:
        del request
        return web.json_response(registry.seen)

    app = registry.app()
    app.middlewares.append(slow)
    app.router.add_get("/counts", counts)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    registry.origin = f"http://127.0.0.1:{port}"
    print(json.dumps({"port": port}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
