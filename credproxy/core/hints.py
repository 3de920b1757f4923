"""Hints that name a setting: each says where the setting goes, even for a host without a rule."""


def in_host(match: str, setting: str) -> str:
    """Where a registry's setting goes: into the rule with that ``match``, or into a new one.

    Args:
        match: of the rule that answers for the registry; its authority if none does.
        setting: as written in the file, such as ``realm_hosts = ["auth.test"]``.
    """
    return f'in the [[host]] with match = "{match}" and provider = "oci": {setting}'


def in_rule(match: str, kind: str, *, setting: str) -> str:
    """The same for a rule of any kind."""
    return f'in the [[host]] with match = "{match}" and provider = "{kind}": {setting}'
