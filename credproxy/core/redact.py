"""Taking secrets and control characters out of texts that others wrote (T17, H3, SC-14)."""

import re
from collections.abc import Sequence


_CREDENTIAL = re.compile(r"\b(bearer|basic|token)[ =:]+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?#]+)\?\S*", re.IGNORECASE)
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/?#@\"']*@", re.IGNORECASE)
# The same without a scheme. Not in the log, where it may be the name of an image with its digest.
_BARE_USER_INFO = re.compile(r"[^\s:/@'\"]+:[^\s/@'\"]*@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_COLOR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
# A long word of letters and digits mixed, JWTs with their dots included; paths and host names are not.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)*={0,2}"
)

# What issuers mark as theirs: GitHub, GitLab, Docker Hub, Google, AWS, Slack, and JWTs.
_MARKED = re.compile(
    r"\b(?:gh[oprsu]_|github_pat_|glpat-|dckr_[a-z]{3}_|ya29\.|AKIA|ASIA|xox[a-z]-|eyJ)[A-Za-z0-9_.~+/=-]{8,}"
)

_OPTION = re.compile(r"(-[A-Za-z]|--[A-Za-z][A-Za-z-]*)(=.*)?", re.DOTALL)

# What announces a secret, as the beginning or the end of a longer name, too: GITHUB_TOKEN, client-secret, pwdFile.
_KEY = re.compile(
    r"(?:password|passwd|passphrase|pwd|secret|authorization|(?:api|access|private)[-_ .]?key|token|bearer|pass(?=[\"' ]*[:=]))"
    r"[\w.-]*",
    re.IGNORECASE,
)
# What may stand between: the quote that ends the name, white space, signs (a slash goes on with a path), and words that
# hold no secret. Nothing where a quote begins at once.
_GAP = re.compile(
    r"\\?[\"'`]?(?:[^\w\"'`\\/]|(?<=\s)(?:is|are|was|were|be|to|of|for|the|a|an|value|given|used|supplied|provided|received)"
    r"(?=[\s:=]))+|(?=[\"'`\\])",
    re.IGNORECASE,
)
_WORD = re.compile(
    r"\\\"(?:(?!\\\").)*(?:\\\")?"  # \"...\" within a string of JSON
    r"|\"(?:\\.|[^\"\\])*\"?"
    r"|'[^']*'?"
    r"|`[^`]*`?"
    r"|[^\s]+",
    re.DOTALL,
)
# A word that announces one more: the scheme of a header, and whatever ends with a sign (password for bob: x).
_ANNOUNCES = re.compile(r"(?:[\"'`]?(?:basic|bearer|digest|negotiate|ntlm|token)|.*[:=,])", re.IGNORECASE | re.DOTALL)
_NEXT = re.compile(r"\s+")
_CHAIN = 8
# The value of a header may have many words (Digest has), and so may a passphrase.
_WHOLE = re.compile(r"authorization|passphrase", re.IGNORECASE)
_LINE = re.compile(r"[^\r\n]*")
_UP_TO_QUOTE = {quote: re.compile(rf"[^{quote}]*") for quote in "\"'`"}


def mask(text: str) -> str:
    """Take out what looks like a credential, a login in a URL or a presigned query, and escape control characters."""
    text = _MARKED.sub("***", _CREDENTIAL.sub(lambda found: f"{found[1]} ***", text))
    text = _USER_INFO.sub(r"\1***@", text)
    text = _QUERY.sub(r"\1?***", text)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def mask_complaint(text: str) -> str:
    """``mask`` for what a program printed as it failed (S7).

    The word behind ``password``, ``token`` and the like goes, whatever stands between, and so do long random-looking
    words; line ends become ``; ``. A word too many is masked rather than one too few.
    """
    text = _mask_announced(_COLOR.sub("", text))
    lines = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    return _TOKEN.sub("***", mask(lines))


def mask_text(text: str) -> str:
    """``mask`` for a setting, or a message that quotes one: a login before a host goes, with or without a scheme."""
    return _BARE_USER_INFO.sub("***@", mask(text))


def mask_name(text: str) -> str:
    """``mask_text`` for what should be a short name: whatever looks random goes as well."""
    return _TOKEN.sub("***", mask_text(text))


def mask_command(words: Sequence[str]) -> tuple[str, ...]:
    """A command line of the configuration: the program and the names of options; any other word may be a secret."""
    return tuple(_option(word) if place else mask_text(word) for place, word in enumerate(words))


def cut(text: str, most: int) -> str:
    """The beginning of a text, with a mark where something is missing."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def cut_words(text: str, word: int, most: int) -> str:
    """A text of sentences whose words are cut one by one, because one of them may be a path; and the whole at the end."""
    if len(text) <= word:
        return text
    return cut(re.sub(rf"\S{{{word + 1},}}", lambda found: cut(found[0], word), text), most)


def _option(word: str) -> str:
    option = _OPTION.fullmatch(word)
    return "***" if option is None else option[1] + ("" if option[2] is None else "=***")


def _mask_announced(text: str) -> str:
    kept: list[str] = []
    at = 0
    # Every name counts, also one within a secret of another: in "token: password x" that is where it goes on.
    for begin, end in sorted(filter(None, (_announced(text, key) for key in _KEY.finditer(text)))):
        if end <= at:
            continue
        kept += [text[at:begin], "***"] if begin > at or not kept else []
        at = end
    return "".join((*kept, text[at:]))


def _announced(text: str, key: re.Match[str]) -> tuple[int, int] | None:
    """Where the secret behind a name begins and ends; None where nothing stands there."""
    gap = _GAP.match(text, key.end())
    word = None if gap is None else _WORD.match(text, gap.end())
    if gap is None or word is None:
        return None
    if _WHOLE.search(key[0]) and re.search(r"[:=]", gap[0]) and word[0][0] not in "\"'`\\":
        around = _UP_TO_QUOTE.get(text[key.start() - 1 : key.start()], _LINE)
        whole = around.match(text, gap.end())
        return gap.end(), word.end() if whole is None else whole.end()
    for _ in range(_CHAIN):
        more = _NEXT.match(text, word.end()) if _ANNOUNCES.fullmatch(word[0]) else None
        following = None if more is None else _WORD.match(text, more.end())
        if following is None:
            break
        word = following
    return gap.end(), word.end()
