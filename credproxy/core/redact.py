"""Taking secrets and control characters out of texts that others wrote (T17, H3, SC-14)."""

import base64
import re
from collections.abc import Sequence


_CREDENTIAL = re.compile(r"\b(bearer|basic|token)[ =:]+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?#]+)\?\S*", re.IGNORECASE)
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/?#\"']*@", re.IGNORECASE)
# The same without a scheme, and not the name of an image with its digest. What begins a word may have a slash in its
# password; each begins where nothing of the kind stands before, or a long text would take the square of its length.
_DIGEST = r"(?!sha(?:256|512):)"
_WORD_USER_INFO = re.compile(rf"(?<![^\s'\"])[\w.+-]+:(?!//|\d+/)[^\s'\"]*@{_DIGEST}")
_BARE_USER_INFO = re.compile(rf"(?<![^\s/'\"])([^\s/'\"]+)@{_DIGEST}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A long word of letters and digits mixed, JWTs with their dots included; paths and host names are not.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)*={0,2}"
)

# What issuers mark as theirs: GitHub, GitLab, Docker Hub, Google, AWS, Slack, and JWTs.
_MARKED = re.compile(
    r"\b(?:gh[oprsu]_|github_pat_|glpat-|dckr_[a-z]{3}_|ya29\.|AKIA|ASIA|xox[a-z]-|eyJ)[A-Za-z0-9_.~+/=-]{8,}"
)

# What a form or a query says, wherever it stands: a path without its host has none of a URL's signs.
_MEMBER = re.compile(r"([?&][\w.%\[\]-]{1,60}=)[^\s&;\"'`<>)]+")
_ENCODED = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{6,}={0,2}(?![\w+/=-])")

_OPTION = re.compile(r"(-[A-Za-z]|--[A-Za-z][A-Za-z-]*)(=.*)?", re.DOTALL)


def mask(text: str) -> str:
    """Take out what looks like a credential, a login in a URL or a presigned query, and escape control characters."""
    text = _MARKED.sub("***", _CREDENTIAL.sub(lambda found: f"{found[1]} ***", text))
    text = _USER_INFO.sub(r"\1***@", text)
    text = _QUERY.sub(r"\1?***", text)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def mask_text(text: str) -> str:
    """``mask`` for a setting, or a message that quotes one: a login before a host goes, with or without a scheme."""
    return mask_bare_login(mask(text))


def mask_bare_login(text: str) -> str:
    """Take out a login before a host, where no scheme stands before it."""
    return _BARE_USER_INFO.sub(
        lambda found: "***@" if ":" in found[1].lstrip(":") else found[0], _WORD_USER_INFO.sub("***@", text)
    )


def mask_random(text: str) -> str:
    """Take out each long word that looks random."""
    return _TOKEN.sub("***", text)


def mask_query(text: str) -> str:
    """Take out the values of a query or a form, of a URL or not."""
    return _MEMBER.sub(r"\1***", text)


def mask_encoded_login(text: str) -> str:
    """Take out each word that is ``user:password`` in base64, as Basic has it."""
    return _ENCODED.sub(lambda found: "***" if _is_login(found[0]) else found[0], text)


def _is_login(word: str) -> bool:
    try:
        said = base64.b64decode(
            word.rstrip("=") + "=" * (-len(word.rstrip("=")) % 4), b"-_" if set(word) & set("-_") else None
        )
        return ":" in said.decode() and said.decode().isprintable()
    except ValueError:
        return False


def mask_name(text: str) -> str:
    """``mask_text`` for what should be a short name: whatever looks random goes as well."""
    return mask_random(mask_text(text))


def mask_command(words: Sequence[str]) -> tuple[str, ...]:
    """A command line of the configuration: the program and the names of options; any other word may be a secret."""
    return tuple(_option(word) if place else mask_text(word) for place, word in enumerate(words))


def cut(text: str, most: int) -> str:
    """The beginning of a text, with a mark where something is missing."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def cut_words(text: str, word: int, *, most: int) -> str:
    """A text of sentences whose words are cut one by one, because one of them may be a path; and the whole at the end."""
    if len(text) <= word:
        return text
    return cut(re.sub(rf"\S{{{word + 1},}}", lambda found: cut(found[0], word), text), most)


def _option(word: str) -> str:
    option = _OPTION.fullmatch(word)
    return "***" if option is None else option[1] + ("" if option[2] is None else "=***")
