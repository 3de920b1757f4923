"""Masking secrets in what a program printed when it failed (S7, H3).

Words that announce a secret are found in a lower-case copy of the text, of the same length character by character, in which
anything that a terminal does not show is NUL, because it may split the keyword. What is masked is then cut out of the text itself.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from credproxy.core.redact import mask, mask_bare_login, mask_encoded_login, mask_query, mask_random
from credproxy.core.searched_text import ADVICE, CLOSING, MaskedSpan, SearchedText, searched, shown


_COLOR = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
# Bold and underlined, as a printer would do it.
_OVERSTRUCK = re.compile(r"(.)\x08\1|_\x08(?=.)")
_PEM = re.compile(r"-----BEGIN [^-]*-----.*?(?:-----END [^-]*-----|\Z)", re.DOTALL)


def _spelled(*words: str) -> str:
    """Words, split or not; a space matches any sign between two of them, or none."""
    return "|".join(r"\0*".join("[-_ .]?" if letter == " " else letter for letter in word) for word in words)


# What announces a secret, also as the beginning or the end of a longer name: GITHUB_TOKEN, client-secret, pwdFile.
_KINDS = ("api", "access", "private", "secret", "account", "shared", "signing", "encryption")
_PLAIN = _spelled(
    *(f"{kind} key" for kind in _KINDS),
    *("pass word", "passwd", "pass phrase", "pass code", "pwd", "secret", "authorization", "token", "bearer"),
    # As programs say it in other languages, without accents, like all text that is searched.
    *(
        "authorisation",
        "passwort",
        "kennwort",
        "mot de passe",
        "contrasena",
        "senha",
        "wachtwoord",
        "\u043f\u0430\u0440\u043e\u043b\u044c",
    ),
)
# What has other uses in a sentence, and announces a secret only with a sign after it.
_OTHER_KINDS = (
    "license",
    "unseal",
    "master",
    "recovery",
    "root",
    "deploy",
    "service",
    "subscription",
    "storage",
)
_CODES = ("auth", "device", "user", "verification", "security", "recovery", "backup", "mfa", "2fa")
_OTHER = "".join(
    (
        rf"(?:{_spelled('pass', 'pw', 'cookie', 'session', 'credential', 'auth', 'signature', 'assertion', 'seed phrase')}",
        rf"|{_spelled(*(f'{kind} key' for kind in _OTHER_KINDS), *(f'{kind} code' for kind in _CODES), 'code verifier')}",
        r"|saml\0*(?:request|response)",
        rf"|(?<![a-z])(?:{_spelled('pin', 'otp', 'jwt', 'sid', 'sig', 'cred', 'tok', 'tkn', 'csrf', 'xsrf', 'p/w', 'hmac', 'mfa')}))",
    )
)
# How the name may go on. Not beyond a dot: auth.docker.io is a host. And bounded, or each of many names would scan
# all of them.
_MORE = (
    r"(?:\0*[snz])?(?:\0*id)?(?:[-_][\w-]{0,40})?(?: (?:id|key|data|header|jar|string|value|for [^\s:=>]{1,40}))?"
    r"(?=[\\\"'`\]\s\0]*(?::(?!//)|[=>]|->))"
)
_KEY = re.compile(rf"(?P<plain>(?:{_PLAIN}|x[-_]auth|(?<![a-z])pw(?![a-z]))\w*(?:[.-]\w+)*)|{_OTHER}{_MORE}")
# The value of a header may have many words (Digest has, and so have cookies), and so may a passphrase.
_WHOLE = re.compile(_spelled("authorization", "pass phrase", "cookie"))
# What may come between: the quote that ends the name, white space, signs (a slash begins a path), and words that
# are not secret. Nothing if a quote or a bracket follows at once.
_GAP = re.compile(
    r"(?:\\?[\"'`])?(?:[^\w\"'`\\/(\[{]"
    r"|(?<=\s)(?:is|are|was|were|be|to|of|for|the|a|an|value|given|used|supplied|provided|received)(?=\s|:\s))+"
    r"|(?=[\"'`\\(\[{])"
)
# Options whose value is a secret or a login, as in curl and docker. -p is a password for programs that log in, elsewhere
# a port, or the parents of a directory. What is already masked stays so.
_OPTION = re.compile(
    r"(?<!\S)(?P<kept>[\"'`]?(?:--pass[ =]|(?:-u[ =]?|--(?:proxy-)?user(?:name)?[ =])[\"']?[^\s:\"']+:)[\"']?)(?![\s*])[^\s\"']+"
)
_LOGIN = re.compile(r"\b(?:login|sshpass|mysql\w*|mariadb\w*)\b[^\r\n]*")
_LOGIN_OPTION = re.compile(r"(?<!\S)(?P<kept>[\"'`]?-p[ =]?[\"']?)(?![\s*])[^\s\"']+")
_SCHEME = re.compile(r"[\"'`]?(?:basic|bearer|digest|negotiate|ntlm|token)\Z")
_ENDS_WORD = frozenset(" \t\r\n\f\v,;:)]}>&=<|")
_SECRET = 5
"""Characters of a value that may be a secret: anything shorter is part of many words."""

_CHAIN = 8
_PLAIN_WORDS = 3
"""So many words may come between the first and a sign: "password is too short: x"."""

_FOLLOWING = re.compile(r"(?<![^\s(\[{:=,>])[\"'`]|[(\[{]|(?<!\S)<|[^\s\"'`()\[\]{}]+")
_ADVISED = re.compile(ADVICE)
# Letters and digits mixed, unless it is an address, a path, or a word that is spelled so.
_MIXED = re.compile(
    r"(?!(?:https?://|unix:|[.~]*/))(?!(?:oauth2?|http2|x509|sha\d+|base64|utf-?8|v\d+|s3|ec2|k8s|ipv[46])\W*\Z)"
    r"(?=[^a-z]*[a-z])(?=\D*\d)"
)
_HARMLESS = re.compile(
    rf"https?://|unix:|[.~]*/|{ADVICE}|(?:(?:http|exit|error|response|status|code)[ :=]{{1,2}}){{1,3}}\d{{1,3}}\W"
)


def mask_complaint(text: str) -> str:
    """``mask`` for what a program printed when it failed.

    The word after ``password``, ``token`` and the like is masked, whatever comes between. In the rest of the same clause,
    anything quoted, in brackets, or made of letters and digits is masked, and so are long random-looking words, and logins before a
    host. What a terminal does not show is removed; line ends become ``; ``. It masks a word too many rather than one too
    few.
    """
    text = _PEM.sub("***", unicodedata.normalize("NFKC", _OVERSTRUCK.sub(r"\1", _COLOR.sub("\0", text))))
    text = _without_options(shown(_without(text, _found(SearchedText(searched(text))))))
    lines = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    return mask_encoded_login(mask_random(mask_bare_login(mask_query(mask(lines)))))


def mask_given(text: str, given: Iterable[str]) -> str:
    """Mask what a program was given by its rule, if it may be a secret.

    Args:
        text: what it printed.
        given: values of its variables, and its arguments. Values shorter than a secret, and paths, stay.
    """
    values = {value.partition("=")[2] if value.startswith("-") else value for value in given}
    for value in sorted(values, key=len, reverse=True):  # the longest first: one may be a part of another
        if len(value) >= _SECRET and not value.startswith(("/", "~", "./")):
            text = text.replace(value, "***")
    return text


def _without_options(text: str) -> str:
    text = _OPTION.sub(r"\g<kept>***", text)
    return _LOGIN.sub(lambda found: _LOGIN_OPTION.sub(r"\g<kept>***", found[0]), text)


class _Word(NamedTuple):
    """The word at a position: all of it, and which part is masked; ``empty`` if it is just a pair of quotes."""

    end: int
    span: MaskedSpan
    empty: bool = False


def _found(text: SearchedText) -> Iterator[MaskedSpan]:
    clauses, seen = list[MaskedSpan](), set[int]()
    # Every name counts, even one inside another's secret: in "token: password x" the secret is "x".
    for key in _KEY.finditer(text.text):
        first = None
        for span in _announced(text, key, seen):
            first = first or span
            yield span
        if first is not None and key["plain"] and not text.is_place(key.start()):
            begin = max(first.end, clauses[-1].end if clauses else 0)
            clauses.append(MaskedSpan(begin, max(begin, text.clause(first.end))))
    for clause in clauses:
        yield from _following(text, clause)


def _announced(text: SearchedText, key: re.Match[str], seen: set[int]) -> Iterator[MaskedSpan]:
    """The words after a name that are masked; the first begins right there."""
    gap = _GAP.match(text.text, key.end())
    if gap is None or gap.end() == len(text.text):
        return
    signed = re.search(r"[:=]", gap[0]) is not None
    if not signed and _ADVISED.match(text.text, gap.end()):
        return
    word = _word(text, gap.end())
    if not signed and "," in gap[0] and text.text.startswith(":", text.skip(word.end)):  # the next member of JSON
        return
    if signed and _WHOLE.match(key[0]) and text.text[gap.end()] not in "\"'`\\{[(":
        yield MaskedSpan(gap.end(), _whole(text, key.start(), gap.end()))
        return
    yield word.span
    if not text.is_place(key.start()):
        yield from _chain(text, gap.end(), word, seen)


def _whole(text: SearchedText, name: int, at: int) -> int:
    """The end of a header's value: of the line, or of the quotes around the header."""
    for before in range(name - 1, max(-1, name - 40), -1):
        sign = text.text[before]
        if sign in "\"'`":
            return text.next(sign, at)
        if sign.isspace():
            break
    return text.next("line", at)


