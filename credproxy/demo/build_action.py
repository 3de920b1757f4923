"""The demo's second half: what a build action gets, which no credential helper reaches."""

import asyncio
import json
import shlex
import shutil
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import aiohttp

from credproxy.demo.demo_registry import DemoRegistry
from credproxy.demo.stage import DemoError, Say, Stage, digest_of, download, uri


_NAMESPACES = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--kill-child")
"""What Bazel's sandbox takes from an action whose network is blocked."""


async def play(say: Say, stage: Stage, *, registry: DemoRegistry, layer: str) -> None:
    """A build action is refused, allowed by the command that the refusal names, and served in two ways."""
    await _header_mode(say, stage, registry, layer)
    await _gateway_mode(say, stage, registry, layer)


async def _header_mode(say: Say, stage: Stage, registry: DemoRegistry, layer: str) -> None:
    place = uri(registry, layer)
    say("6. A build action, which no helper reaches, asks the actions socket; nothing is allowed until a rule says so:")
    status, refused, _ = await _ask_as_action(stage, place)
    if status != HTTPStatus.FORBIDDEN:
        raise DemoError(f"the actions socket should refuse what no rule allows, and answered {status}")
    say(f"     {status} {refused['message']}")
    command = shlex.split(refused["hint"])
    say(f"     {shlex.join(command)}")
    await _credproxy(stage, command[1:])
    status, _, headers = await _ask_as_action(stage, place)
    if status != HTTPStatus.OK:
        raise DemoError(f"the rule is there, and the actions socket answers {status}")
    content = await download(place, {name: values[0] for name, values in headers.items()})
    if digest_of(content) != layer:
        raise DemoError("what the action downloaded has another digest")
    say(f"     a token to pull {registry.repository!r} and nothing else; {len(content)} bytes, the digest is right")


async def _gateway_mode(say: Say, stage: Stage, registry: DemoRegistry, layer: str) -> None:
    say("7. rules_img's lazy layers need no token: the daemon is the registry. In a sandbox without a network:")
    sandbox = await _sandbox()
    if sandbox is None:
        say("     (this machine has no curl, or gives its users no namespaces: without a sandbox, then)")
    authority = registry.origin.removeprefix("http://")
    path = uri(registry, layer).removeprefix(registry.origin)
    command = ["curl", "-sS", "--fail-with-body", "--unix-socket", str(_actions_socket(stage))]
    command += ["-H", f"X-Rules_img-Original-Host: {authority}", f"http://localhost{path}"]
    if sandbox:
        direct = ["curl", "-sS", uri(registry, layer)]
        status, _, complaint = await _run([*sandbox, *direct])
        if status == 0:
            raise DemoError("a sandbox without a network should not have reached the registry")
        say(f"     {shlex.join(direct)}")
        say(f"       {complaint.decode(errors='replace').strip()}")
    say(f"     {shlex.join(command)}")
    if sandbox:
        status, content, complaint = await _run([*sandbox, *command])
        if status != 0:
            raise DemoError(f"the gateway failed: {complaint.decode(errors='replace')}")
    else:
        content = await _through_gateway(stage, authority, path)
    if digest_of(content) != layer:
        raise DemoError("what the gateway gave has another digest")
    say(f"       {len(content)} bytes, the digest is right, and no credential was in reach")
    say("8. What talked to the build action is a process of its own, which has no login to lose:")
    for carrier in await _carriers(stage):
        say(f"     carrier {carrier['pid']}: {carrier['confined']}")


async def _carriers(stage: Stage) -> list[dict[str, object]]:
    status, told, complaint = await _run([stage.daemon, "status", "--json"], env=stage.environ)
    if status != 0:
        raise DemoError(f"the daemon does not tell its status: {complaint.decode(errors='replace')}")
    carriers: list[dict[str, object]] = json.loads(told)["carriers"]
    return carriers


async def _sandbox() -> tuple[str, ...] | None:
    """What to put in front of a command; None where this machine cannot."""
    if shutil.which("unshare") is None or shutil.which("curl") is None:
        return None
    status, _, _ = await _run([*_NAMESPACES, "true"])
    return _NAMESPACES if status == 0 else None


async def _run(argv: list[str], env: Mapping[str, str] | None = None) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaint = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, complaint


def _actions_socket(stage: Stage) -> Path:
    return Path(stage.environ["XDG_RUNTIME_DIR"]) / "credproxy-actions" / "actions.sock"


async def _through_gateway(stage: Stage, authority: str, path: str) -> bytes:
    connector = aiohttp.UnixConnector(str(_actions_socket(stage)))
    headers = {"X-Rules_img-Original-Host": authority}
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://localhost{path}", headers=headers) as response,
    ):
        return await response.read()


async def _ask_as_action(stage: Stage, place: str) -> tuple[int, dict[str, str], dict[str, list[str]]]:
    """Status, error and headers of an answer."""
    connector = aiohttp.UnixConnector(str(_actions_socket(stage)))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://localhost/v1/get", json={"uri": place}) as response,
    ):
        answer = await response.json()
        return response.status, answer.get("error", {}), answer.get("headers", {})


async def _credproxy(stage: Stage, args: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        stage.daemon, *args, env=stage.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise DemoError(f"credproxy {shlex.join(args)} failed: {said.decode(errors='replace')}")
