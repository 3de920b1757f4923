"""WWW-Authenticate, vector by vector (V01 to V35), and under fuzzing."""

import pytest
from hypothesis import given, strategies as st

from credproxy.exchange.challenge import CHALLENGES, LINE_LENGTH, LINES, Challenge, parse_challenges


def bearer(**parameters: str) -> Challenge:
    """Give a well-formed Bearer challenge."""
    return Challenge("bearer", parameters)


R = "https://a/t"
HUB = "https://auth.docker.io/token"

VECTORS: dict[str, tuple[list[str], list[Challenge]]] = {
    "V01": (
        [f'Bearer realm="{HUB}",service="registry.docker.io",scope="repository:samalba/my-app:pull,push"'],
        [bearer(realm=HUB, service="registry.docker.io", scope="repository:samalba/my-app:pull,push")],
    ),
    "V02": (
        [f'Bearer realm="{R}",service="s",scope="repository:foo/bar:pull,push repository:foo/baz:pull"'],
        [bearer(realm=R, service="s", scope="repository:foo/bar:pull,push repository:foo/baz:pull")],
    ),
    "V03": ([f'BEARER REALM="{R}",SERVICE="s"'], [bearer(realm=R, service="s")]),
    "V04": (["Basic"], [Challenge("basic")]),
    "V05": (["Bearer  "], [bearer()]),
    "V06": (
        ['BASIC realm="Sonatype Nexus Repository Manager"'],
        [Challenge("basic", {"realm": "Sonatype Nexus Repository Manager"})],
    ),
    "V07": (["Negotiate", 'Basic realm="r"'], [Challenge("negotiate"), Challenge("basic", {"realm": "r"})]),
    "V08": (
        ['Basic realm="r"', f'Bearer realm="{R}",service="s"'],
        [Challenge("basic", {"realm": "r"}), bearer(realm=R, service="s")],
    ),
    "V09": (
        [f'Bearer realm="{R}",service="s"', 'Basic realm="r"'],
        [bearer(realm=R, service="s"), Challenge("basic", {"realm": "r"})],
    ),
    "V10": (
        [f'Bearer realm="{R}", service="s", Basic realm="r"'],
        [bearer(realm=R, service="s"), Challenge("basic", {"realm": "r"})],
    ),
    "V11": (
        [f'Basic realm="r", Bearer realm="{R}",service="s",scope="repository:a:pull"'],
        [Challenge("basic", {"realm": "r"}), bearer(realm=R, service="s", scope="repository:a:pull")],
    ),
    "V12": ([f'Negotiate, Bearer realm="{R}",service="s"'], [Challenge("negotiate"), bearer(realm=R, service="s")]),
    "V13": (
        [f'Negotiate YII=, Bearer realm="{R}",service="s"'],
        [Challenge("negotiate"), bearer(realm=R, service="s")],
    ),
    "V14": (
        [f'Bearer realm = "{R}"   ,service=s.io, scope  ="repository:a:pull"  '],
        [bearer(realm=R, service="s.io", scope="repository:a:pull")],
    ),
    "V15": (
        ['Bearer realm="https://nvcr.io/proxy_auth",scope="repository:nvidia/cuda:pull"'],
        [bearer(realm="https://nvcr.io/proxy_auth", scope="repository:nvidia/cuda:pull")],
    ),
    "V16": (
        ['Bearer realm="https://iad.ocir.io/20180419/docker/token",service="iad.ocir.io",scope=""'],
        [bearer(realm="https://iad.ocir.io/20180419/docker/token", service="iad.ocir.io")],
    ),
    "V17": (
        [f'Bearer realm="{R}",empty="",service="s",scope="repository:a:pull"'],
        [bearer(realm=R, service="s", scope="repository:a:pull")],
    ),
    "V18": (
        [
            (
                'Bearer realm="https://gitlab.com/jwt/auth",service="container_registry",'
                'scope="repository:x/y:pull,push repository:z:pull",error="insufficient_scope"'
            )
        ],
        [
            bearer(
                realm="https://gitlab.com/jwt/auth",
                service="container_registry",
                scope="repository:x/y:pull,push repository:z:pull",
                error="insufficient_scope",
            )
        ],
    ),
    "V19": ([f'Bearer realm="{R}",service="a\\"b\\\\c"'], [bearer(realm=R, service='a"b\\c')]),
    "V20": (
        ['Bearer realm="https://a/t?tenant=1&x=y,z",service="s"'],
        [bearer(realm="https://a/t?tenant=1&x=y,z", service="s")],
    ),
    "V21": ([f'Bearer realm="{R}",service="s'], [Challenge("bearer", {"realm": R}, malformed=True)]),
    "V22": ([f'Bearer realm="{R}" service="s"'], [Challenge("bearer", {"realm": R}, malformed=True)]),
    "V23": ([f', Bearer realm="{R}",,service="s",', ""], [bearer(realm=R, service="s")]),
    "V24": (["Bearer realm=https://a/t,service=s"], [bearer(realm=R, service="s")]),
    "V25": (
        ['Bearer realm="https://good/t",realm="https://evil/t",service="s"'],
        [Challenge("bearer", {"realm": "https://good/t", "service": "s"}, poisoned=True)],
    ),
    "V26": ([f'Bearer\trealm="{R}",service="s"'], [bearer(realm=R, service="s")]),
    "V27": (["Bearer realm='https://a/t',service='s'"], [bearer(realm="'https://a/t'", service="'s'")]),
    "V28": (["scope=foo", f'Bearer realm="{R}",service="s"'], [bearer(realm=R, service="s")]),
    "V29": (
        [f'Bearer realm="{R}",service=s,scope=repository:a:pull'],
        [bearer(realm=R, service="s", scope="repository:a:pull")],
    ),
    "V30": ([f'Bearer realm="{R}",service="s",'], [bearer(realm=R, service="s")]),
    "V31": (
        ['Digest realm="d", nonce="n,1", qop="auth", Basic realm="r"'],
        [Challenge("digest", {"realm": "d", "nonce": "n,1", "qop": "auth"}), Challenge("basic", {"realm": "r"})],
    ),
    "V32": (['Bearer realm="https://a\x01/t"'], [Challenge("bearer", {"realm": "https://a\x01/t"}, poisoned=True)]),
    "V33": ([], []),
    "V34": (
        ['Bearer realm="https://evil/t"', 'Basic realm="r"'],
        [bearer(realm="https://evil/t"), Challenge("basic", {"realm": "r"})],
    ),
    "V35": (
        [f'Bearer realm="{R}",slashed="he\\"\\l\\lo",service="s"'],
        [bearer(realm=R, slashed='he"llo', service="s")],
    ),
}


