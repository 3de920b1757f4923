"""Which files a configuration trusts: their writers decide where logins go, or what is run."""

from collections.abc import Iterator

from credproxy.core.config.settings import Settings
from credproxy.core.kinds.uses import Bundle, Program, SecretFile


def trusted_files(settings: Settings, *, programs: bool = True) -> Iterator[tuple[str, str]]:
    """Give what each file is, for messages, and its path; the policy file is read, and so judged, separately.

    Args:
        settings: that name the files.
        programs: include programs.
    """
    for _, owner, use in settings.uses():
        match use:
            case Bundle(path, key, _):
                yield f"the {key} of {owner},", path
            case SecretFile(path):
                yield f"the secret of {owner},", path
            case Program(path) if programs:
                yield f"the program of {owner},", path
            case _:  # logins that other programs write are judged when they are read
                pass
