"""Which addresses may be connected to (SEC-4, T15): the vectors of SEC-R."""

import pytest
from hypothesis import given, strategies as st

from credproxy.adapters.dial import allowed, unread
from credproxy.core.ask.http import Dial


METADATA = ["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200"]
NEVER = [*METADATA, "0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
         "2002:a9fe:a9fe::"]  # a table  # fmt: skip
PRIVATE = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "100.64.0.1", "192.168.1.1", "fd00::1", "198.18.0.1",
           "192.0.0.8", "64:ff9b::a00:1", "::ffff:10.0.0.1", "2002:7f00:1::"]  # a table  # fmt: skip
PUBLIC = ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
EVERYTHING = ("0.0.0.0/0", "::/0")


@pytest.mark.parametrize("address", [*NEVER, *PRIVATE, "not an address", ""])
def test_refused_where_nothing_is_listed(address: str) -> None:
    """T15: Only public addresses, unless configured otherwise."""
    assert not allowed(address, Dial())


@pytest.mark.parametrize("address", NEVER)
def test_never_even_where_everything_is_listed(address: str) -> None:
    """Metadata, link-local, unspecified and multicast."""
    assert not allowed(address, Dial(networks=EVERYTHING, own=True, addresses=(address,)))


@pytest.mark.parametrize("address", METADATA)
def test_metadata_addresses_are_allowed_for_the_machines_identity(address: str) -> None:
    """By a library in the worker; not where an answer of somebody's leads."""
    assert allowed(address, Dial(metadata=True))
    assert not allowed(address, Dial(metadata=True).elsewhere())
    assert not any(allowed(one, Dial(metadata=True)) for one in ("0.0.0.0", "::", "224.0.0.1", "ff02::1"))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_what_stays_on_the_machine_is_read_by_nobody(address: str) -> None:
    """Plain http is as good as TLS there."""
    assert unread(address)


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.170.2", "169.254.131.2", "fd00:ec2::254", "fe80::1%1"])
def test_a_metadata_server_is_reached_over_the_machines_own_link(address: str) -> None:
    """Each cloud has it in plain http, and nothing else may go there so."""
    assert unread(address, metadata=True)
    assert not unread(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "10.0.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
     "2002:a9fe:a9fe::", "::ffff:10.0.0.1", "64:ff9b::808:808", "0.0.0.0", "::", "224.0.0.1", "", "localhost", "127.1"],
)  # a table  # fmt: skip
def test_what_leaves_the_machine_can_be_read(address: str) -> None:
    """In a private network as well; NAT64 and 6to4 wrap an address of the loopback, and send it away all the same."""
    assert not unread(address, metadata=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    """Also in other forms that lead to them."""
    assert allowed(address, Dial())


@pytest.mark.parametrize("address", PRIVATE)
def test_an_exactly_named_host_may_use_its_own(address: str) -> None:
    """SEC-4: a private registry after ``docker login`` must work."""
    assert allowed(address, Dial(own=True))


def test_a_listed_network_and_a_single_address() -> None:
    """And nothing beside them."""
    assert allowed("10.1.2.3", Dial(networks=("10.1.0.0/16",)))
    assert not allowed("10.2.2.3", Dial(networks=("10.1.0.0/16",)))
    assert allowed("10.1.2.3", Dial(addresses=("10.1.2.3",)))
    assert not allowed("10.1.2.4", Dial(addresses=("10.1.2.3",)))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_and_its_mapped_form_are_judged_alike(address: object) -> None:
    """``ipaddress`` alone does not take ``::ffff:7f00:1`` for loopback."""
    assert allowed(str(address), Dial()) == allowed(f"::ffff:{address}", Dial())
