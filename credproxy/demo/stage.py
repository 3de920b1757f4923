"""What the demo's scenes share: where it plays, and how a file is downloaded."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp

from credproxy.demo.demo_registry import DemoRegistry


Say = Callable[[str], None]


class DemoError(Exception):
    """The demo did not show what it should; the text says which step."""


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: programs, folder, environment of the child processes."""

    helper: str
    daemon: str
    folder: Path
    environ: dict[str, str]


def uri(registry: DemoRegistry, digest: str) -> str:
    """A blob's place in the registry."""
    return f"{registry.origin}/v2/{registry.repository}/blobs/{digest}"


def digest_of(content: bytes) -> str:
    """The name of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def download(place: str, headers: dict[str, str]) -> bytes:
    """Fetch a file. Raises DemoError."""
    async with aiohttp.ClientSession() as session, session.get(place, headers=headers) as response:
        if response.status != HTTPStatus.OK:
            raise DemoError(f"the registry answered {response.status} to the header that came back")
        return await response.read()
