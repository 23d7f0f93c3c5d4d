# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from tollbridge_sdk._generated.aio.auth import AsyncAuth
from tollbridge_sdk._generated.aio.billing import AsyncBilling
from tollbridge_sdk._generated.aio.chat import AsyncChat
from tollbridge_sdk._generated.aio.keys import AsyncKeys
from tollbridge_sdk._generated.aio.limits import AsyncLimits
from tollbridge_sdk._generated.aio.models import AsyncModels
from tollbridge_sdk._generated.aio.organizations import AsyncOrganizations
from tollbridge_sdk._generated.aio.plans import AsyncPlans
from tollbridge_sdk._generated.aio.platform import AsyncPlatform
from tollbridge_sdk._generated.aio.profiles import AsyncProfiles
from tollbridge_sdk._generated.aio.usage import AsyncUsage
from tollbridge_sdk.async_calls import AsyncCalls


class AsyncServices:
    """Every service of the server, by its name."""

    def __init__(self, calls: AsyncCalls) -> None:
        self.auth = AsyncAuth(calls)
        """Accounts and sessions of people. Programs use keys (`KeyService`)."""
        self.billing = AsyncBilling(calls)
        """The organization's money."""
        self.chat = AsyncChat(calls)
        """Chat with models. Every call is metered, priced and paid for; the trailing metadata says what it
        came to (`Outcome`)."""
        self.keys = AsyncKeys(calls)
        """API keys of the caller's organization."""
        self.limits = AsyncLimits(calls)
        """What bounds the caller's chat calls beside money. Keys' own limits are set with the key."""
        self.models = AsyncModels(calls)
        """Models that the caller can name in chat."""
        self.profiles = AsyncProfiles(calls)
        """Profiles: models with an identity prompt. Whoever may list models reads them, without the prompts;
        platform administrators make and change them."""
        self.organizations = AsyncOrganizations(calls)
        """The caller's own organization and who is in it."""
        self.plans = AsyncPlans(calls)
        """Plans on offer."""
        self.platform = AsyncPlatform(calls)
        """What runs here and how it is. Open to everyone; nothing here tells of any organization."""
        self.usage = AsyncUsage(calls)
        """What the organization has used. Days and months begin in the organization's time zone."""
