"""What carriers are told of certificates: which ones are trusted, and never a key."""

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin
from credproxy.daemon.carrier_office import edition_of
from credproxy.daemon.carrier_questions import Edition


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A private authority."""
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


def edition(dial: Dial, origin: str = "https://reg.test") -> Edition:
    """Of a reach."""
    return edition_of(Reach(Origin(origin), dial))


def test_a_bundle_has_another_name_when_it_changes(bundle: Path) -> None:
    """The carrier keeps connections by that name; without a bundle there is none."""
    dial = Dial(ca_bundle=str(bundle))
    before = edition(dial)
    trustme.CA().cert_pem.write_to_path(str(bundle))
    assert before.bundle is not None
    assert edition(dial).bundle != before.bundle
    assert edition(Dial()) == edition(Dial(certs_d="reg.test")) == Edition()


def test_where_a_client_certificate_is_shown_a_carrier_is_given_the_name_of_a_relay(bundle: Path) -> None:
    """Another one after a renewal, for another host and for another policy; no path of the pair is told."""
    pair = bundle.with_name("canary.pem")
    pair.write_text("one")
    dial = Dial(ca_bundle=str(bundle), client_cert=str(pair))
    names = [edition(dial).relay, edition(dial, "https://other.test").relay]
    names.append(edition(replace(dial, networks=("10.0.0.0/8",))).relay)
    pair.write_text("another")
    names.append(edition(dial).relay)
    assert len(set(names)) == 4
    assert all(names)
    assert "canary" not in str(edition(dial))


def test_a_host_that_a_redirect_names_is_reached_without_it(bundle: Path) -> None:
    """Nothing is shown there, nor over plain http; the authority counts."""
    dial = Dial(ca_bundle=str(bundle), client_cert=str(bundle))
    for found in (edition(dial.elsewhere()), edition(dial, "http://reg.test")):
        assert found.relay == ""
        assert found.bundle is not None
    assert Dial(relay="one").elsewhere().relay == ""
    assert Dial(relay="one") != Dial(relay="another")  # so their connections are not shared
