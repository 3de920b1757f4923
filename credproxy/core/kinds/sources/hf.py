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


class HfSource(SourceBase, frozen=True, tag_field="source", tag="hf"):
    """``HF_TOKEN``, then the file that ``hf auth login`` writes."""

    def uses(self) -> Iterator[Use]:
        """What may be missing."""
        yield FILE
