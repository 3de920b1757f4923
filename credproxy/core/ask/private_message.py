"""What every message between two of our processes is made from."""

import msgspec


class PrivateMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message. Some hold keys, headers, a proxy's login or a caller's URL, so none shows its content in ``repr``."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"
