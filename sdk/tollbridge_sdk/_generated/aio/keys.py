# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import AsyncIterator
from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall, rows_of
from tollbridge_sdk.messages import keys
from tollbridge_sdk.options import CallOptions, KeyedCallOptions


class AsyncKeys(AsyncService):
    """API keys of the caller's organization."""

    def create_key(
        self, request: keys.CreateKeyRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[keys.CreateKeyResponse]:
        """Makes a key. Its secret is in this answer and nowhere else, ever."""
        return self._calls.unary(methods.KEYS_CREATE_KEY, request, keys.CreateKeyResponse, options)

    def list_keys(
        self, request: keys.ListKeysRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[keys.ListKeysResponse]:
        """Lists the organization's keys, newest first, masked; revoked ones stay in the list."""
        return self._calls.unary(
            methods.KEYS_LIST_KEYS,
            keys.ListKeysRequest() if request is None else request,
            keys.ListKeysResponse,
            options,
        )

    def list_all_keys(
        self, request: keys.ListKeysRequest | None = None, **options: Unpack[CallOptions]
    ) -> AsyncIterator[keys.Key]:
        """Every row of `list_keys` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_keys(page, **options),
            keys.ListKeysRequest() if request is None else request,
            lambda page: page.keys,
        )

    def get_key(self, request: keys.GetKeyRequest, **options: Unpack[CallOptions]) -> UnaryCall[keys.Key]:
        """Reads one key, masked."""
        return self._calls.unary(methods.KEYS_GET_KEY, request, keys.Key, options)

    def update_key(self, request: keys.UpdateKeyRequest, **options: Unpack[KeyedCallOptions]) -> UnaryCall[keys.Key]:
        """Changes name, expiry, allowed models, allowed networks and limits. Works everywhere within a
        second."""
        return self._calls.unary(methods.KEYS_UPDATE_KEY, request, keys.Key, options)

    def revoke_key(self, request: keys.RevokeKeyRequest, **options: Unpack[KeyedCallOptions]) -> UnaryCall[keys.Key]:
        """Revokes a key for good: dead everywhere within a second. Revoking again changes nothing."""
        return self._calls.unary(methods.KEYS_REVOKE_KEY, request, keys.Key, options)

    def rotate_key(
        self, request: keys.RotateKeyRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[keys.RotateKeyResponse]:
        """Gives a key a new secret, which is in this answer and nowhere else, ever. The secret so far works
        for `overlap_seconds` longer, everywhere but for a second; a secret from before it is dead at once.
        The key keeps its id, rights and history."""
        return self._calls.unary(methods.KEYS_ROTATE_KEY, request, keys.RotateKeyResponse, options)

    def regenerate_key(
        self, request: keys.RegenerateKeyRequest | None = None, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[keys.RegenerateKeyResponse]:
        """Replaces the caller's own key: a calling key gets a new secret, a person's personal key too, and is
        made (scope "chat") where the person has none. The secret so far is dead everywhere within a
        second."""
        return self._calls.unary(
            methods.KEYS_REGENERATE_KEY,
            keys.RegenerateKeyRequest() if request is None else request,
            keys.RegenerateKeyResponse,
            options,
        )

    def revoke_secret(
        self, request: keys.RevokeSecretRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[keys.Key]:
        """Revokes the organization's key with this secret, or the calling key: whoever holds a secret may end
        it. Another organization's secret answers like an unknown one. Revoking again changes nothing."""
        return self._calls.unary(methods.KEYS_REVOKE_SECRET, request, keys.Key, options)

    def issue_trial_key(
        self, request: keys.IssueTrialKeyRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[keys.IssueTrialKeyResponse]:
        """Makes a key for trying things out, for an e-mail address and without an account: it calls only
        models that cost nothing, has no credit, and expires. The answer is the same whoever has the address.
        An address of the network gets a few a day (3 unless the deployment says otherwise), then 429. Off in
        production unless it is turned on."""
        return self._calls.unary(methods.KEYS_ISSUE_TRIAL_KEY, request, keys.IssueTrialKeyResponse, options)

    def claim_trial_key(
        self, request: keys.ClaimTrialKeyRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[keys.ClaimTrialKeyResponse]:
        """Trades the token that was mailed to a trial's address for a key of the caller's own organization,
        and ends every trial key of that address, whoever asked for it. A token that is unknown, was used, or
        whose trial expired, is not found."""
        return self._calls.unary(methods.KEYS_CLAIM_TRIAL_KEY, request, keys.ClaimTrialKeyResponse, options)

    def verify_key(
        self, request: keys.VerifyKeyRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[keys.VerifyKeyResponse]:
        """Says whether a secret is a working key and what it may do, for internal services. A wrong secret is
        an answer (`active: false`), not an error."""
        return self._calls.unary(methods.KEYS_VERIFY_KEY, request, keys.VerifyKeyResponse, options)
