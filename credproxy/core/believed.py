"""Which files a configuration believes: whoever writes them decides where logins go, or what is run."""

from collections.abc import Iterator

from credproxy.core.settings import CommandSource, ExecHost, FileSource, OciHost, Settings, SourceSettings


def believed_files(settings: Settings, *, programs: bool = True) -> Iterator[tuple[str, str]]:
    """Give what each file is, for messages, and its path; the policy file is read, and so judged, by itself.

    Args:
        settings: that name them.
        programs: those as well.
    """
    for rule in settings.host:
        if isinstance(rule, OciHost) and rule.ca_bundle is not None:
            yield f"the ca_bundle of {rule.match!r},", rule.ca_bundle
        if isinstance(rule, ExecHost) and programs:
            yield f"the program of {rule.match!r},", rule.command[0]
        for source in (getattr(rule, "credentials", None), getattr(rule, "secret", None)):
            yield from _source(f"of {rule.match!r},", source, programs=programs)
    yield from _source("of actions.listen,", settings.actions.listen_token, programs=programs)


def _source(owner: str, source: SourceSettings | None, *, programs: bool) -> Iterator[tuple[str, str]]:
    if isinstance(source, CommandSource) and programs:
        yield f"the program {owner}", source.argv[0]
    if isinstance(source, FileSource):
        yield f"the secret {owner}", source.path
