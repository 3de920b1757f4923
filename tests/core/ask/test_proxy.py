"""How a proxy setting is parsed, and which answers are a proxy's own."""

import pytest

from credproxy.core.ask.proxy import is_from_proxy, proxy_of


@pytest.mark.parametrize(
    ("setting", "host", "port", "name"),
    [
        ("http://proxy.test", "proxy.test", 80, "proxy 'proxy.test:80'"),
        ("http://proxy.test:3128/", "proxy.test", 3128, "proxy 'proxy.test:3128'"),
        ("http://u:p@[2001:db8::1]:3128", "2001:db8::1", 3128, "proxy '[2001:db8::1]:3128'"),
    ],
)
def test_where_a_proxy_is(setting: str, host: str, port: int, name: str) -> None:
    """Its name in messages is its address, without its login."""
    proxy = proxy_of(setting)
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.name) == (host, port, name)
    assert "u:p" not in proxy.url + repr(proxy)


def test_without_a_setting_there_is_no_proxy() -> None:
    """And one without a host is an error, not a proxy on this machine."""
    assert proxy_of(None) is None
    for setting in ("http://", "http://:3128", "http://proxy.test:port"):
        with pytest.raises(ValueError, match=r"proxy|port"):
            proxy_of(setting)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        pytest.param(407, {}, True, id="407 is nobody else's"),
        pytest.param(403, {}, False, id="a registry's refusal"),
        pytest.param(403, {"X-Squid-Error": "ERR_ACCESS_DENIED 0"}, True, id="squid says so"),
        pytest.param(503, {"server": "squid/5.7"}, True, id="squid's own page"),
        pytest.param(503, {"Server": "tinyproxy/1.11.1"}, True, id="tinyproxy's own page"),
        pytest.param(502, {"Proxy-Status": "edge; error=dns_error"}, True, id="RFC 9209"),
        pytest.param(502, {"Proxy-Status": "edge; received-status=502"}, False, id="RFC 9209, of the registry"),
        pytest.param(200, {"Server": "squid/5.7"}, False, id="no refusal"),
        pytest.param(401, {"Via": "1.1 squid"}, False, id="passed on"),
    ],
)
def test_whose_answer_a_plain_request_got(status: int, headers: dict[str, str], expected: bool) -> None:  # noqa: FBT001  parametrized
    """A registry's refusal has a login as its remedy, a proxy's has not."""
    assert is_from_proxy(status, tuple(headers.items())) is expected
