"""aiohttp's parser of HTTP, which has to be the one in C."""

from collections.abc import Callable

from aiohttp import http_parser

from credproxy.core.errors import Code, Failure, Unfit


def require_c_parser(remedy: Callable[[], str]) -> None:
    """Require aiohttp's C parser: the one in Python has let smuggled requests through before (PY14).

    Args:
        remedy: gives the command that installs another aiohttp.

    Raises:
        Unfit(internal): aiohttp was installed without it, or told not to use it.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        message = "aiohttp's HTTP parser in C is missing, and the one in Python is not strict enough"
        hint = f"unset AIOHTTP_NO_EXTENSIONS, or install aiohttp from a wheel: {remedy()}"
        raise Unfit(Failure(Code.INTERNAL, message, hint))
