"""Access keys that are looked up once a second."""

from credproxy.core.ask.credential import Identity, Secret, UserPassword
from credproxy.core.ask.login import Login
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import parse_uri
from credproxy.providers.signing_keys import SigningKeys
from tests.fakes import FakeAwsSigner, FakeClock, FakeSource


HOST = "b.s3.eu-west-1.amazonaws.com"


class Flushed(FakeSource):
    """Its login changes, and everything is flushed, while the first look is on its way."""

    keys: SigningKeys

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """What was there when the look began."""
        found = await super().read(identity, target, anew=anew)
        if self.reads == 1:
            self.stored = UserPassword("NEW", Secret("s"))
            self.keys.forget()
        return found


async def test_a_look_that_a_flush_overtook_is_not_kept() -> None:
    """A signature that was made with it would be handed out for five minutes."""
    clock = FakeClock()
    source = Flushed(HOST, UserPassword("OLD", Secret("s")), clock=clock)
    keys = source.keys = SigningKeys(source, FakeAwsSigner(), clock=clock, required=True)
    found = await keys.look(source.identity, parse_uri(f"https://{HOST}/k"), anew=False)
    assert found.key is not None
    assert (found.key.keys.key_id, source.reads) == ("NEW", 2)
    assert keys.known(source.identity) is found
