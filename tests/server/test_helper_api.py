"""The helper socket's API on a real connection, with a fake provider behind it."""

import asyncio
import os

import pytest
from structlog.testing import capture_logs

from credproxy.core.ask.credential import Secret, UserPassword
from credproxy.server.listener import Bound
from credproxy.server.peer import Gate
from tests.broker.world import token, world
from tests.fakes import settle
from tests.server.front import daemon


URI = b'{"uri":"https://reg.test/v2/a/b/blobs/x"}'
ASK = b"POST /v1/get HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(URI), URI)


@pytest.mark.parametrize("sent", [ASK, ASK[:-5], ASK[:20]], ids=["asked", "within the body", "within the head"])
async def test_a_client_that_breaks_off_costs_nothing_but_its_own_answer(bound: Bound, sent: bytes) -> None:
    """P8: no traceback, and the connection's place is given back; a flight goes on, and its result is kept."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with world() as w, daemon(w, bound) as server:
        w.provider.delay = 1
        with capture_logs() as logs:
            _, writer = await asyncio.open_unix_connection(str(bound.path))
            writer.write(sent)
            await writer.drain()
            while not server.open:
                await settle(1)
            await settle()
            assert len(w.provider.runs) == (sent is ASK)
            writer.transport.abort()
            while server.open:
                await settle(1)
            await w.clock.advance(1)
        if sent is ASK:
            assert (token(await w.ask()), len(w.provider.runs)) == ("tok1", 1)
        assert {(entry["event"], entry["log_level"]) for entry in logs} <= {
            ("exchanged", "info"),
            ("question failed", "info"),
        }
    assert complaints == []


async def _post(bound: Bound, path: str, body: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(bound.path))
    writer.write(
        b"POST %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
        % (path.encode(), len(body), body)
    )
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_user_name_in_the_url_is_as_if_it_were_not_there(bound: Bound) -> None:
    """CL-23: the host's credential, with one exchange for both spellings; the password in it is nowhere."""
    async with world() as w, daemon(w, bound):
        plain = await _post(bound, "/v1/get", URI)
        with capture_logs() as logs:
            for user in (b"oauth2accesstoken@", b"oauth2accesstoken:canary@", b"@", b":@"):
                assert await _post(bound, "/v1/get", URI.replace(b"//", b"//" + user)) == plain
            explained = await _post(bound, "/v1/explain", URI.replace(b"//", b"//u:canary@"))
            refused = await _post(bound, "/v1/get", URI.replace(b"//", b"//u:canary@x@"))
        assert len(w.provider.runs) == 1
        assert b'"target":"https://reg.test/v2/a/b/blobs/x"' in explained
        assert b"400" in refused.splitlines()[0]
        assert "canary" not in f"{logs}{explained!r}{refused!r}{w.broker.status()}"


async def test_a_user_name_in_a_server_url_is_as_if_it_were_not_there(bound: Bound) -> None:
    """The docker helper protocol gives the server URL back as it was asked."""
    async with world() as w, daemon(w, bound):
        w.provider.login = UserPassword("u", Secret("p"))
        answer = await _post(bound, "/v1/docker/get", b"https://someone:canary@reg.test")
        assert b'"Username":"u","Secret":"p"' in answer


async def _probe(bound: Bound, mark: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(bound.path))
    writer.write(f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Credproxy-Probe: {mark}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.split()[1]


async def test_an_announced_probe_of_the_gate_is_refused_without_a_line_in_the_log(bound: Bound) -> None:
    """The doctor's own; its mark is known to the daemon from an admitted connection, and stands for one refusal."""
    mark, gate = "a" * 32, Gate(uid=os.getuid() + 1)
    async with world() as w, daemon(w, bound) as server:
        assert await _probe(bound, mark) == b"200"
        server.gate = gate
        with capture_logs() as logs:
            assert await _probe(bound, mark) == b"403"
            quiet = [entry for entry in logs if entry["log_level"] != "debug"]
            assert await _probe(bound, mark) == b"403"
        assert quiet == []
        assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["question failed"]


@pytest.mark.parametrize("mark", ["b" * 32, "", "short"])
async def test_an_intruder_cannot_hide_behind_a_mark_of_its_own(bound: Bound, mark: str) -> None:
    """A mark that no admitted caller has announced does not hide a refusal, however often it comes."""
    async with world() as w, daemon(w, bound) as server:
        assert await _probe(bound, "a" * 32) == b"200"
        assert await _probe(bound, "short") == b"200"
        server.gate = Gate(uid=os.getuid() + 1)
        with capture_logs() as logs:
            for _ in range(3):
                assert await _probe(bound, mark) == b"403"
        assert [entry["event"] for entry in logs] == ["question failed"] * 3


@pytest.mark.parametrize(
    ("match", "hint"),
    [
        ("https://reg.test/v2/", "credproxy flush reg.test"),
        ("reg.test/team", "credproxy flush reg.test"),
        ("a..b", "credproxy flush HOST"),
        ("", "credproxy flush HOST"),
        ("*", ""),
        ("*.test", ""),
        ("REG.test:443", ""),
    ],
)
async def test_what_can_match_nothing_is_not_flushed_in_silence(bound: Bound, match: str, hint: str) -> None:
    """A user who pastes a URL is told what to write instead, and not that there was nothing to forget."""
    async with world() as w, daemon(w, bound):
        answer = await _post(bound, "/v1/flush", f'{{"match": "{match}"}}'.encode())
    assert answer.startswith(b"HTTP/1.1 400 " if hint else b"HTTP/1.1 200 ")
    assert f'"hint":"{hint}"'.encode() in answer or not hint
