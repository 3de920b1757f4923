"""``credproxy doctor`` beside a real systemd: what it says about the service."""

import json

import pytest

from tests.systemd.machine import Machine


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


def findings(machine: Machine, topic: str) -> dict[str, tuple[str, str]]:
    """Severity and remedy by message."""
    done = machine.credproxy("doctor", "--json")
    found = json.loads(done.stdout)["findings"]
    return {one["message"]: (one["severity"], one["remedy"]) for one in found if one["topic"] == topic}


def test_before_the_installation_it_names_the_command(machine: Machine) -> None:
    """A note: the helper starts the daemon without a service as well."""
    (message,) = [text for text in findings(machine, "service") if "not installed" in text]
    assert findings(machine, "service")[message] == ("note", "credproxy install")


def test_an_installed_service_is_fine(installed: Machine) -> None:
    """Both sockets listen, the daemon answers, and its gate refuses a sandbox if one can be made."""
    service = findings(installed, "service")
    assert service["credproxy.socket is listening"] == ("ok", "")
    assert service["credproxy-actions.socket is listening"] == ("ok", "")
    assert {severity for severity, _ in findings(installed, "daemon").values()} <= {"ok", "note"}
