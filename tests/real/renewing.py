"""Renews a login again and again, in a process that may be killed at any moment; a program for test_oauth2.py.

    python renewing.py ISSUER SOURCE

SOURCE is the JSON of where the refresh token is. For each line on its standard input it forks a process that renews as often as the line says, prints a line for each time
(``ok ACCESS_TOKEN``, or ``failed`` and the failure), and ``end``. It imports once, so that thirty of them take no time.
"""

import asyncio
import os
import sys

import msgspec

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.keyrings import keyring_of
from credproxy.adapters.processes import SystemProcesses
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Failed
from credproxy.core.kinds.oauth2 import OauthHost
from credproxy.core.kinds.sources import SourceSettings
from credproxy.providers.oauth2 import OauthProvider
from credproxy.providers.oauth_secrets import KeyTools, OauthSecrets
from credproxy.sources import SourceTools, make
from tests.fakes import FakeAwsSigner, FakeLibraries, FakeMetrics, FakeSigner, FixedTerms


def say(*words: object) -> None:
    """One line, whole."""
    os.write(1, (" ".join(map(str, words)).replace("\n", " ") + "\n").encode())


async def renew(issuer: str, place: SourceSettings, times: int) -> None:
    """Renew."""
    clock, files = SystemClock(), SystemFiles()
    rule = OauthHost(
        match="cache.test", client_id="bazel", token_url=f"{issuer}/token", grant="refresh_token", refresh_token=place
    )
    processes = SystemProcesses(os.environ, clock=clock, metrics=FakeMetrics())
    async with AiohttpClient(clock) as http:
        tools = SourceTools(
            environ=os.environ,
            uid=os.geteuid(),
            clock=clock,
            processes=processes,
            files=files,
            http=http,
            signer=FakeSigner(),
            keyring=keyring_of(os.environ, clock=clock, uid=os.geteuid(), processes=processes),
            aws=FakeAwsSigner(),
            key=lambda: b"k",
            libraries=FakeLibraries(),
        )
        keys = KeyTools(files, FakeSigner(), "", lambda: "")
        secrets = OauthSecrets(rule, sources={"refresh_token": make(place, tools)}, keys=keys, clock=clock)
        provider = OauthProvider(rule, secrets=secrets, http=http, clock=clock)
        for _ in range(times):
            now = clock.boot()
            try:
                plan = await provider.plan(Question(parse_uri("https://cache.test/x"), Caller()))
                assert plan is not None
                grant = await plan.run(FixedTerms(deadline=now + 30, patience=now + 20))
                say("ok", grant.headers[0][1][0].reveal().removeprefix("Bearer "))
            except Failed as error:
                say("failed", error.failure.code, error.failure.message, "->", error.failure.hint)
    say("end")
    files.close()


def main() -> None:
    """Fork for each line."""
    issuer, place = sys.argv[1:]
    settings: SourceSettings = msgspec.json.decode(place, type=SourceSettings)
    say("ready")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            say("pid", os.getpid())
            asyncio.run(renew(issuer, settings, int(line)))
            os._exit(0)
        os.waitpid(child, 0) if line.startswith("0") else None


if __name__ == "__main__":
    main()
