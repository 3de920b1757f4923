"""YAML files that other programs write for themselves: ``gh``, ``glab``."""

from collections.abc import Mapping

from credproxy.core.ask.stored import unreadable


def read_tool_yaml(content: bytes, where: str, *, hint: str) -> Mapping[str, object]:
    """Give the mapping that a file holds; an empty one if it holds anything else.

    Args:
        content: of the file.
        where: names it, for messages.
        hint: how to make its program rewrite it.

    Raises:
        Failed(credential_unreadable): it is not YAML; names the line.
    """
    from credproxy.core.formats.documents import DocumentError, read_yaml  # noqa: PLC0415  few have one, and YAML takes 15 ms

    try:
        document = read_yaml(content.decode(), tags=True).value
    except UnicodeDecodeError:
        raise unreadable(where, "is not UTF-8 text", hint=hint) from None
    except DocumentError as error:
        raise unreadable(where, f"cannot be read: line {error.line}: {error.problem}", hint=hint) from None
    return {str(key): value for key, value in document.items()} if isinstance(document, dict) else {}
