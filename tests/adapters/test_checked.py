"""Bytes that are checked in passing: the last piece is sent only if all of them are right."""

import hashlib

import pytest

from credproxy.adapters.download import GATHER, TAIL
from credproxy.adapters.pump import Pump
from credproxy.core.checksum import Checksum, checksum
from credproxy.ports.transfer import Poured, Stopped
from tests.adapters.scripted import Scripted, answering, raw
from tests.adapters.test_pump import BODY, SMALL, Trusted, client, get, poured


def check_of(body: bytes) -> Checksum:
    """Check for these bytes."""
    made = checksum(f"sha256:{hashlib.sha256(body).hexdigest()}")
    assert made is not None
    return made


@pytest.mark.parametrize("body", [SMALL, BODY], ids=["small", "large"])
@pytest.mark.parametrize("start", [0, 2])
async def test_a_correct_body_is_passed_on(body: bytes, start: int) -> None:
    """The part before it is checked and dropped; the connection is reused."""
    with Scripted(answering(body)) as server:
        async with Pump() as pump:
            for _ in range(2):
                transfer, check = await pump.open(get(server.url), "reg.test"), check_of(body)
                assert await transfer.skip(start, check) == Poured(start, Stopped.DONE)
                count = len(body) - start
                assert await poured(transfer, count, check) == (Poured(count, Stopped.DONE), body[start:])
                transfer.close()
    assert server.connections == 1


async def test_a_part_is_passed_on_if_the_whole_is_right() -> None:
    """What follows it is read as well: a digest covers all of it."""
    for right in (True, False):
        with Scripted(answering(BODY)) as server:
            async with Pump() as pump:
                transfer = await pump.open(get(server.url), "reg.test")
                check = check_of(BODY if right else BODY[::-1])
                await transfer.skip(10, check)
                outcome, body = await poured(transfer, 100, check)
                transfer.close()
        expected = (Poured(100, Stopped.DONE), BODY[10:110]) if right else (Poured(0, Stopped.WRONG), b"")
        assert (outcome, body) == expected


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_a_wrong_body_is_never_completed(encrypted: bool, trusted: Trusted) -> None:  # noqa: FBT001  parametrized
    """The last piece is held back, so that its client can see that something is wrong; also without TLS."""
    with Scripted(answering(BODY), context=trusted.context if encrypted else None) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url, trusted.dial), "reg.test")
            outcome, body = await poured(transfer, len(BODY), check_of(BODY + b"!"))
            transfer.close()
    assert outcome == Poured(len(BODY) - GATHER, Stopped.WRONG)
    assert body == BODY[: len(BODY) - GATHER]


async def test_a_break_in_a_checked_body_says_how_much_was_given() -> None:
    """What was held back counts as not given."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with Scripted(raw(head, BODY[:-5])) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            outcome, body = await poured(transfer, len(BODY), check_of(BODY))
            assert transfer.tail == BODY[outcome.moved - TAIL : outcome.moved]
            transfer.close()
    assert outcome == Poured(len(body), Stopped.UPSTREAM)
    assert body == BODY[: len(body)]


async def test_a_client_that_leaves_before_the_last_piece() -> None:
    """P8: it is not the registry's fault."""
    with Scripted(answering(SMALL)) as server:
        async with Pump() as pump, client() as somebody:
            transfer = await pump.open(get(server.url), "reg.test")
            somebody.hang_up()
            outcome = await transfer.pour(somebody.descriptor(), len(SMALL), check=check_of(SMALL))
            transfer.close()
    assert outcome.stopped is Stopped.CLIENT


async def test_the_end_of_what_was_given_is_kept(trusted: Trusted) -> None:
    """4 KiB of it, to compare with what another server sends there; nothing of what did not pass through this process."""
    for context in (trusted.context, None):
        with Scripted(answering(BODY), context=context) as server:
            async with Pump() as pump:
                transfer = await pump.open(get(server.url, trusted.dial), "reg.test")
                await poured(transfer, len(BODY) - 100)
                assert transfer.tail == BODY[len(BODY) - 100 - TAIL : len(BODY) - 100]
                transfer.close()
