"""A signature that another library verifies, and the errors for files without a key."""

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from credproxy.adapters.jwt_signing import JwtSigner


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)
CURVE = ec.generate_private_key(ec.SECP256R1())
WIDER = ec.generate_private_key(ec.SECP384R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
CLAIMS: dict[str, str | int] = {"iss": "4711", "iat": 1, "exp": 2}


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    form: str = "TraditionalOpenSSL",
    secret: str = "",
) -> bytes:
    """A key as a file has it."""
    hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if secret:
        hidden = serialization.BestAvailableEncryption(secret.encode())
    return key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), hidden)


PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("form", ["TraditionalOpenSSL", "PKCS8"])
async def test_another_library_takes_the_signature(form: str) -> None:
    """Whichever form the key is in: GitHub gives one, openssl makes the other."""
    token = await JwtSigner().sign(pem(KEY, form), CLAIMS)
    found = jwt.decode(token.reveal(), KEY.public_key(), ["RS256"], options={"verify_exp": False, "verify_iat": False})
    assert found == CLAIMS
    assert jwt.get_unverified_header(token.reveal())["alg"] == "RS256"


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (b"", "is not a private key in PEM form"),
        (b"canary", "is not a private key in PEM form"),
        (pem(KEY)[:400] + b"\n-----END RSA PRIVATE KEY-----\n", "is not a private key in PEM form"),
        (PUBLIC, "is not a private key in PEM form"),
        (pem(KEY, secret="canary"), "is protected by a passphrase"),
        (pem(SHORT), "is not an RSA key of 2048 bits or more"),
        (pem(CURVE), "is not an RSA key of 2048 bits or more"),
    ],
    ids=["empty", "text", "cut", "public", "passphrase", "short", "curve"],
)
async def test_an_invalid_key_is_reported_in_our_own_words(key: bytes, problem: str) -> None:
    """A library's message may quote it."""
    with pytest.raises(ValueError, match=f"^{problem}$") as caught:
        await JwtSigner().sign(key, CLAIMS)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(KEY, "RS256"), (KEY, "PS256"), (CURVE, "ES256"), (WIDER, "ES384")],
    ids=["RS256", "PS256", "ES256", "ES384"],
)
async def test_each_algorithm_with_a_key_of_its_sort(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, algorithm: str
) -> None:
    """And the name of the key, where a server knows several."""
    token = (await JwtSigner().sign(pem(key, "PKCS8"), CLAIMS, algorithm=algorithm, key_id="k1")).reveal()
    found = jwt.decode(token, key.public_key(), [algorithm], options={"verify_exp": False, "verify_iat": False})
    assert found == CLAIMS
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": "k1", "typ": "JWT"}


@pytest.mark.parametrize(
    ("key", "algorithm", "problem"),
    [
        (CURVE, "RS256", "is not an RSA key of 2048 bits or more"),
        (EDWARDS, "PS256", "is not an RSA key of 2048 bits or more"),
        (KEY, "ES256", "is not a key on the curve secp256r1, which ES256 needs"),
        (WIDER, "ES256", "is not a key on the curve secp256r1, which ES256 needs"),
        (CURVE, "ES384", "is not a key on the curve secp384r1, which ES384 needs"),
    ],
)
async def test_a_key_of_another_sort_is_reported(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, algorithm: str, problem: str
) -> None:
    """With what the algorithm needs."""
    with pytest.raises(ValueError, match=f"^{problem}$"):
        await JwtSigner().sign(pem(key, "PKCS8"), CLAIMS, algorithm=algorithm)
