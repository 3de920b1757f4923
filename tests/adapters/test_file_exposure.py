"""Who could replace a file: real files, links and directories."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import pytest
import trustme

from credproxy.adapters.file_exposure import exposures
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.root_uids import roots
from credproxy.adapters.tls_trust import anchors, trust, trusting
from credproxy.core.ask.http import Dial
from credproxy.core.errors import Code, Failed
from credproxy.core.ownership import exposure, shown_roots


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file in a directory of its own, below a home that only its user may enter."""
    folder = tmp_path / "home" / ".config" / "credproxy"
    folder.mkdir(parents=True, mode=0o700)
    for above in (folder, folder.parent, folder.parent.parent):
        above.chmod(0o700)
    file = folder / "config.toml"
    file.write_text("")
    file.chmod(0o600)
    return file


def said(path: Path, home: Path | str = "") -> list[tuple[str, bool]]:
    """What is wrong: the command that fixes it, and whether it is grave."""
    return [(one.remedy, one.grave) for one in exposures(str(path), str(home))]


def test_a_private_file_is_trusted(place: Path) -> None:
    """Also below a sticky directory such as /tmp, where others can add files but replace none."""
    assert said(place) == []


@pytest.mark.parametrize(("bits", "grave"), [(0o002, True), (0o020, False), (0o022, True)])
@pytest.mark.parametrize("above", [0, 1, 2, 3])
def test_a_file_or_a_directory_that_others_may_write_is_reported(
    place: Path, bits: int, above: int, *, grave: bool
) -> None:
    """Write access for everybody is grave, for a group it is not; checked up to the home directory itself."""
    spoiled = [place, *place.parents][above]
    spoiled.chmod(spoiled.stat().st_mode | bits)
    assert said(place) == [(f"chmod go-w {spoiled}", grave)]
    assert said(place, home=place.parents[2]) == [(f"chmod go-w {spoiled}", grave)]


def test_what_is_above_the_home_directory_is_not_judged(place: Path) -> None:
    """As in sshd: a user who could change that owns the account."""
    above = place.parents[3]
    above.chmod(0o777)
    assert said(place, home=place.parents[2]) == []
    assert said(place, home="/nowhere") == [(f"chmod go-w {above}", True)]
    above.chmod(0o1777)
    assert said(place) == []


def test_links_are_followed_and_both_ends_are_judged(place: Path, tmp_path: Path) -> None:
    """Dotfiles are often links; write access to the directory of the link, or of its target, decides."""
    elsewhere = tmp_path / "dotfiles"
    elsewhere.mkdir(mode=0o700)
    target = elsewhere / "credproxy.toml"
    place.rename(target)
    place.symlink_to("../../../dotfiles/credproxy.toml")
    assert said(place) == []
    elsewhere.chmod(0o777)
    assert said(place) == [(f"chmod go-w {elsewhere}", True)]
    elsewhere.chmod(0o700)
    place.parent.chmod(0o777)
    assert said(place) == [(f"chmod go-w {place.parent}", True)]


