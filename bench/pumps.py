"""The ways to move a body, side by side: inside the event loop, in a thread, inside the kernel.

    pumps.py CA_BUNDLE URL

Prints a JSON object of bytes per second: each moves the blob at URL to a process that discards it. The choice in
adapters/pump.py is based on these figures.
"""

import asyncio
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp

from credproxy.adapters import splice
from credproxy.adapters.pump import Pump
from credproxy.core.ask.http import Dial, Request


Move = Callable[[socket.socket], Awaitable[int]]


async def rate(move: Move) -> float:
    """Bytes per second from the request to the reader's end."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            reader = await asyncio.create_subprocess_exec("cat", stdin=theirs, stdout=asyncio.subprocess.DEVNULL)
        begun = time.perf_counter()
        moved = await move(ours)
    await reader.wait()
    return moved / (time.perf_counter() - begun)


def in_loop(url: str, bundle: str) -> Move:
    """What aiohttp's client reads is written to an asyncio transport."""

    async def move(ours: socket.socket) -> int:
        _, writer = await asyncio.open_unix_connection(sock=ours.dup())
        context = ssl.create_default_context(cafile=bundle)
        moved = 0
        async with aiohttp.ClientSession() as session, session.get(url, ssl=context, read_bufsize=1 << 18) as answer:
            while chunk := await answer.content.readany():
                writer.write(chunk)
                await writer.drain()
                moved += len(chunk)
        writer.close()
        await writer.wait_closed()
        return moved

    return move


def pumped(url: str, bundle: str, *, spliced: bool) -> Move:
    """The pump, with and without splice."""

    async def move(ours: socket.socket) -> int:
        splice.AVAILABLE = spliced
        async with Pump() as pump:
            transfer = await pump.open(Request("GET", url, dial=Dial(own=True, ca_bundle=bundle)), "reg.test")
            assert transfer.length is not None
            poured = await transfer.pour(os.dup(ours.fileno()), transfer.length)
            transfer.close()
            return poured.moved

    return move


async def main(bundle: str, url: str) -> None:
    """Measure all alternately, and give the best of each."""
    ways = {"loop": in_loop(url, bundle), "thread": pumped(url, bundle, spliced=False)}
    if urlsplit(url).scheme == "http":
        ways["splice"] = pumped(url, bundle, spliced=True)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, move in ways.items():
            rates[name].append(await rate(move))
    print(json.dumps({name: max(found) for name, found in rates.items()}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
