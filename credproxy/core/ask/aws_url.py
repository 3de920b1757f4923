"""The form of a URL that is signed: what the server makes of the one that it is sent.

S3 decodes path and query, encodes them again, and compares signatures of that. Bazel, curl and wget send reserved
characters as they are written, so a signature of the URL as it is sent is refused for ``a(b)+c!.txt``, ``@``, ``=``,
``&`` and ``~``.

Source: docs.aws.amazon.com "Signature Version 4", "Create a canonical request"; tried with a server that checks signatures.
"""

from urllib.parse import quote, unquote, unquote_to_bytes

from credproxy.core.ask.target import Target


_IN_PATH = "/-_.~"
_IN_QUERY = "-_.~"


def signed_form(target: Target, authority: str = "") -> str:
    """Give the URL to sign for a target.

    Args:
        target: as it is sent.
        authority: by which the server knows itself, where something in between changes that; "" for the target's own.
    """
    path = quote(unquote_to_bytes(target.path), safe=_IN_PATH) or "/"
    query = "&".join("=".join(pair) for pair in sorted(map(_pair, filter(None, target.query.split("&")))))
    return f"{target.scheme}://{authority or target.authority}{path}{f'?{query}' if query else ''}"


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return _encoded(name), _encoded(value)


def _encoded(text: str) -> str:
    # A plus sign in a query is a space to servers, as in a form.
    return quote(unquote(text.replace("+", " "), errors="surrogateescape"), safe=_IN_QUERY, errors="surrogateescape")