def test_a_way_that_leads_in_a_circle_ends(place: Path) -> None:
    """As in the kernel."""
    place.unlink()
    place.symlink_to(place)
    with pytest.raises(OSError, match="too many links"):
        exposures(str(place), "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["file", "directory", "link"])
def test_a_file_of_another_user_is_grave(place: Path, what: str) -> None:
    """A link of another user in a sticky directory leads where that user likes."""
    spoiled = place if what == "file" else place.parent
    if what == "link":
        target = place.with_name("target")
        place.rename(target)
        place.symlink_to(target)
        spoiled = place
    os.chown(spoiled, 12345, -1, follow_symlinks=False)
    assert said(place) == [(f"chown root {spoiled}", True)]


@pytest.mark.parametrize(("owner", "trusted"), [(0, True), (1000, True), (1001, False), (65534, False)])
def test_an_owner_is_this_user_or_root(owner: int, *, trusted: bool) -> None:
    """No other user, and not the one that stands for unmapped users."""
    assert (exposure("/x", owner=owner, mode=0o100600, me=1000) is None) is trusted


async def test_the_very_file_that_was_read_is_judged(place: Path) -> None:
    """Its content comes with what was wrong; a missing file has nothing wrong."""
    await asyncio.to_thread(place.write_text, "a = 1")
    await asyncio.to_thread(place.chmod, 0o602)
    with contextlib.closing(SystemFiles()) as files:
        found = await files.judged(str(place), "")
        assert found is not None
        assert (found.content, [one.grave for one in found.exposures]) == (b"a = 1", [True])
        assert await files.exposures(str(place), "") == found.exposures
        assert await files.judged(str(place.with_name("none")), "") is None
        assert await files.exposures(str(place.with_name("none")), "") == ()


def test_a_file_that_was_replaced_while_it_was_read_is_grave(place: Path) -> None:
    """The opened file is compared with the current one: replacing it afterwards by a private file hides nothing."""
    opened = place.stat()
    other = place.with_name("other")
    other.write_text("")
    other.chmod(0o600)
    other.rename(place)
    (found,) = exposures(str(place), "", end=opened)
    assert (found.problem, found.grave) == (f"was replaced while it was read: {str(place)!r}", True)


@pytest.mark.parametrize("spoiled", ["file", "directory"])
def test_a_world_writable_ca_bundle_is_not_trusted(place: Path, spoiled: str) -> None:
    """Also if it changes long after the configuration that names it came into force."""
    (place if spoiled == "file" else place.parent).chmod(0o777)
    with pytest.raises(Failed) as caught:
        trust(Dial(ca_bundle=str(place)))
    assert caught.value.failure.code is Code.CONFIG_INVALID
    assert caught.value.failure.hint == f"chmod go-w {place if spoiled == 'file' else place.parent}"


def test_a_ca_bundle_behind_a_link_to_a_world_writable_directory_is_not_trusted(place: Path) -> None:
    """The directory of what a link leads to counts, and not only that of the link."""
    bundle = place.with_name("ca.pem")
    other = place.parents[1] / "other"
    other.mkdir(mode=0o700)
    trustme.CA().cert_pem.write_to_path(str(other / "ca.pem"))
    bundle.symlink_to(other / "ca.pem")
    trust(Dial(ca_bundle=str(bundle)))
    other.chmod(0o777)
    for read in (lambda: trust(Dial(ca_bundle=str(bundle))), lambda: anchors(str(bundle))):
        with pytest.raises(Failed) as caught:
            read()
        assert caught.value.failure.hint == f"chmod go-w {other}"


def test_names_beside_certificates_may_be_in_any_encoding(place: Path) -> None:
    """As in bundles of Linux distributions: a process that cannot read files can use them as well."""
    pem = trustme.CA().cert_pem.bytes()
    place.write_bytes("# F\u0151tan\u00fas\u00edtv\u00e1ny\n".encode() + pem + "# f\u00fcr alle\n".encode("latin-1"))
    subjects = [one["subject"] for one in trust(Dial(ca_bundle=str(place))).get_ca_certs()]
    theirs = [one["subject"] for one in trusting(anchors(str(place)), verify=True).get_ca_certs()]
    mine = [one["subject"] for one in trusting(pem, verify=True).get_ca_certs()]
    assert mine[0] in subjects
    assert mine[0] in theirs


def test_a_private_key_beside_certificates_is_not_passed_on(place: Path) -> None:
    """Servers take one file with both, and people name that as the bundle; carriers are to have no key."""
    first, second = trustme.CA(), trustme.CA()
    key = first.private_key_pem.bytes()
    place.write_bytes(first.cert_pem.bytes() + key + second.cert_pem.bytes() + key)
    given = anchors(str(place))
    assert b"PRIVATE" not in given
    assert not any(line in given for line in key.splitlines()[1:-1])
    theirs = {str(one["subject"]) for one in trusting(given, verify=True).get_ca_certs()}
    for one in (first, second):
        assert {str(own["subject"]) for own in trusting(one.cert_pem.bytes(), verify=True).get_ca_certs()} <= theirs


@pytest.mark.parametrize(
    ("uid_map", "shown"),
    [
        ("         0          0 4294967295\n", {0}),
        ("0 0 1\n", {0}),
        ("1000 0 1\n", {0}),
        ("0 1000 1\n", {0, 65534}),
        ("1000 1000 1\n", {0, 65534}),
        ("0 1000 1\n1 100000 65536\n", {0, 65534}),
        ("0 0 1\n1000 1000 1\n", {0}),
        ("", {0}),
    ],
)
def test_in_a_user_namespace_without_root_the_overflow_uid_counts_as_root(uid_map: str, shown: set[int]) -> None:
    """In a unit with PrivateUsers=, in bubblewrap, in a rootless container: root's files below /etc have that uid."""
    assert shown_roots(uid_map, 65534) == shown
    trusted = exposure("/etc", owner=65534, mode=0o040755, me=1000, roots=frozenset(shown)) is None
    assert trusted is (65534 in shown)


@pytest.mark.skipif(sys.platform != "linux", reason="user namespaces are Linux's")
def test_this_machines_root_is_shown_as_itself_or_not() -> None:
    """Read once from the map of this very process."""
    overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
    assert roots() == shown_roots(Path("/proc/self/uid_map").read_text(), overflow)


def test_the_command_that_fixes_it_has_the_path_as_one_word(tmp_path: Path) -> None:
    """Users copy it into a shell, and a home may have a space in its name."""
    folder = tmp_path / "My Home"
    folder.mkdir(mode=0o700)
    file = folder / "config.toml"
    file.write_text("")
    file.chmod(0o666)
    assert said(file) == [(f"chmod go-w '{file}'", True)]
