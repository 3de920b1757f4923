"""``credproxy demo``: the main job end to end on this machine, step by step.

Only the registry is private; everything else is real. The helper and the daemon run as separate processes, as they do
under Bazel, with their sockets and files in a folder that is removed at the end.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web

from credproxy.demo import build_action
from credproxy.demo.demo_registry import KEY_HEADER, DemoRegistry
from credproxy.demo.stage import DemoError, Say, Stage, digest_of, download, uri


CALLS = 200
AT_ONCE = 8
"""Helpers at once: Bazel downloads eight files at a time."""

REPOSITORY = "acme/app"
LAYER_SIZE = 1024 * 1024


async def tell(say: Say, *, keep: bool = False) -> None:
    """Run the demo; ``say`` takes one line. With ``keep`` everything keeps running until interrupted.

    Raises:
        DemoError: a step did not do what it should.
    """
    registry = DemoRegistry(
        user="demo", password=secrets.token_urlsafe(12), repository=REPOSITORY, api_key=secrets.token_urlsafe(12)
    )
    layer = registry.add_blob(os.urandom(LAYER_SIZE))
    registry.files[build_action.FILE] = os.urandom(LAYER_SIZE)
    with tempfile.TemporaryDirectory(prefix="credproxy-demo-") as name:
        async with _listening(registry) as authority:
            stage = _set_stage(Path(name), registry, authority)
            say(f"1. A private registry runs at {registry.origin}; without a token it answers:")
            say(f"     {await _refusal(registry, layer)}")
            say("2. The daemon starts with this configuration (the secrets are in its environment, not in a file):")
            for line in _configuration(authority).splitlines():
                say(f"     {line}")
            async with _daemon(stage):
                await _act(say, stage, registry, layer)
                if keep:
                    await _stay(say, stage, registry, layer)


async def _act(say: Say, stage: Stage, registry: DemoRegistry, layer: str) -> None:
    uris = [uri(registry, digest_of(str(n).encode())) for n in range(CALLS - 1)]
    uris.append(uri(registry, layer))
    say(f"3. Bazel would now start one helper for each of {CALLS} blobs, {AT_ONCE} at a time. So do we:")
    started = time.perf_counter()
    answers = await _ask_all(stage, uris)
    spent = time.perf_counter() - started
    say(f"     echo '{json.dumps({'uri': uris[-1]})}' | credproxy-helper get")
    say(f"     {CALLS} answers in {spent:.2f} s, {spent / CALLS * 1000:.1f} ms each, processes included")
    headers = {tuple(sorted((key, value[0]) for key, value in answer["headers"].items())) for answer in answers}
    if len(headers) != 1 or not next(iter(headers)):
        raise DemoError(f"{CALLS} blobs of one repository should share one header, there are {len(headers)}")
    say(f"     all {CALLS} carry the same Bearer token, good until {answers[-1]['expires']}")
    say("4. The last header downloads the layer:")
    content = await download(uris[-1], dict(next(iter(headers))))
    digest = digest_of(content)
    if digest != layer:
        raise DemoError(f"the layer's digest is {digest}, wanted {layer}")
    say(f"     {len(content)} bytes, the digest is right")
    say("5. What the registry saw:")
    say(
        f"{CALLS} helper calls, {registry.seen['ping']} ping, {registry.seen['exchange']} exchange, "
        f"layer {digest} verified"
    )
    if (registry.seen["ping"], registry.seen["exchange"]) != (1, 1):
        raise DemoError("one ping and one exchange should have been enough")
    await build_action.play(say, stage, registry=registry, layer=layer)


async def _stay(say: Say, stage: Stage, registry: DemoRegistry, layer: str) -> None:
    socket = stage.environ["CREDPROXY_SOCKET"]
    say("")
    say("All of it stays up until you press Ctrl-C. In another terminal:")
    say(f"     export CREDPROXY_SOCKET={socket}")
    say(f"     echo '{json.dumps({'uri': uri(registry, layer)})}' | {stage.helper} get")
    say(f"     {stage.daemon} status")
    say(f"     {stage.daemon} explain {uri(registry, layer)}")
    await asyncio.Event().wait()


def _configuration(authority: str) -> str:
    return (
        "[[host]]\n"
        f'match = "{authority}"\n'
        'provider = "oci"\n'
        'credentials = { source = "env", name = "DEMO_PASSWORD", username = "demo" }\n'
        "insecure = true  # it speaks plain http\n"
        "\n"
        "[[host]]\n"
        f'match = "{authority}/files"\n'
        'provider = "header"\n'
        f'name = "{KEY_HEADER}"\n'
        'secret = { source = "env", name = "DEMO_KEY" }\n'
        "insecure = true\n"
    )


def _set_stage(folder: Path, registry: DemoRegistry, authority: str) -> Stage:
    beside = Path(sys.executable).parent
    programs = {name: beside / name for name in ("credproxy", "credproxy-helper")}
    found = {name: str(path) if path.exists() else shutil.which(name) for name, path in programs.items()}
    for name, path in found.items():
        if path is None:
            raise DemoError(f"{name!r} is not installed beside {sys.executable!r} nor on PATH; run: make setup")
    config = folder / "config" / "credproxy" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(_configuration(authority))
    (folder / "run").mkdir(mode=0o700)
    environ = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "CREDPROXY_SOCKET": str(folder / "run" / "credproxy" / "helper.sock"),
        "CREDPROXY_AUTOSTART": "0",
        "DEMO_PASSWORD": registry.password,
        "DEMO_KEY": registry.api_key,
    }
    return Stage(str(found["credproxy-helper"]), str(found["credproxy"]), folder, environ)


@contextlib.asynccontextmanager
async def _listening(registry: DemoRegistry) -> AsyncIterator[str]:
    runner = web.AppRunner(registry.app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        registry.origin = f"http://{host}:{port}"
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _daemon(stage: Stage) -> AsyncIterator[None]:
    log = stage.folder / "daemon.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            stage.daemon, "serve", env=stage.environ, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        socket = stage.environ["CREDPROXY_SOCKET"]
        for _ in range(200):
            if os.access(socket, os.W_OK):
                break
            if process.returncode is not None:
                raise DemoError(f"the daemon did not start:\n{log.read_text()}")
            await asyncio.sleep(0.05)  # noqa: TID251  the demo has no clock to inject
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _ask_all(stage: Stage, uris: list[str]) -> list[dict[str, dict[str, list[str]]]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(uri: str) -> dict[str, dict[str, list[str]]]:
        async with gate:
            process = await asyncio.create_subprocess_exec(
                stage.helper,
                "get",
                env=stage.environ,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, complaint = await process.communicate(json.dumps({"uri": uri}).encode())
        if process.returncode != 0:
            raise DemoError(f"the helper failed: {complaint.decode(errors='replace')}")
        answer: dict[str, dict[str, list[str]]] = json.loads(out)
        return answer

    return await asyncio.gather(*(ask(uri) for uri in uris))


async def _refusal(registry: DemoRegistry, layer: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(uri(registry, layer)) as response:
        return f"{response.status} {response.headers['WWW-Authenticate']}"
