"""``credproxy explain``: asks the daemon, or decides here if none runs."""

import contextlib
import json

import click

from credproxy.cli.client import NoDaemonError, ask
from credproxy.cli.daemon_commands import as_json
from credproxy.cli.read_config import trusted_settings


@click.command(short_help="Say what would be answered for URI, and why.")
@click.argument("uri")
@as_json
def explain(uri: str, *, as_json: bool) -> None:
    """Say what would be answered for URI and why; sends nothing, shows no secret.

    Without a daemon it says what one that is started in this environment would answer.
    """
    told: dict[str, object] | None = None
    with contextlib.suppress(NoDaemonError):
        told = ask("POST", "/v1/explain", body={"uri": uri})
    if told is None:
        from credproxy.cli.without_daemon import explain_here  # noqa: PLC0415  the broker takes longer than the call

        told = {"daemon": "none is running; this is what one would answer", **explain_here(uri, trusted_settings())}
    if as_json:
        click.echo(json.dumps(told))
        return
    from credproxy.cli.client_certificates import certificate_problem  # noqa: PLC0415  its imports take longer than --help
    from credproxy.cli.tables import show_explanation  # noqa: PLC0415  rich takes longer than the call

    certificate = told.get("certificate")
    if isinstance(certificate, str) and certificate and (problem := certificate_problem(certificate)):
        told["certificate"] = f"{certificate}, which {problem}"
    show_explanation(told)
