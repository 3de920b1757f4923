"""A request as a script: what it asks for, and what it does with the answer."""

from collections.abc import Sequence

import pytest

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Reach, Response
from credproxy.core.ask.names import Origin
from credproxy.core.errors import Code, Failed, failed
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.conversation import Conversation, Landed, Look, NeedCredential, Refused, Send, Step
from credproxy.gateway.redirect import first
from credproxy.gateway.request_reader import wanted
from credproxy.gateway.upstream_request import pull, push
from tests.gateway.world import BLOB, REGISTRY, incoming, response, sent


REACH = Reach(Origin(f"https://{REGISTRY}"), Dial(own=True))
OLD = Passage(REACH, (("Authorization", Secret("Bearer old")),), "old")
NEW = Passage(REACH, (("Authorization", Secret("Bearer new")),), "new")
WANT = wanted(incoming(BLOB))
AWAY = failed(Code.UPSTREAM_UNAVAILABLE, "the token server is away", hint="")


def play(conversation: Conversation[Response], *answers: Response | Passage | Failed | None) -> list[str]:
    """Answer each step in turn; give the steps as words, and the end of it."""
    said: list[str] = []
    step = next(conversation)
    for answer in answers:
        said.append(told(step))
        try:
            step = conversation.throw(answer) if isinstance(answer, Failed) else conversation.send(answer)
        except StopIteration as stop:
            landed: Landed[Response] = stop.value
            return [*said, f"{landed.answer.status} of {landed.passage.ticket}"]
        except Failed as error:
            return [*said, error.failure.code.value]
    raise AssertionError(f"it goes on: {told(step)}")


def told(step: Step) -> str:
    """One step in words."""
    match step:
        case NeedCredential(want):
            return f"needs {want.repository}"
        case Refused(passage, forbidden):
            return f"refused {passage.ticket}{', forbidden' if forbidden else ''}"
        case Look(request):
            return f"looks at {request.url}"
        case Send(request):
            return " ".join([request.method, request.url, *sent(request, "Authorization")])


def to(place: str, status: int = 307) -> Response:
    """A redirect."""
    return response(status, b"", ("Location", place))


ASKS_OLD, ASKS_NEW = (f"GET https://{REGISTRY}{BLOB} Bearer {which}" for which in ("old", "new"))
CDN = "GET https://cdn.test/x"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([OLD, response(200)], ["needs a", ASKS_OLD, "200 of old"]),
        ([AWAY], ["needs a", "upstream_unavailable"]),
        ([OLD, AWAY], ["needs a", ASKS_OLD, "upstream_unavailable"]),
        (
            [OLD, response(401), NEW, response(200)],
            ["needs a", ASKS_OLD, "refused old", ASKS_NEW, "200 of new"],
        ),
        (
            [OLD, response(401), NEW, response(401)],
            ["needs a", ASKS_OLD, "refused old", ASKS_NEW, "401 of new"],
        ),
        ([OLD, response(401), None], ["needs a", ASKS_OLD, "refused old", "401 of old"]),
        ([OLD, response(401), AWAY], ["needs a", ASKS_OLD, "refused old", "upstream_unavailable"]),
        ([OLD, response(403), AWAY], ["needs a", ASKS_OLD, "refused old, forbidden", "403 of old"]),
        ([OLD, to("https://cdn.test/x"), response(200)], ["needs a", ASKS_OLD, CDN, "200 of old"]),
        (
            [OLD, to("https://cdn.test/x"), response(403), to("https://cdn.test/x"), response(200)],
            ["needs a", ASKS_OLD, CDN, ASKS_OLD, CDN, "200 of old"],
        ),
        (
            [OLD, to("https://cdn.test/x"), response(403), to("https://cdn.test/x"), response(403)],
            ["needs a", ASKS_OLD, CDN, ASKS_OLD, CDN, "403 of old"],
        ),
        ([OLD, to("http://cdn.test/x")], ["needs a", ASKS_OLD, "downgrade"]),
    ],
)
def test_a_pull_is_a_conversation(answers: Sequence[Response | Passage | Failed | None], said: list[str]) -> None:
    """One credential, another one if the registry refuses it, and none for a storage host."""
    assert play(pull(WANT, ()), *answers) == said


@pytest.mark.parametrize(("repeatable", "end"), [(True, [ASKS_NEW, "200 of new"]), (False, ["upstream_unavailable"])])
def test_a_push_is_sent_again_only_if_its_body_is_still_there(repeatable: bool, end: list[str]) -> None:  # noqa: FBT001  parametrized
    """A streamed body is gone when the registry refuses its token."""
    conversation: Conversation[Response] = push(
        WANT,
        (),
        start=lambda passage: first(passage.reach, WANT.path, query="", upstream=REGISTRY),
        repeatable=repeatable,
    )
    said = play(conversation, OLD, response(401), NEW, response(200))
    assert said == ["needs a", ASKS_OLD, "refused old", *end]


def test_a_push_follows_no_redirect() -> None:
    """The registry's answer is passed on."""
    conversation: Conversation[Response] = push(
        WANT, (), start=lambda passage: first(passage.reach, WANT.path, query="", upstream=REGISTRY)
    )
    assert play(conversation, OLD, to("https://cdn.test/x")) == ["needs a", ASKS_OLD, "307 of old"]
