"""The SDK's version, which is the version of the server whose contract it was made from."""

from typing import Final

VERSION: Final = "0.1.0"
