"""A credential in two headers, a key's id and its secret, brought over as one."""

from __future__ import annotations

from bridge import metadata
from bridge.aliases.route import CredentialForm
from bridge.caller import Metadata
from bridge.errors import CredentialInvalid
from bridge.http.fields import AnswerFields, RequestFields
from bridge.http.request import Request


class PairCrossing:
    """The platform's own crossing, with one more form of credential."""

    def __init__(self, form: CredentialForm) -> None:
        self._id_header = form.id_header.lower()
        self._secret_header = form.secret_header.lower()

    def request_metadata(self, request: Request, wants_credential: bool) -> list[tuple[str, str | bytes]]:
        """The metadata of a call. Raises `CredentialInvalid` where only one of the two is there."""
        pair = self._pair(request.fields)
        if pair is None:
            return metadata.request_metadata(request.fields, wants_credential)
        return metadata.pair_metadata(request.fields, *pair)

    def timeout(self, _: Request, longest: float | None) -> float | None:
        """As the platform's own."""
        return longest

    def show_metadata(self, shown: Metadata, headers: AnswerFields) -> None:
        """As the platform's own."""
        metadata.show_metadata(shown, headers)

    def _pair(self, headers: RequestFields) -> tuple[str, str] | None:
        """The id and the secret, None where neither is there.

        Raises `CredentialInvalid` where one is missing or stands there twice, or where another credential is there
        too: nobody knows which one is meant.
        """
        ids, secrets = headers.every(self._id_header), headers.every(self._secret_header)
        if not ids and not secrets:
            return None
        alone = "authorization" not in headers and "x-api-key" not in headers
        if not alone or len(ids) != 1 or len(secrets) != 1 or not ids[0].strip() or not secrets[0].strip():
            raise CredentialInvalid()
        return ids[0].strip(), secrets[0].strip()
