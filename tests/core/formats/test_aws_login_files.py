"""Which files a key of Amazon's is made from."""

import hashlib

import pytest

from credproxy.core.formats.aws_login_files import login_files


HOME = {"HOME": "/h"}
SSO = f"/h/.aws/sso/cache/{hashlib.sha1(b'it', usedforsecurity=False).hexdigest()}.json"
LOGIN = f"{hashlib.sha256(b'me').hexdigest()}.json"


@pytest.mark.parametrize(
    ("config", "environ", "wanted"),
    [
        ({"p": {"sso_session": "it"}}, HOME, (SSO,)),
        ({"p": {"sso_start_url": "it"}}, HOME, (SSO,)),
        ({"p": {"sso_session": "it"}}, {}, ()),
        ({"p": {"login_session": "me"}}, HOME, (f"/h/.aws/login/cache/{LOGIN}",)),
        ({"p": {"login_session": "me"}}, {**HOME, "AWS_LOGIN_CACHE_DIRECTORY": "~/l"}, (f"/h/l/{LOGIN}",)),
        ({"p": {"login_session": "me"}}, {"AWS_LOGIN_CACHE_DIRECTORY": "/l/"}, (f"/l/{LOGIN}",)),
        ({"p": {"web_identity_token_file": "/t"}}, {}, ("/t",)),
        ({"p": {"source_profile": "q"}, "q": {"source_profile": "r"}, "r": {"sso_session": "it"}}, HOME, (SSO,)),
        ({"p": {"source_profile": "q", "sso_session": "it"}, "q": {"sso_session": "it"}}, HOME, (SSO,)),
        ({"p": {"source_profile": "p"}}, HOME, ()),
        ({"p": {"source_profile": "q"}, "q": {"source_profile": "p"}}, HOME, ()),
        ({"p": {"source_profile": "nowhere"}}, HOME, ()),
        ({"p": {"region": "eu-west-1"}, "other": {"web_identity_token_file": "/t"}}, HOME, ()),
        ({}, HOME, ()),
    ],
)
def test_those_of_a_profile_and_of_the_ones_it_begins_with(
    config: dict[str, dict[str, str]], environ: dict[str, str], wanted: tuple[str, ...]
) -> None:
    """Each once, and a circle has an end."""
    assert login_files("p", {}, config=config, environ=environ) == wanted


def test_what_the_first_file_says_goes_before_the_other() -> None:
    """As for botocore."""
    said = {"p": {"web_identity_token_file": "/first"}}
    assert login_files("p", said, config={"p": {"web_identity_token_file": "/other"}}, environ=HOME) == ("/first",)
