"""What the gateway remembers: upload sessions, and existing blobs."""

import itertools

import pytest

from credproxy.core.ask.http import Dial
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.errors import Code, Failed
from credproxy.gateway.known_blobs import KEEP, MOST as MOST_BLOBS, BlobKey, KnownBlobs
from credproxy.gateway.redirect import Hop
from credproxy.gateway.uploads import MOST, RESTED, SHARE, Owner, Uploads
from tests.fakes import FakeClock
from tests.gateway.world import D, code


OWNER = Owner(1000, None, Authority("reg.test"), RepositoryName("a"))
HOP = Hop("https://reg.test/v2/a/blobs/uploads/uuid?_state=canary", Dial(), own=True, subject="registry 'reg.test'")
NEXT = Hop("https://storage.test/x", Dial(), own=False, subject="host 'storage.test'")


def uploads(clock: FakeClock | None = None) -> Uploads:
    """Ids in order, ``id0``, ``id1``, ..."""
    numbers = itertools.count()
    return Uploads(lambda: f"id{next(numbers)}", clock or FakeClock())


def test_an_upload_goes_on_where_its_registry_said() -> None:
    """The URL stays here, with the state in its query; the client only has an id."""
    known = uploads()
    session = known.begin(OWNER, HOP)
    assert known.place(OWNER, session) == HOP
    known.move(OWNER, session, place=NEXT)
    assert known.place(OWNER, session) == NEXT
    known.end(OWNER, session)
    with pytest.raises(Failed) as caught:
        known.place(OWNER, session)
    assert code(caught.value) is Code.NOT_FOUND
    assert caught.value.failure.hint == "begin it again"
    known.end(OWNER, session)


@pytest.mark.parametrize(
    "other",
    [
        OWNER._replace(uid=0),
        OWNER._replace(sandbox="s"),
        OWNER._replace(registry=Authority("reg.test:5000")),
        OWNER._replace(repository=RepositoryName("a/b")),
    ],
)
def test_an_upload_belongs_to_the_caller_that_began_it(other: Owner) -> None:
    """T10: an id of another user, registry or repository is unknown, even if it leaked."""
    known = uploads()
    session = known.begin(OWNER, HOP)
    with pytest.raises(Failed):
        known.place(other, session)
    known.end(other, session)
    assert known.place(OWNER, session) == HOP


def boxed(number: int) -> Owner:
    """The same user in one of many sandboxes."""
    return OWNER._replace(sandbox=f"sandbox {number}")


def test_a_sandbox_begins_no_more_uploads_than_its_share() -> None:
    """T16: 64, for all registries together; others can begin theirs, and so can this one as soon as one has ended."""
    known = uploads()
    sessions = [known.begin(boxed(0)._replace(repository=RepositoryName(f"r{number}")), HOP) for number in range(SHARE)]
    for _ in range(1096 - SHARE):
        with pytest.raises(Failed) as caught:
            known.begin(boxed(0), HOP)
        assert code(caught.value) is Code.OVERLOADED
        assert caught.value.failure.retry_after == 60.0
    for number, session in enumerate(sessions):
        assert known.place(boxed(0)._replace(repository=RepositoryName(f"r{number}")), session) == HOP
    assert known.place(OWNER, known.begin(OWNER, HOP)) == HOP
    known.end(boxed(0)._replace(repository=RepositoryName("r7")), sessions[7])
    known.begin(boxed(0), HOP)


def test_a_young_upload_is_never_ended_for_a_newcomer() -> None:
    """T16: 1,024 for all sandboxes together; further callers get an error."""
    known = uploads()
    sessions = [(boxed(number // SHARE), known.begin(boxed(number // SHARE), HOP)) for number in range(MOST)]
    with pytest.raises(Failed) as caught:
        known.begin(OWNER, HOP)
    assert code(caught.value) is Code.OVERLOADED
    assert [known.place(owner, session) for owner, session in sessions] == [HOP] * MOST


def test_an_upload_idle_for_an_hour_gives_way_if_there_is_no_room() -> None:
    """And not earlier; one that was used meanwhile stays."""
    clock = FakeClock()
    known = uploads(clock)
    sessions = [known.begin(OWNER, HOP) for _ in range(SHARE)]
    clock.suspend(RESTED - 1)
    known.place(OWNER, sessions[0])
    with pytest.raises(Failed):
        known.begin(OWNER, HOP)
    clock.suspend(1)
    known.begin(OWNER, HOP)
    assert known.place(OWNER, sessions[0]) == HOP
    with pytest.raises(Failed):
        known.place(OWNER, sessions[1])


def test_an_upload_that_ended_is_not_begun_again_by_a_late_answer() -> None:
    """A part that is answered after the upload was given up changes nothing."""
    known = uploads()
    session = known.begin(OWNER, HOP)
    known.end(OWNER, session)
    known.move(OWNER, session, place=NEXT)
    with pytest.raises(Failed):
        known.place(OWNER, session)


PLACE = BlobKey(1000, Authority("reg.test"), RepositoryName("a"), D)


def test_a_blob_is_known_for_five_minutes() -> None:
    """On the clock that runs through suspend."""
    clock = FakeClock()
    known = KnownBlobs(clock)
    assert known.get(PLACE) is None
    known.put(PLACE, (("ETag", "x"),), length=7)
    clock.suspend(KEEP - 1)
    found = known.get(PLACE)
    assert found is not None
    assert (found.headers, found.length) == ((("ETag", "x"),), 7)
    clock.suspend(1)
    assert known.get(PLACE) is None


@pytest.mark.parametrize(
    "other",
    [
        PLACE._replace(uid=0),
        PLACE._replace(registry=Authority("reg.test:5000")),
        PLACE._replace(repository=RepositoryName("b")),
        PLACE._replace(digest="sha256:" + "b" * 64),
    ],
)
def test_what_one_user_knows_is_not_an_answer_for_another(other: BlobKey) -> None:
    """T18: otherwise the cache would reveal which repositories have it to users that may not know."""
    known = KnownBlobs(FakeClock())
    known.put(PLACE, (), length=7)
    assert known.get(other) is None
    known.drop(other)
    assert known.get(PLACE) is not None
    known.drop(PLACE)
    assert known.get(PLACE) is None


def test_a_flush_forgets_all_and_the_number_is_bounded() -> None:
    """T16."""
    known = KnownBlobs(FakeClock())
    for number in range(MOST_BLOBS + 1):
        known.put(PLACE._replace(digest=f"sha256:{number}"), (), length=7)
    assert known.get(PLACE._replace(digest="sha256:0")) is None
    assert known.get(PLACE._replace(digest="sha256:1")) is not None
    known.clear()
    assert known.get(PLACE._replace(digest="sha256:1")) is None