def _chain(text: SearchedText, begin: int, word: _Word, seen: set[int]) -> Iterator[MaskedSpan]:
    """The words that other words announce: a scheme of a header, what ends with a sign, a name before a sign.

    ``seen`` has the starts of those that were announced before, so that nothing after them is scanned twice.
    """
    plain = 0
    for _ in range(_CHAIN):
        announces, at = _announces(text, begin, word)
        plain = _PLAIN_WORDS if announces and plain else plain + (not announces)
        if at >= len(text.text) or plain > _PLAIN_WORDS or _ADVISED.match(text.text, at):
            return
        if not announces and at > text.clause(word.end):
            return
        begin, word = at, _word(text, at)
        if announces:
            yield word.span
            if at in seen:
                return
            seen.add(at)


def _announces(text: SearchedText, begin: int, word: _Word) -> tuple[bool, int]:
    """Whether a word announces the next one, and where that begins."""
    at = text.skip(word.end)
    if text.text[at : at + 1] in {":", "="}:
        return True, text.skip(at + 1)
    short = text.text[begin : min(word.end, begin + 12)]
    spaced = at > word.end
    return spaced and (word.empty or text.text[word.end - 1] in ":=,>" or _SCHEME.match(short) is not None), at


def _word(text: SearchedText, begin: int) -> _Word:
    """The word at a position: a piece in quotes or brackets and what touches it, or everything up to the next white space."""
    inner = text.enclosed(begin)
    if inner is None:
        end = text.next("space", begin)
        return _Word(end, MaskedSpan(begin, end))
    width = inner.begin - begin
    end = min(len(text.text), inner.end + width)
    more = text.text[end : end + 1]
    # "a"'b' and 'it''s' go on; the quote that closes another around it does not.
    on = bool(more) and more not in _ENDS_WORD and not re.match(r"\.(?:\s|\Z)", text.text[end : end + 2])
    if on and more in "\"'`\\":
        on = re.match(r"\\?[\"'`][\w\"'`]", text.text[end : end + 3]) is not None
    if on:
        end = text.next("space", end)
        return _Word(end, MaskedSpan(begin, end))
    bracket = text.text[begin] in CLOSING
    return _Word(end, inner if bracket else MaskedSpan(begin, end), empty=inner.begin >= inner.end)


def _following(text: SearchedText, clause: MaskedSpan) -> Iterator[MaskedSpan]:
    """What else in a clause is masked: anything quoted, in brackets, or made of letters and digits."""
    at = clause.begin
    while (found := _FOLLOWING.search(text.text, at, clause.end)) is not None:
        inner = text.enclosed(found.start())
        at = found.end()
        if inner is None:
            if _MIXED.match(found[0]):
                yield MaskedSpan(found.start(), found.end())
        elif not _HARMLESS.match(text.text, inner.begin):
            end = inner.end if found[0] in CLOSING else max(inner.begin, min(inner.end, clause.end))
            yield MaskedSpan(inner.begin, end)
            at = max(at, min(end + 1, clause.end))


def _without(text: str, spans: Iterable[MaskedSpan]) -> str:
    """A text with three stars for each span, or for several that are separated only by white space."""
    kept, at = list[str](), 0
    for span in sorted(spans):
        begin = max(span.begin, at)
        if span.end <= begin:
            continue
        if not kept or text[at:begin].strip():
            kept += [text[at:begin], "***"]
        at = span.end
    return "".join((*kept, text[at:]))
