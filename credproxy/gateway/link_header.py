"""Where the next page of a list is: ``Link`` fields, parsed as RFC 8288 defines them.

No library on the package index parses them strictly, and one that misses a link silently shortens a list. So this
follows appendix B.2, and a link that cannot be parsed is an error if it may lead to the next page.

The client asks the gateway for the next page, at the list's own path: only the query of the registry's link is handed
out. So a link has to lead to that same list, on the registry.
"""

import re
from collections.abc import Callable, Iterator

from credproxy.core.ask.http import Reach
from credproxy.core.errors import Code, Failed, failed
from credproxy.gateway.incoming import Headers, values
from credproxy.gateway.redirect import Hop
from credproxy.gateway.uri_reference import Location, UnfitReference, resolve, same_path
from credproxy.gateway.wanted import Wanted


LONGEST = 6 * 1024
"""Characters of a query that is handed out: aiohttp's parser accepts a request line of 8,190."""

_TARGET = re.compile(r"[\t ,]*<([^>]*)>")
_PARAMETER = re.compile(r'[\t ]*;[\t ]*([!#$%&\'*+.^_`|~0-9A-Za-z-]*)[\t ]*(?:=[\t ]*("(?:[^"\\]|\\.)*"|[^",;\t ]*))?')
_GAP = re.compile(r"[\t ,]*$")
_END = re.compile(r"[\t ]*(?:,|$)")
_QUOTED_PAIR = re.compile(r"\\(.)")

_REMEDY = "without that page the list would be shorter than it is: ask the registry's administrator"

_Link = tuple[str, dict[str, str]]


def next_query(headers: Headers, hop: Hop, *, reach: Reach, wanted: Wanted) -> str | None:
    """The query of a list's next page; None on the last page.

    Args:
        headers: of the answer.
        hop: the request that it answers: links are relative to it.
        reach: of the registry.
        wanted: the requested list.

    Raises:
        Failed(redirect_refused): there is a next page, but not where the gateway can request it.
        Failed(answer_too_large): its query does not fit in a request.
    """
    target = next(_targets(headers, hop, _names_next), None)
    if target is None:
        unnamed = _targets(headers, hop, _names_nothing)
        target = next((one for one in unnamed if _is_page(resolve(hop.url, one), reach, wanted)), None)
    if target is None:
        return None
    place = resolve(hop.url, target)
    if isinstance(place, UnfitReference):
        raise _lost(wanted, f"at a place that {place.reason}")
    if place.origin != reach.origin:
        raise _lost(wanted, f"at a place other than the registry, {place.scheme}://{place.host}")
    if not _is_list(place, reach, wanted):
        raise _lost(wanted, "at a path other than that of the list")
    query = place.query or ""
    if query == wanted.query:
        raise _lost(wanted, "where this page is")
    if len(query) > LONGEST:
        message = f"registry {wanted.registry!r} names the next page of a list with {len(query)} characters of query"
        raise failed(Code.ANSWER_TOO_LARGE, message, hint="ask its administrator, or ask for a shorter page: ?n=100")
    return query


def _targets(headers: Headers, hop: Hop, meant: Callable[[dict[str, str]], bool]) -> Iterator[str]:
    for value in values(headers, "Link"):
        for target, parameters in _links(value, hop):
            here = "anchor" not in parameters or _is_here(parameters["anchor"], hop)
            if here and meant(parameters):
                yield target


def _names_next(parameters: dict[str, str]) -> bool:
    # An apostrophe is not a quotation mark in a header, but no relation begins with one: a server that sends it means a
    # quote.
    return "next" in parameters.get("rel", "").strip("'").lower().split()


def _names_nothing(parameters: dict[str, str]) -> bool:
    """True for a link without a relation, which go-containerregistry always takes for the next page."""
    return not {"rel", "rev"} & parameters.keys()


def _is_list(place: Location, reach: Reach, wanted: Wanted) -> bool:
    return any(same_path(place.path, path) for path in (wanted.path, f"{reach.prefix}{wanted.path}"))


def _is_page(place: Location | UnfitReference, reach: Reach, wanted: Wanted) -> bool:
    """True for another page of the same list: all that a link without a relation may mean here."""
    if isinstance(place, UnfitReference) or place.origin != reach.origin or not _is_list(place, reach, wanted):
        return False
    return (place.query or "") not in {"", wanted.query}


def _links(value: str, hop: Hop) -> Iterator[_Link]:
    """Every link of a field line, with its parameters: names in lower case, the first of each name. Raises Failed."""
    at = 0
    while _GAP.match(value, at) is None:
        target = _TARGET.match(value, at)
        if target is None:
            _unread(value[at:], hop)
            return
        at = target.end()
        parameters: dict[str, str] = {}
        while (found := _PARAMETER.match(value, at)) is not None:
            at = found.end()
            parameters.setdefault(found[1].lower(), _unquoted(found[2] or ""))
        end = _END.match(value, at)
        if end is None:
            _unread(value[target.start() :], hop)
            return
        at = end.end()
        yield target[1].strip(), parameters


def _unquoted(value: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def _unread(rest: str, hop: Hop) -> None:
    """Ignore what is not a link, unless it may be the one to the next page."""
    if "next" in rest.lower():
        message = f"{hop.subject} says that a list goes on, in a Link header that is not in its form"
        raise failed(Code.REDIRECT_REFUSED, message, hint=_REMEDY)


def _is_here(anchor: str, hop: Hop) -> bool:
    """True for an anchor that names this very page; a link with another anchor says nothing about it (RFC 8288, 3.2)."""
    there, here = resolve(hop.url, anchor), resolve(hop.url, "")
    if isinstance(there, UnfitReference) or isinstance(here, UnfitReference) or "#" in anchor:
        return False
    same = (there.origin, there.query or "") == (here.origin, here.query or "")
    return same and same_path(there.path, here.path)


def _lost(wanted: Wanted, where: str) -> Failed:
    message = (
        f"registry {wanted.registry!r} has the next page of the {wanted.what.value} of {wanted.repository!r} {where}"
    )
    return failed(Code.REDIRECT_REFUSED, message, hint=_REMEDY)
