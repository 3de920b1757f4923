"""What URLs of Google's name."""

import pytest

from credproxy.core.ask.google_urls import (
    StoredObject,
    folder_patterns,
    is_registry,
    is_storage,
    objects_of,
    stored_object,
)
from credproxy.core.ask.uri import parse_uri
from credproxy.core.policy.objects import object_pattern


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("https://storage.googleapis.com/bkt/a/b.tar", StoredObject("bkt", "a/b.tar")),
        ("https://bkt.storage.googleapis.com/a/b.tar", StoredObject("bkt", "a/b.tar")),
        ("https://my.dotted.bkt.storage.googleapis.com/a", StoredObject("my.dotted.bkt", "a")),
        ("https://storage.googleapis.com/bkt/a%20b", StoredObject("bkt", "a b")),
        ("https://storage.googleapis.com/storage/v1/b/bkt/o/a%2Fb", StoredObject("bkt", "a/b")),
        ("https://www.googleapis.com/download/storage/v1/b/bkt/o/a%2Fb?alt=media", StoredObject("bkt", "a/b")),
        ("https://storage.googleapis.com/bkt", None),
        ("https://storage.googleapis.com/", None),
        ("https://storage.googleapis.com/storage/v1/b/bkt/o?prefix=a", None),
        ("https://storage.googleapis.com/storage/v2/b/bkt/o/a", None),
        ("https://www.googleapis.com/compute/v1/x", None),
        ("https://bkt.storage.googleapis.com/storage/v1/b/other/o/a", None),
        ("https://storage.googleapis.com/bkt/a'b", None),
        ("https://storage.googleapis.com/bkt/a%5Cb", None),
        ("https://storage.googleapis.com/bkt/a%0Ab", None),
        ("https://storage.googleapis.com/bkt/a/../b", None),
        ("https://storage.googleapis.com/bkt/a//b", None),
        ("https://storage.googleapis.com/BKT/a", None),
        ("https://storage.googleapis.com:444/bkt/a", None),
        ("http://storage.googleapis.com/bkt/a", None),
        ("https://evilstorage.googleapis.com/bkt/a", None),
    ],
)
def test_which_object_a_url_names(uri: str, wanted: StoredObject | None) -> None:
    """None if others could read it as another object, or as other text in a condition."""
    assert stored_object(parse_uri(uri)) == wanted


def test_a_folder_has_its_own_form_first_and_every_other_form_behind() -> None:
    """All of them are patterns as rules have them, and what the first names is found again."""
    for uri in ("https://storage.googleapis.com/bkt/a/b", "https://bkt.storage.googleapis.com/a/b"):
        patterns = folder_patterns(parse_uri(uri), "bkt", prefix="a b/")
        assert patterns[0] == uri.removesuffix("a/b") + "a%20b/**"
        assert len(patterns) == 6
        assert all(object_pattern(one) is not None for one in patterns)
        assert objects_of(patterns[0]) == StoredObject("bkt", "a b/")
    assert folder_patterns(parse_uri("https://storage.googleapis.com/storage/v1/b/bkt/o/a"), "bkt", prefix="") == ()


def test_objects_of_no_bucket_are_none() -> None:
    """Whatever a pattern says."""
    assert objects_of("https://storage.googleapis.com/B'/**") is None


@pytest.mark.parametrize(
    ("host", "registry", "storage"),
    [
        ("gcr.io", True, False),
        ("eu.gcr.io", True, False),
        ("us-docker.pkg.dev", True, False),
        ("us-python.pkg.dev", False, False),
        ("evilgcr.io", False, False),
        ("docker.pkg.dev", False, False),
        ("b.storage.googleapis.com", False, True),
        ("storage.googleapis.com", False, True),
    ],
)
def test_what_a_host_is(host: str, *, registry: bool, storage: bool) -> None:
    """By its suffix, with the dot or the dash."""
    target = parse_uri(f"https://{host}/x")
    assert (is_registry(target), is_storage(target)) == (registry, storage)
