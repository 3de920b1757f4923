"""What failing programs print, and what is kept of it."""

from itertools import product

import pytest
from hypothesis import given, strategies as st

from credproxy.core.complaints import mask_complaint, mask_given


SECRET = "hunter2"

NAMES = ("password", "passwd", "pwd", "secret", "authorization", "api-key", "api_key", "api key", "apikey", "token")

FORMS = (
    "{name} {secret}",
    "{name}={secret}",
    "{name}: {secret}",
    "{name}:{secret}",
    "{name} = '{secret}'",
    "{name} is {secret}",
    '{name} was: "{secret}"',
    "{name} for bob: {secret}",
    "{name}\n{secret}",
    "{name}\t{secret}",
    "{name} -> {secret}",
    "{name}! {secret}",
    "{name}\x1b[0m: {secret}",
    "--{name} {secret} --user bob",
    "--{name}={secret}",
    "MY_{name}={secret}",
    "{name}_FILE={secret}",
    "x&{name}={secret}&y=1",
    '{{"{name}": "{secret}"}}',
    '{{"{name}" : "a\\"b {secret}"}}',
    '{{\\"{name}\\":\\"a b {secret}\\"}}',
    "{name}: 'two words {secret}'",
    "{name} = [a, {secret}]",
    "<{name}>{secret}</{name}>",
    "{name}: Basic {secret}",
    "{name} Bearer {secret}",
    "{name} {name} {secret}",
    "{name}: x{name}: {secret}",
    '{name}=""{secret}',
    "{name}=''{secret}",
    "{name}=''''{secret}",
    '{name}="" {secret}',
    "{name}=\"a\"'{secret}'",
    "{name}='a''{secret}'",
    '{{"{name}":{{"value":"{secret}"}}}}',
    '{{"{name}": {{"a": "x",\n "value": ["b}}", "{secret}"]}}}}',
    '{{\\"{name}\\":{{\\"value\\":\\"{secret}\\"}}}}',
    '["--{name}","{secret}"]',
    "{name}:{{Value:x Other:{secret}}}",
    "{name} is too short: {secret}",
    "{name}(s): {secret}",
    "{name} (of bob): {secret}",
    "{name} () {secret}",
    "{name}...{secret}",
    "{name}\u2026{secret}",
    "{name}: a={secret}",
    "{name}\x1b[0m{secret}",
    "\x1b]8;;x\x07{name}\x1b]8;;\x07 {secret}",
)


@pytest.mark.parametrize("form", FORMS)
def test_the_word_behind_what_announces_a_secret_is_masked(form: str) -> None:
    """Whatever stands between, in any case; what comes before it and after it is left."""
    for name, case in product(NAMES, (str.lower, str.upper, str.title)):
        shown = mask_complaint(f"login failed: {form.format(name=case(name), secret=SECRET)}\ntry again later")
        assert SECRET not in shown
        assert "***" in shown
        assert shown.startswith("login failed: ")
        assert shown.endswith("again later")


@pytest.mark.parametrize("secret", [SECRET, "swordfish"])
@pytest.mark.parametrize(
    "form",
    [
        "is too short ({})",
        "of bob@host ({})",
        "for bob was rejected [{}]",
        "does not match {{a: {}}}",
        'does not match "{}"',
        "does not match '{}'",
        "does not match `{}`",
        "does not match <{}>",
        "does not match \u201c{}\u201d",
        "does not match \u00ab{}\u00bb",
        "does not match \u2018{}\u2019",
        "seen -> {}",
        "seen \u2192 {}",
        "does not match '{}",
        "does not match ({}",
    ],
)
def test_what_is_marked_in_the_same_clause_is_masked(form: str, secret: str) -> None:
    """Quotes and brackets show what a sentence is about, however far it is from the word that announces it."""
    shown = mask_complaint(f"login failed: password {form.format(secret)}\ntry again later")
    assert secret not in shown
    assert shown.endswith("; try again later")


def test_a_word_of_letters_and_digits_in_the_same_clause_is_masked() -> None:
    """Such a word does not belong to a language."""
    assert mask_complaint("token expired hunter2") == "token ***"
    assert mask_complaint("password of bob seems to be h-u.n7er") == "password of *** seems to be ***"


