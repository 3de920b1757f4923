"""The demo's second half: what a build action gets, which cannot use a credential helper."""

import asyncio
import json
import shlex
import shutil
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import aiohttp
from yarl import URL

from credproxy.demo.demo_registry import DemoRegistry
from credproxy.demo.stage import DemoError, Say, Stage, digest_of, download, uri


FILE = "tool-1.0.tar.gz"
"""A private file that the action needs as well."""

_NAMESPACES = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--kill-child")
"""What Bazel's sandbox takes away from an action whose network is blocked."""


async def play(say: Say, stage: Stage, *, registry: DemoRegistry, layer: str) -> None:
    """A build action is refused, allowed by the command that the refusal names, and served in two ways; then a file."""
    await _header_mode(say, stage, registry, layer)
    sandbox = await _sandbox()
    await _gateway_mode(say, stage, registry=registry, layer=layer, sandbox=sandbox)
    await _file(say, stage, registry=registry, sandbox=sandbox)
    say("9. What talked to the build action is a process of its own, which has no login to lose:")
    for carrier in await _carriers(stage):
        say(f"     carrier {carrier['pid']}: {carrier['confined']}")


async def _header_mode(say: Say, stage: Stage, registry: DemoRegistry, layer: str) -> None:
    place = uri(registry, layer)
    say("6. A build action, which no helper reaches, asks the actions socket; nothing is allowed until a rule says so:")
    await _allowed_after_refusal(say, stage, place)
    status, _, headers = await _ask_as_action(stage, place)
    if status != HTTPStatus.OK:
        raise DemoError(f"the rule is there, and the actions socket answers {status}")
    content = await download(place, {name: values[0] for name, values in headers.items()})
    if digest_of(content) != layer:
        raise DemoError("what the action downloaded has another digest")
    say(f"     a token to pull {registry.repository!r} and nothing else; {len(content)} bytes, the digest is right")


async def _allowed_after_refusal(say: Say, stage: Stage, place: str) -> None:
    """Nothing is allowed until a rule says so; the refusal names the command that adds one, and that is run."""
    status, refused, _ = await _ask_as_action(stage, place)
    if status != HTTPStatus.FORBIDDEN:
        raise DemoError(f"the actions socket should refuse what no rule allows, and answered {status}")
    say(f"     {status} {refused['message']}")
    command = shlex.split(refused["hint"])
    say(f"     {shlex.join(command)}")
    await _credproxy(stage, command[1:])


async def _gateway_mode(
    say: Say, stage: Stage, *, registry: DemoRegistry, layer: str, sandbox: tuple[str, ...]
) -> None:
    say("7. rules_img's lazy layers need no token: the daemon is the registry. In a sandbox without a network:")
    if not sandbox:
        say("     (this machine has no curl, or gives its users no namespaces: without a sandbox, then)")
    authority = registry.origin.removeprefix("http://")
    path = uri(registry, layer).removeprefix(registry.origin)
    if sandbox:
        direct = ["curl", "-sS", uri(registry, layer)]
        status, _, complaint = await _run([*sandbox, *direct])
        if status == 0:
            raise DemoError("a sandbox without a network should not have reached the registry")
        say(f"     {shlex.join(direct)}")
        say(f"       {complaint.decode(errors='replace').strip()}")
    headers = {"X-Rules_img-Original-Host": authority}
    content = await _through_gateway(say, stage, path=path, headers=headers, sandbox=sandbox)
    if digest_of(content) != layer:
        raise DemoError("what the gateway gave has another digest")
    say(f"       {len(content)} bytes, the digest is right, and no credential was in reach")


async def _file(say: Say, stage: Stage, *, registry: DemoRegistry, sandbox: tuple[str, ...]) -> None:
    place = f"{registry.origin}/files/{FILE}"
    say(
        "8. A private file beside the layer needs an API key, which opens all files. Again the action is refused first:"
    )
    await _allowed_after_refusal(say, stage, place)
    status, refused, _ = await _ask_as_action(stage, place)
    if status != HTTPStatus.FORBIDDEN:
        raise DemoError(f"an action should not be given the API key, and the actions socket answered {status}")
    say("     now it may have the file, but never the key:")
    say(f"     {status} {refused['message']}")
    path = f"/v1/fetch?url={quote(place, safe='')}"
    content = await _through_gateway(say, stage, path=path, headers={}, sandbox=sandbox)
    if content != registry.files[FILE]:
        raise DemoError("what the gateway gave is not the file")
    say(f"       {len(content)} bytes, the same as on the server")


async def _through_gateway(
    say: Say, stage: Stage, *, path: str, headers: Mapping[str, str], sandbox: tuple[str, ...]
) -> bytes:
    """What curl gets, from inside the sandbox where there is one; the same without curl where that is missing."""
    place = f"http://localhost{path}"
    command = ["curl", "-sS", "--fail-with-body", "--unix-socket", str(_actions_socket(stage))]
    command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    say(f"     {shlex.join([*command, place])}")
    if shutil.which("curl") is None:
        connector = aiohttp.UnixConnector(str(_actions_socket(stage)))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(URL(place, encoded=True), headers=headers, raise_for_status=True) as response,
        ):
            return await response.read()
    status, content, complaint = await _run([*sandbox, *command, place])
    if status != 0:
        raise DemoError(f"the gateway failed: {complaint.decode(errors='replace')}")
    return content


async def _carriers(stage: Stage) -> list[dict[str, object]]:
    status, told, complaint = await _run([stage.daemon, "status", "--json"], env=stage.environ)
    if status != 0:
        raise DemoError(f"the daemon does not tell its status: {complaint.decode(errors='replace')}")
    carriers: list[dict[str, object]] = json.loads(told)["carriers"]
    return carriers


async def _sandbox() -> tuple[str, ...]:
    """What to put in front of a command; nothing if this machine cannot."""
    if shutil.which("unshare") is None or shutil.which("curl") is None:
        return ()
    status, _, _ = await _run([*_NAMESPACES, "true"])
    return _NAMESPACES if status == 0 else ()


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


async def _ask_as_action(stage: Stage, place: str) -> tuple[int, dict[str, str], dict[str, list[str]]]:
    """Make a request as a build action; give status, error and headers of the answer."""
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
