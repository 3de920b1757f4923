"""A daemon's view of a machine with logins of Azure's."""

from collections.abc import Mapping
from types import MappingProxyType

from credproxy.core.ask.credential import secret_of
from credproxy.core.ask.login import Login
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.ask.worker_messages import AzureToken, LibraryAnswer, LibraryQuestion, LibraryToken
from credproxy.core.errors import Failed
from credproxy.core.kinds.sources.acr import AcrSource
from credproxy.core.kinds.sources.azure import AzureSource
from credproxy.ports.source import Source
from credproxy.sources.acr import Acr
from credproxy.sources.azure import Azure
from credproxy.sources.azure_token import AzureTokens
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeLibraries


PROFILE = "/home/u/.azure/azureProfile.json"
LOGGED_IN = '{"installationId": "i", "subscriptions": [{"id": "1", "user": {"name": "u", "type": "user"}}]}'
"""What az writes there."""

BLOB = parse_uri("https://acct.blob.core.windows.net/c/b")
NOTHING: Mapping[str, object] = MappingProxyType({})

SECRETS = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "canary"}


class AzureMachine:
    """One, whose library gives ``given``."""

    def __init__(self, environ: Mapping[str, str] = SECRETS, options: Mapping[str, object] = NOTHING) -> None:
        self.files, self.clock, self.libraries = FakeFiles(), FakeClock(), FakeLibraries()
        self.http = FakeHttp(clock=self.clock)
        self.libraries.answers[AzureToken] = self.answer
        self.given: LibraryToken | Failed = LibraryToken("aad", self.clock.wall() + 3599)
        self.environ = {"HOME": "/home/u", **environ}
        self.options = dict(options)

    def answer(self, question: LibraryQuestion) -> LibraryAnswer | Failed:
        """What the library gives."""
        del question
        return self.given

    def azure(self) -> Azure:
        """The source of access tokens."""
        settings = AzureSource(**self.options)  # type: ignore[arg-type]  # a row of a table
        return Azure(settings, self._tokens(settings))

    def acr(self) -> Acr:
        """The source of logins for registries."""
        return Acr(self._tokens(AcrSource(**self.options)), http=self.http, clock=self.clock)  # type: ignore[arg-type]  # a row of a table

    def _tokens(self, settings: AzureSource | AcrSource) -> AzureTokens:
        return AzureTokens(settings, self.environ, files=self.files, libraries=self.libraries, clock=self.clock)

    @property
    def asked(self) -> AzureToken:
        """The last question."""
        last = self.libraries.asked[-1]
        assert isinstance(last, AzureToken)
        return last


async def login(source: Source, target: Target = BLOB, *, anew: bool = False) -> Login:
    """What it gives."""
    identity = await source.locate(target, None)
    assert identity is not None
    found = await source.read(identity, target, anew=anew)
    assert found is not None
    return found


async def text(source: Source, target: Target = BLOB, *, anew: bool = False) -> str:
    """The secret of that."""
    return secret_of((await login(source, target, anew=anew)).stored).reveal()