@pytest.mark.parametrize(
    "form",
    [
        "pass\x08word {}",
        "pass\x08word\x08{}",
        "p\x08pa\x08as\x08ss\x08sw\x08wo\x08or\x08rd\x08d {}",
        "_\x08p_\x08a_\x08s_\x08s_\x08w_\x08o_\x08r_\x08d: {}",
        "pass\x1b[1mword\x1b[0m{}",
        "pass\x9b1mword {}",
        "pass\u200bword\u200b{}",
        "api\u200b-\u200bkey: {}",
        "pass\u00adword: {}",
        "p\u2060assword: {}",
        "\u202epassword\u202c: {}",
        "pass\ufe0fword: {}",
        "p\u0332assword: {}",
        "p\u00e4ssw\u00f6rd: {}",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff1a{}",
        "\uff30\uff21\uff33\uff33\uff37\uff2f\uff32\uff24 {}",
        "\U0001d429\U0001d41a\U0001d42c\U0001d42c\U0001d430\U0001d428\U0001d42b\U0001d41d {}",
        "\u017fecret {}",
        "aut\u200bh: {}",
    ],
    ids=ascii,
)
def test_a_word_that_only_looks_like_another_announces_a_secret_too(form: str) -> None:
    """Split by what a terminal does not show, struck over, or in other letters of the same look."""
    shown = mask_complaint(f"login failed: {form.format(SECRET)}\ntry again later")
    assert SECRET not in shown
    assert shown.startswith("login failed: ")
    assert shown.endswith("***; try again later")


SIGNED = (
    *("auth", "_auth", "DOCKER_AUTH", "x-auth-key", "X-Auth-User", "auth key", "authn", "credential", "credentials"),
    *("credential for bob", "cookie", "Set-Cookie", "session", "JSESSIONID", "session_id", "session id", "pw", "DB_PW"),
    *("pass", "passcode", "pass-code", "pass phrase", "pin", "otp", "private_key", "private key", "secretKey"),
    *("AccountKey", "SharedAccessKey", "license key", "unseal key", "jwt", "creds", "sig", "signature", "sid", "csrf"),
    *(
        "assertion",
        "client_assertion",
        "SAMLResponse",
        "code_verifier",
        "device code",
        "2fa code",
        "seed phrase",
        "p/w",
    ),
)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize(
    "form", ["{}: {}", "{}={}", "{} = '{}'", '"{}": "{}"', '{{\\"{}\\":\\"{}\\"}}', "<{}>{}</a>", "{} => {}", "{}:\n{}"]
)
def test_what_announces_a_secret_with_a_sign_behind_it(name: str, form: str) -> None:
    """Most of these words have other uses in a sentence."""
    shown = mask_complaint(f"login failed: {form.format(name, SECRET)}\ntry again later")
    assert SECRET not in shown
    assert shown.startswith("login failed: ")
    assert shown.endswith("; try again later")


@pytest.mark.parametrize(
    "form",
    [
        *("pass word: {}", "pass-word {}", "Passwort {}", "Kennwort: {}", "mot de passe : {}", "contrase\u00f1a: {}"),
        *(
            "\u043f\u0430\u0440\u043e\u043b\u044c {}",
            "--pass {}",
            "--pass={}",
            "curl -u bob:{} https://x/",
            "--user bob:{}",
            "-ubob:{}",
        ),
        *("docker login -u bob -p {} x", "mysql -p{} x", "GET /x?key={}", "x?a=1&sig={}&b=2", "code=1&state={}"),
    ],
)
def test_siblings_of_the_words_that_announce_a_secret(form: str) -> None:
    """In other languages, as an option, in a query without a host."""
    shown = mask_complaint(f"it failed: {form.format('swordfish')}\ntry again later")
    assert "swordfish" not in shown
    assert shown.startswith("it failed: ")
    assert shown.endswith("; try again later")


def test_a_login_in_base64_is_masked_whatever_announces_it() -> None:
    """As Basic has it, too short to look random."""
    for said in ("Ym9iOmh1bnRlcjI=", "Ym9iOmh1bnRlcjI", "bm9ib2R5OmFiYw=="):
        assert mask_complaint(f"got '{said}', why") == "got '***', why"
    assert mask_complaint("unauthorized: incorrect repository/name") == "unauthorized: incorrect repository/name"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("dial bob:hunter2@host:443: refused", "dial ***@host:443: refused"),
        ("'bob:hunter2@host'", "'***@host'"),
        ("(bob:hunter2@host)", "***@host)"),
        ("user=bob:hunter2@host", "***@host"),
        ("bob:a/hunter2@host", "***@host"),
        ("bob:a@hunter2@host", "***@host"),
        ("https://bob:a@hunter2@host/x", "https://***@host/x"),
        ("bob@host:x refused", "bob@host:x refused"),
        ("git@github.com:org/repo.git: not found", "git@github.com:org/repo.git: not found"),
        ("https://ghcr.io:443/v2/@x", "https://ghcr.io:443/v2/@x"),
        ("no ghcr.io/a/b:1.0@sha256:abc", "no ghcr.io/a/b:1.0@sha256:abc"),
    ],
)
def test_a_login_before_a_host_is_masked_without_a_scheme_too(said: str, shown: str) -> None:
    """The host of an address is useful; an image name with a digest holds no login."""
    assert mask_complaint(said) == shown


