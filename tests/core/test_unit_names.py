"""The names by which systemd knows our units."""

from importlib import resources

from credproxy.core.unit_names import SERVICE, SOCKETS, socket_unit


def test_the_names_are_those_of_the_shipped_files() -> None:
    """So hints name units that are installed."""
    for variant in ("user", "system"):
        shipped = {entry.name for entry in resources.files("credproxy").joinpath("units", variant).iterdir()}
        assert {SERVICE, *SOCKETS} <= shipped


def test_each_socket_has_its_unit() -> None:
    """Restarting the other one would not bring it back."""
    assert socket_unit("helper") == "credproxy.socket"
    assert socket_unit("actions") == "credproxy-actions.socket"