@pytest.mark.parametrize(("lines", "wanted"), VECTORS.values(), ids=VECTORS)
def test_vector(lines: list[str], wanted: list[Challenge]) -> None:
    """The vectors V01 to V35."""
    assert list(parse_challenges(lines)) == wanted


def test_a_bad_line_does_not_spoil_a_good_one() -> None:
    """CH-1: regclient loses every line with an unterminated quote in one."""
    found = parse_challenges(['Basic realm="', f'Bearer realm="{R}"'])
    assert found == (Challenge("basic", malformed=True), bearer(realm=R))


def test_an_empty_value_still_counts_as_named() -> None:
    """CH-7, CH-8: an injected second realm after an empty one poisons just like one after a real one."""
    assert parse_challenges(['Bearer realm="",realm="https://evil/t"'])[0].poisoned


def test_more_than_a_registry_sends_is_not_read() -> None:
    """CH-1: 16 lines, 8 KiB each, 16 challenges."""
    assert len(parse_challenges(["Basic"] * (LINES + 1))) == LINES
    assert parse_challenges(["Basic, " * LINE_LENGTH]) == ()
    assert len(parse_challenges([", ".join(f"S{n} a=b" for n in range(50))])) == CHALLENGES


@given(st.lists(st.text(max_size=300), max_size=20))
def test_no_line_raises(lines: list[str]) -> None:
    """T-105: whatever a registry sends, the parser gives a value."""
    for challenge in parse_challenges(lines):
        assert challenge.scheme == challenge.scheme.lower()


PIECES = st.sampled_from(
    ["Bearer", "Basic", " ", "\t", ",", "=", '"', "\\", "realm", "service", "https://a/t", "YII=", "x\x01", "é"]
)


@given(st.lists(PIECES, max_size=60).map("".join))
def test_no_sequence_of_pieces_raises_or_loses_a_duplicate(line: str) -> None:
    """T-105 with a grammar's own pieces: a parameter that was named twice is never used."""
    for challenge in parse_challenges([line]):
        assert all(value for value in challenge.parameters.values())
