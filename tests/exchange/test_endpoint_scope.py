"""The scopes of each kind of endpoint (TX-22, TX-24, TX-26)."""

import pytest

from credproxy.core.ask.endpoint import Endpoint, Kind
from credproxy.core.ask.names import RepositoryName
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.oci import OciHost
from credproxy.exchange.endpoint_scope import endpoint_scopes


RULE = OciHost(match="reg.test", actions={"org/**": ("push", "pull"), "org/write-only": ("push",), "org/all": ("*",)})


@pytest.mark.parametrize(
    ("endpoint", "wanted"),
    [
        (Endpoint(Kind.READ, RepositoryName("other/app")), ("repository:other/app:pull",)),
        (Endpoint(Kind.READ, RepositoryName("org/app")), ("repository:org/app:pull,push",)),
        (Endpoint(Kind.MANIFEST, RepositoryName("org/all")), ("repository:org/all:*",)),
        (Endpoint(Kind.UPLOAD, RepositoryName("other/app")), ("repository:other/app:pull,push",)),
        (
            Endpoint(Kind.UPLOAD, RepositoryName("z"), RepositoryName("a")),
            ("repository:z:pull,push", "repository:a:pull"),
        ),
        (
            Endpoint(Kind.UPLOAD, RepositoryName("z"), RepositoryName("org/all")),
            ("repository:z:pull,push", "repository:org/all:pull"),
        ),
        (Endpoint(Kind.ROOT), ()),
        (Endpoint(Kind.CATALOG), ()),
        (Endpoint(Kind.OTHER), ()),
        (Endpoint(Kind.AMBIGUOUS), ()),
    ],
)
def test_scopes_come_from_the_endpoint_and_the_rule(endpoint: Endpoint, wanted: tuple[str, ...]) -> None:
    """TX-24: ``pull`` unless the rule's ``actions`` say more; an upload always pushes, and pulls what it mounts."""
    assert endpoint_scopes(endpoint, RULE) == wanted


def test_the_catalog_needs_leave() -> None:
    """It shows every repository: it is only requested with ``allow_catalog``."""
    rule = OciHost(match="reg.test", allow_catalog=True)
    assert endpoint_scopes(Endpoint(Kind.CATALOG), rule) == ("registry:catalog:*",)


def test_no_mount_from_what_may_not_be_pulled() -> None:
    """TX-22: A client could otherwise read by mounting; the refusal names the line that allows it."""
    with pytest.raises(Failed) as refused:
        endpoint_scopes(Endpoint(Kind.UPLOAD, RepositoryName("z"), RepositoryName("org/write-only")), RULE)
    assert refused.value.failure.code is Code.POLICY_DENIED
    assert 'actions = { "org/write-only" = ["pull"] }' in refused.value.failure.hint
