"""``source = "hf"``: the token that ``hf`` and huggingface_hub, Hugging Face's own tools, would use.

Source: huggingface_hub ``utils/_auth.py`` (the order) and ``constants.py`` (the file).
"""

from collections.abc import Iterator
from typing import Final

from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use, Usual


TOKENS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Variables with a token, in the order of huggingface_hub; the second is the one of old."""

ENDPOINT: Final = "HF_ENDPOINT"
"""The variable that names another Hub, whose token it then is."""

FILE: Final = Usual(TOKENS, folder="HF_HOME", below="huggingface", file="token", base="cache", itself="HF_TOKEN_PATH")

HOSTS: Final = ("huggingface.co", "hf.co")
"""The names of the public Hub."""


SHELVES: Final = (
    "datasets",
    "spaces",
    "api/models",
    "api/datasets",
    "api/spaces",
    "api/resolve-cache/models",
    "api/resolve-cache/datasets",
    "api/resolve-cache/spaces",
)
"""Where an owner's other things are, and the API of all; the last three are where the Hub redirects small files to."""


def owned(path: str) -> str:
    """A path of the Hub that begins with the owner, without what stands before that."""
    shelf = next((one for one in reversed(SHELVES) if path.startswith(f"/{one}/")), None)
    return path if shelf is None else path.removeprefix(f"/{shelf}")


class HfSource(SourceBase, frozen=True, tag_field="source", tag="hf"):
    """``HF_TOKEN``, then the file that ``hf auth login`` writes."""

    def uses(self) -> Iterator[Use]:
        """What may be missing."""
        yield FILE
