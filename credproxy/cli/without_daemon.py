"""What ``explain`` and ``bazelrc`` need to know of a daemon without one: the same decisions from the same files; no server is asked, no program started."""

import asyncio
import os
import random
import secrets
from collections.abc import Sequence

import msgspec

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.jwt_signing import JwtSigner
from credproxy.adapters.keyrings import keyring_of
from credproxy.adapters.metrics import PrometheusMetrics
from credproxy.adapters.program_search import find_program
from credproxy.broker.broker import Broker
from credproxy.broker.explain_uri import explain_uri
from credproxy.broker.report import Explanation
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.cli.command_error import CommandError
from credproxy.cli.quiet import quiet
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.target import Question, Target
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds import HostRule
from credproxy.core.policy.samples import sample
from credproxy.daemon.build import KEY_BYTES, World, build_table
from credproxy.ports.processes import Command, Completed
from credproxy.ports.terms import Terms
from credproxy.providers.learned import Learned


class _NoNetwork:
    """Sends nothing. Source: ports.http_client.HttpClient."""

    async def send(self, request: Request, terms: Terms) -> Response:
        """Refuse to run."""
        del request, terms
        raise failed(Code.UPSTREAM_UNAVAILABLE, "without a daemon no server is asked", hint="credproxy serve")


class _NoPrograms:
    """Starts nothing. Source: ports.processes.Processes.

    Args:
        path: where to look for programs.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    async def run(self, command: Command) -> Completed:
        """Refuse to run."""
        raise failed(
            Code.HELPER_NOT_RUNNABLE,
            f"{command.argv[0]!r} may have a login, and without a daemon it is not asked",
            hint="start the daemon, then ask again: credproxy serve",
        )

    async def find(self, command: Command) -> None:
        """Check whether the daemon could start a program. Raises Failed(helper_not_runnable)."""
        await asyncio.to_thread(find_program, command, self._path)


def explain_here(uri: str, settings: Settings) -> dict[str, object]:
    """Give the explanation as JSON, without what only a daemon knows.

    Raises:
        CommandError: the URI cannot be used.
    """
    with quiet():
        try:
            told = msgspec.to_builtins(asyncio.run(_explained(uri, settings)))
        except Failed as error:
            raise CommandError(f"{error.failure.message} ({error.failure.code})", error.failure.hint) from None
    return {name: value for name, value in told.items() if name != "generation"}


def with_logins(rules: Sequence[HostRule], settings: Settings) -> list[HostRule]:
    """The built-in rules, of these, that would answer: there is a login, or what is wrong with it is told."""
    with quiet():
        return asyncio.run(_with_logins(rules, settings))


async def _with_logins(rules: Sequence[HostRule], settings: Settings) -> list[HostRule]:
    clock, files = SystemClock(), SystemFiles()
    try:
        table, _ = _made(settings, clock, files)
        return [rule for rule in rules if await _answers(table, sample(rule))]
    finally:
        files.close()


async def _answers(table: Table, target: Target) -> bool:
    try:
        return (await table.plan(Question(target, Caller("helper", os.geteuid())))).plan is not None
    except Failed:
        return True


async def _explained(uri: str, settings: Settings) -> Explanation:
    clock, files = SystemClock(), SystemFiles()
    try:
        table, upstream = _made(settings, clock, files)
        broker = Broker(table, clock=clock, sample=random.random, metrics=PrometheusMetrics(), upstream=upstream)
        async with broker:
            return await explain_uri(broker, uri, caller=Caller("helper", os.geteuid()))
    finally:
        files.close()


def _made(settings: Settings, clock: SystemClock, files: SystemFiles) -> tuple[Table, RepeatingClient]:
    """The table that a daemon would have, and what would ask servers for it."""
    upstream = RepeatingClient(_NoNetwork(), clock=clock, sample=random.random)
    path = settings.helper_path or os.environ.get("PATH", os.defpath)
    learned = Learned(secrets.token_bytes(KEY_BYTES))
    programs = _NoPrograms(path)
    keyring = keyring_of(os.environ, clock=clock, uid=os.geteuid(), processes=programs)
    world = World(os.environ, os.geteuid(), clock, upstream, programs, files, JwtSigner(), learned, keyring)
    return build_table(settings, world), upstream
