"""Each module has tests: a file of its name, one that imports it, or one that exercises it and is named here."""

import re
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]

THROUGH = {
    "providers.bucket_regions": "providers/test_s3.py",
    "core.public_objects": "daemon/test_logins_that_fail.py",
    "providers.narrowing": "providers/test_oauth2.py",
    "sources.turns": "providers/test_oauth2.py",
    "__main__": "e2e/test_exit_status.py",
    "worker.aws_web_identity": "worker/test_aws.py",
    "worker.__main__": "adapters/test_libraries.py",
    "worker.google_refusals": "worker/test_google.py",
    "worker.http_answer": "worker/test_egress.py",
    "sources.azure_token": "sources/test_azure.py",
    "worker.azure_refusals": "worker/test_azure.py",
    "worker.azure_transport": "worker/test_azure.py",
    "core.ask.azure_hosts": "providers/test_azure.py",
    "cli.held_login": "real/test_oauth_login.py",
    "cli.login_wish": "cli/test_login.py",
    "cli.oauth_logout": "cli/test_login.py",
    "cli.oauth_means": "cli/test_device_login.py",
    "cli.quiet": "cli/test_explain.py",
    "cli.key_places": "cli/test_deep.py",
    "cli.rule_warnings": "cli/test_commands.py",
    "cli.typed_login": "cli/test_login.py",
    "adapters.addresses": "worker/test_egress.py",
    "adapters.login_programs": "real/test_login.py",
    "adapters.docker_logins": "cli/test_login.py",
    "sources.login_secrets": "sources/test_login.py",
    "worker.google_transport": "worker/test_google.py",
    "adapters.capped_body": "adapters/test_http_client.py",
    "adapters.guarded_dialing": "adapters/test_http_client.py",
    "adapters.program_search": "adapters/test_processes.py",
    "adapters.directories": "cli/test_commands.py",
    "adapters.hardening": "e2e/test_threats.py",
    "adapters.idle_connections": "adapters/test_connections.py",
    "core.amazon_signatures": "exchange/test_amazon_token.py",
    "adapters.relay_connector": "adapters/test_tls_relay.py",
    "adapters.lean_imports": "e2e/test_carriers.py",
    "adapters.http_session": "adapters/test_http_client.py",
    "adapters.upload": "adapters/test_forward.py",
    "adapters.wakeup": "adapters/test_pump.py",
    "broker.attempt": "broker/test_retry.py",
    "broker.bugs": "broker/test_faults.py",
    "broker.flights": "broker/test_flight.py",
    "broker.inspector": "cli/test_explain.py",
    "broker.landing": "broker/test_broker.py",
    "broker.lasting": "broker/test_broker.py",
    "broker.origin_state": "broker/test_retry.py",
    "broker.report": "server/test_helper_api.py",
    "carrier.passed_connections": "e2e/test_carriers.py",
    "carrier.log_lines": "e2e/test_carriers.py",
    "carrier.main": "e2e/test_carriers.py",
    "carrier.confined_start": "e2e/test_carriers.py",
    "carrier.nursery": "e2e/test_carriers.py",
    "cli.try_login": "real/test_login.py",
    "cli.login_choice": "cli/test_login.py",
    "cli.client_certificates": "cli/test_actions.py",
    "cli.daemon_commands": "cli/test_commands.py",
    "cli.config": "cli/test_commands.py",
    "cli.stop": "systemd/test_install.py",
    "cli.own_programs": "cli/test_commands.py",
    "cli.registry_ping": "e2e/test_doctor.py",
    "cli.serve": "e2e/test_demo.py",
    "cli.wanted_rule": "cli/test_actions_allow.py",
    "cli.without_daemon": "cli/test_explain.py",
    "core.config.trusted_files": "e2e/test_trusted_files.py",
    "core.formats.checks": "core/config/test_parse.py",
    "core.ask.endpoint_reasons": "cli/test_explain.py",
    "core.formats.docker_keys": "sources/test_docker_config.py",
    "core.formats.docker_programs": "sources/test_docker_config.py",
    "core.hints": "exchange/test_registry_token.py",
    "core.raised_at": "adapters/test_loop_errors.py",
    "core.searched_text": "core/test_complaints.py",
    "core.formats.shape_words": "core/config/test_parse.py",
    "core.formats.toml_text": "core/config/test_parse.py",
    "core.ask.urls": "core/config/test_parse.py",
    "daemon.socket_servers": "e2e/test_daemon.py",
    "daemon.passing_server": "e2e/test_carriers.py",
    "daemon.unconfigured": "e2e/test_daemon.py",
    "daemon.tcp_listener": "e2e/test_actions.py",
    "daemon.run": "e2e/test_daemon.py",
    "daemon.reload": "e2e/test_daemon.py",
    "demo.build_action": "e2e/test_demo.py",
    "demo.demo_registry": "e2e/test_demo.py",
    "demo.stage": "e2e/test_demo.py",
    "demo.story": "e2e/test_demo.py",
    "doctor.bazel_remote": "doctor/test_bazel.py",
    "doctor.network": "e2e/test_doctor.py",
    "exchange.statuses": "exchange/test_registry_token.py",
    "exchange.vault_refusals": "exchange/test_vault_api.py",
    "gateway.pagination": "gateway/test_gateway.py",
    "gateway.reads": "gateway/test_gateway.py",
    "helper.credproxy_helper": "helper/test_pump.py",
    "ports.forwarder": "adapters/test_forward.py",
    "ports.libraries": "adapters/test_libraries.py",
    "ports.observability": "adapters/test_files_clock_metrics.py",
    "ports.permissions": "server/test_gateway_api.py",
    "ports.signing": "adapters/test_aws_signing.py",
    "providers.registry_exchange": "providers/test_oci_learning.py",
    "server.c_parser": "e2e/test_supervision.py",
    "server.probes": "server/test_verbs.py",
    "server.sandboxed": "server/test_verbs.py",
    "sources.secret_file": "sources/test_simple_sources.py",
    "sources.nowhere": "cli/test_explain.py",
}
"""By module, the file whose tests go through it: it is one part of what that file tests."""

MODULES = sorted(
    ".".join(path.relative_to(ROOT / "credproxy").with_suffix("").parts)
    for path in (ROOT / "credproxy").rglob("*.py")
    if path.name != "__init__.py"
)
TESTS = {path.relative_to(ROOT / "tests"): path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py"))}
IMPORTED = {
    f"{room}.{name}" if name else room
    for text in TESTS.values()
    for room, names in re.findall(r"^from credproxy\.?([\w.]*) import (\([^)]*\)|[^\n]+)$", text, re.MULTILINE)
    for name in ("", *re.findall(r"\w+", names))
}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_tests(module: str) -> None:
    """So the tests of a module can be found, and a new module needs some."""
    room, _, name = module.rpartition(".")
    own = Path(*room.split("."), f"test_{name}.py") in TESTS or module in IMPORTED
    assert own != (module in THROUGH), "a test of its own, or a line above: not both and not neither"


@pytest.mark.parametrize("file", sorted(set(THROUGH.values())))
def test_the_files_named_above_are_there(file: str) -> None:
    """Otherwise a renamed file would leave its modules without tests."""
    assert Path(file) in TESTS


def test_the_modules_named_above_are_there() -> None:
    """A module that is gone needs no line."""
    assert set(THROUGH) <= set(MODULES)
