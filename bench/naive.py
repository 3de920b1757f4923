"""The floor for small blobs: the simplest pass-through, with server and client in one event loop.

naive.py SOCKET URL CA

Every request on SOCKET is answered with the content of URL; CA is for TLS. No policy, no credential, no limit.
"""

import asyncio
import ssl
import sys

import aiohttp
from aiohttp import web


async def main() -> None:
    """Serve until killed."""
    place, url, bundle = sys.argv[1:]
    context = ssl.create_default_context(cafile=bundle)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=0)) as session:

        async def answer(_: web.BaseRequest) -> web.Response:
            async with session.get(url) as found:
                return web.Response(body=await found.read(), status=found.status)

        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        await web.UnixSite(runner, place).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