def test_a_private_key_is_masked_whole() -> None:
    """All its lines, whatever announces it, also where its end is missing."""
    key = "-----BEGIN PRIVATE KEY-----\nhunter2\nhunter2\n"
    assert mask_complaint(f"bad key\n{key}-----END PRIVATE KEY-----\nin a.pem") == "bad key; ***; in a.pem"
    assert mask_complaint(f"private_key: {key}") == "private_key: ***"


def test_a_header_of_many_words_is_masked_whole() -> None:
    """Up to the end of its line, or of the quotes around it."""
    assert mask_complaint("Set-Cookie: a=1; swordfish; Path=/\nnext") == "Set-Cookie: ***; next"
    assert mask_complaint("curl -H 'Proxy-Authorization: Basic swordfish x' https://x/") == (
        "curl -H 'Proxy-Authorization: ***' https://x/"
    )


@pytest.mark.parametrize(
    "said",
    [
        "run: gcloud auth login",
        "your session has ended, please run aws sso login",
        "invalid token. Run `gcloud auth login` to log in again",
        "wrong password; Run: gcloud auth login",
        "auth file /home/u/.config/containers/auth.json not found",
        "cannot read auth file '/run/user/1000/containers/auth.json': permission denied",
        "dial tcp: lookup auth.docker.io: no such host",
        "authentication failed: no such user",
        "session expired",
        "cookies are disabled",
        "gpg: decryption failed: No secret key",
        'Unable to locate credentials. You can configure credentials by running "aws configure".',
        '{"error":"invalid_token","hint":"run gcloud auth login"}',
        "could not read Username for 'https://github.com': terminal prompts disabled",
        "मान्य नहीं है",
        "run: mkdir -p /run/user/1000/x",
        "listening with -p 8080:80",
        "unknown key: helpers",
        "exit code: 1",
    ],
)
def test_a_sentence_that_holds_no_secret_stays_as_it_is(said: str) -> None:
    """It is there to help; what is not Latin keeps its marks."""
    assert mask_complaint(said) == said


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("token expired, run: gcloud auth login", "token *** run: gcloud auth login"),
        ("password required (run docker login ghcr.io)", "password *** (run docker login ghcr.io)"),
        ("token expired (status 401)", "token *** (status 401)"),
        (
            'Post "https://x/token": dial tcp 10.0.0.1:443: connect: no route',
            'Post "https://x/token": *** tcp 10.0.0.1:443: connect: no route',
        ),
        ("password hunter2", "password ***"),
        ("wrong password", "wrong password"),
        ("error: unauthorized: incorrect username or password", "error: unauthorized: incorrect username or password"),
        ("credentials not found in native keychain", "credentials not found in native keychain"),
        ("denied: requested access to the resource is denied", "denied: requested access to the resource is denied"),
        ("token expired", "token ***"),
        ("open /home/u/.password-store/x.gpg: no such file", "open /home/u/.password-store/x.gpg: no such file"),
        (
            'curl -H \'Authorization: Digest username="a", response="b"\' https://x/',
            "curl -H 'Authorization: ***' https://x/",
        ),
        ('Authorization: Digest username="a", response="b"\nnext', "Authorization: ***; next"),
        ("passphrase: correct horse battery staple", "passphrase: ***"),
        ("dial https://bob:hunter2@proxy.corp:3128/x: refused", "dial https://***@proxy.corp:3128/x: refused"),
        ("two\n\n  lines\n", "two; lines"),
    ],
)
def test_what_is_kept_of_a_complaint(said: str, shown: str) -> None:
    """It is still useful to the reader; one word too many is masked rather than one too few."""
    assert mask_complaint(said) == shown


@given(st.text(max_size=300))
def test_masking_takes_any_text(text: str) -> None:
    """And gives one printable line for any input."""
    shown = mask_complaint(text)
    assert not [c for c in shown if ord(c) < 32]


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "password ",
            "password is ",
            "x: ",
            '\\"',
            "a-",
            "pwd=",
            "'",
            "Authorization: ",
            "://@",
            "password:",
            "token, ",
        ),
        *(
            "{password:",
            'password=""',
            "token (",
            'token "',
            "token <",
            "auth-",
            "auth\t\t",
            "a:",
            "x:x/",
            "&a=",
            "-u a:",
            "login -p",
            "a@",
            "\0",
            "/token:",
        ),
    ],
)
def test_no_text_takes_long_to_mask(piece: str) -> None:
    """A program that fails may print anything: 4 KiB of it are checked. Ten times as much takes ten times as long, not a hundred times."""
    text = f"password {piece * (40960 // len(piece))}"
    for _ in range(3):
        assert mask_complaint(text)


def test_what_a_program_was_given_is_not_repeated() -> None:
    """The values of its variables and its arguments, whatever stands before them; paths and short words stay."""
    given = ("swordfish", "sword", "eu", "--key=trustno1", "--verbose", "get", "/etc/corp.json")
    said = "sword swordfish trustno1 eu --verbose get /etc/corp.json"
    assert mask_given(said, given) == "*** *** *** eu --verbose get /etc/corp.json"
