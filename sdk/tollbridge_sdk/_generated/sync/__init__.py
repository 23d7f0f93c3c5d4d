# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from tollbridge_sdk._generated.sync.auth import Auth
from tollbridge_sdk._generated.sync.billing import Billing
from tollbridge_sdk._generated.sync.chat import Chat
from tollbridge_sdk._generated.sync.keys import Keys
from tollbridge_sdk._generated.sync.limits import Limits
from tollbridge_sdk._generated.sync.models import Models
from tollbridge_sdk._generated.sync.organizations import Organizations
from tollbridge_sdk._generated.sync.plans import Plans
from tollbridge_sdk._generated.sync.platform import Platform
from tollbridge_sdk._generated.sync.profiles import Profiles
from tollbridge_sdk._generated.sync.usage import Usage
from tollbridge_sdk.calls import Calls


class Services:
    """Every service of the server, by its name."""

    def __init__(self, calls: Calls) -> None:
        self.auth = Auth(calls)
        """Accounts and sessions of people. Programs use keys (`KeyService`)."""
        self.billing = Billing(calls)
        """The organization's money."""
        self.chat = Chat(calls)
        """Chat with models. Every call is metered, priced and paid for; the trailing metadata says what it
        came to (`Outcome`)."""
        self.keys = Keys(calls)
        """API keys of the caller's organization."""
        self.limits = Limits(calls)
        """What bounds the caller's chat calls beside money. Keys' own limits are set with the key."""
        self.models = Models(calls)
        """Models that the caller can name in chat."""
        self.profiles = Profiles(calls)
        """Profiles: models with an identity prompt. Whoever may list models reads them, without the prompts;
        platform administrators make and change them."""
        self.organizations = Organizations(calls)
        """The caller's own organization and who is in it."""
        self.plans = Plans(calls)
        """Plans on offer."""
        self.platform = Platform(calls)
        """What runs here and how it is. Open to everyone; nothing here tells of any organization."""
        self.usage = Usage(calls)
        """What the organization has used. Days and months begin in the organization's time zone."""
