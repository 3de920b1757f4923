"""Removing secrets and control characters from texts that others wrote (T17, H3, SC-14)."""

import base64
import re
from collections.abc import Sequence


# What our own messages say after the word "token", and the stand-in that they give for a login: hiding these would hide
# the advice. A closed list: any other word may be a secret.
_OURS = r"(?!(?:authentication|configure|endpoints?|exchanges?|response|servers?|--[a-z]+(?:-[a-z]+)*)(?![\w~+/=-]))"
_CREDENTIAL = re.compile(rf"\b(bearer|basic|token)[ =:]+{_OURS}[A-Za-z0-9._~+/=-]{{8,}}", re.IGNORECASE)
_STAND_IN = "USER:PASSWORD"
# Not a pattern of URLs for any query, such as hints have: it ends with the star.
_QUERY = re.compile(r"(https?://[^\s?#]+)\?(?!\*['\"]?(?:\s|$))\S*", re.IGNORECASE)
_USER_INFO = re.compile(rf"(\b[a-z][a-z0-9+.-]{{1,20}}://)(?!(?-i:{_STAND_IN})@)[^\s/?#\"']*@", re.IGNORECASE)
# The same without a scheme, but not an image name with its digest. At the beginning of a word the password may contain
# a slash; each match begins where nothing of the kind precedes it, or a long text would take quadratic time.
_DIGEST = r"(?!sha(?:256|512):)"
_WORD_USER_INFO = re.compile(rf"(?<![^\s'\"])[\w.+-]+:(?!//|\d+/)[^\s'\"]*@{_DIGEST}")
_BARE_USER_INFO = re.compile(rf"(?<![^\s/'\"])([^\s/'\"]+)@{_DIGEST}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A long word of letters and digits mixed, JWTs with their dots included; paths and host names are not.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)*={0,2}"
)

# Tokens with an issuer's prefix: GitHub, GitLab, Docker Hub, Google, AWS, Slack, and JWTs.
_MARKED = re.compile(
    r"\b(?:gh[oprsu]_|github_pat_|glpat-|dckr_[a-z]{3}_|ya29\.|AKIA|ASIA|xox[a-z]-|eyJ)[A-Za-z0-9_.~+/=-]{8,}"
)

# The fields of a form or a query, anywhere: a path without its host does not look like a URL.
_MEMBER = re.compile(r"([?&][\w.%\[\]-]{1,60}=)[^\s&;\"'`<>)]+")
_ENCODED = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{6,}={0,2}(?![\w+/=-])")

_OPTION = re.compile(r"(-[A-Za-z]|--[A-Za-z][A-Za-z-]*)(=.*)?", re.DOTALL)


def mask(text: str) -> str:
    """Mask what looks like a credential, a login in a URL or a presigned query, and escape control characters."""
    text = _MARKED.sub("***", _CREDENTIAL.sub(lambda found: f"{found[1]} ***", text))
    text = _USER_INFO.sub(r"\1***@", text)
    text = _QUERY.sub(r"\1?***", text)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def mask_text(text: str) -> str:
    """``mask`` for a setting, or a message that quotes one: a login before a host is also masked, with or without a scheme."""
    return mask_bare_login(mask(text))


def mask_bare_login(text: str) -> str:
    """Mask a login before a host without a scheme."""
    return _BARE_USER_INFO.sub(
        lambda found: "***@" if ":" in found[1].lstrip(":") and found[1] != _STAND_IN else found[0],
        _WORD_USER_INFO.sub("***@", text),
    )


def mask_random(text: str) -> str:
    """Mask each long word that looks random."""
    return _TOKEN.sub("***", text)


def mask_query(text: str) -> str:
    """Mask the values of a query or a form, in a URL or not."""
    return _MEMBER.sub(r"\1***", text)


def mask_encoded_login(text: str) -> str:
    """Mask each word that is ``user:password`` in base64, as in Basic."""
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
    """``mask_text`` for what should be a short name: anything that looks random is masked as well."""
    return mask_random(mask_text(text))


def mask_command(words: Sequence[str]) -> tuple[str, ...]:
    """A command line of the configuration: the program and the names of options; any other word may be a secret."""
    return tuple(_option(word) if place else mask_text(word) for place, word in enumerate(words))


def cut(text: str, most: int) -> str:
    """The beginning of a text, with a mark where something is missing."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def cut_words(text: str, word: int, *, most: int) -> str:
    """Cut each word of a text of sentences, because one of them may be a path; then cut the whole."""
    if len(text) <= word:
        return text
    return cut(re.sub(rf"\S{{{word + 1},}}", lambda found: cut(found[0], word), text), most)


def _option(word: str) -> str:
    option = _OPTION.fullmatch(word)
    return "***" if option is None else option[1] + ("" if option[2] is None else "=***")
