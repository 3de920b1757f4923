"""What the steps of the demo share: programs and folders, and how a file is downloaded."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp

from credproxy.demo.demo_registry import DemoRegistry


Say = Callable[[str], None]


class DemoError(Exception):
    """The demo did not show what it should; the message names the step."""


@dataclass(frozen=True)
class Stage:
    """The demo's programs, folder, and environment of the child processes."""

    helper: str
    daemon: str
    folder: Path
    environ: dict[str, str]


def uri(registry: DemoRegistry, digest: str) -> str:
    """The URL of a blob in the registry."""
    return f"{registry.origin}/v2/{registry.repository}/blobs/{digest}"


def digest_of(content: bytes) -> str:
    """The digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def download(place: str, headers: dict[str, str]) -> bytes:
    """Fetch a file. Raises DemoError."""
    async with aiohttp.ClientSession() as session, session.get(place, headers=headers) as response:
        if response.status != HTTPStatus.OK:
            raise DemoError(f"the registry answered {response.status} to the header that came back")
        return await response.read()
