"""What carriers are told of certificates: which ones are trusted, and never a key."""

from pathlib import Path

import pytest
import trustme

from credproxy.core.ask.http import Dial
from credproxy.core.errors import Code, Failed
from credproxy.daemon.carrier_office import edition_of
from tests.hints import filled


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A private authority."""
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


def test_a_bundle_has_another_name_when_it_changes(bundle: Path) -> None:
    """The carrier keeps connections by that name; without a bundle there is none."""
    dial = Dial(ca_bundle=str(bundle))
    before = edition_of(dial)
    trustme.CA().cert_pem.write_to_path(str(bundle))
    assert before is not None
    assert edition_of(dial) != before
    assert edition_of(Dial()) is None
    assert edition_of(Dial(certs_d="reg.test")) is None


def test_no_carrier_connects_where_a_client_certificate_would_be_shown(bundle: Path) -> None:
    """The key would have to be in a process that an attacker may control; done as the hint says, the gateway serves it."""
    with pytest.raises(Failed) as caught:
        edition_of(Dial(ca_bundle=str(bundle), client_cert=str(bundle)))
    assert caught.value.failure.code is Code.UNSUPPORTED_SCHEME
    hint = caught.value.failure.hint
    assert filled(hint, "fetch it outside of build actions, or take client_cert out of its [[host]] and certs.d") == ()
    assert edition_of(Dial(ca_bundle=str(bundle))) is not None


def test_a_host_that_a_redirect_names_is_reached_without_it(bundle: Path) -> None:
    """Nothing is shown there."""
    assert edition_of(Dial(ca_bundle=str(bundle), client_cert=str(bundle)).elsewhere()) is not None
