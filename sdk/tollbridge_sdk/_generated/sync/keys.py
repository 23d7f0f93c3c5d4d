# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import Iterator
from typing import Any, Unpack

from tollbridge.keys.v1 import key_pb2, key_service_pb2, key_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, KeyedUnaryOptions, Service, UnaryOptions, rows_of


class Keys(Service):
    """API keys of the caller's organization."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = key_service_pb2_grpc.KeyServiceStub(calls.channel)

    def create_key(
        self, request: key_service_pb2.CreateKeyRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> key_service_pb2.CreateKeyResponse:
        """Makes a key. Its secret is in this answer and nowhere else, ever."""
        return self._calls.unary(
            self._stub.CreateKey, methods.KEYS_CREATE_KEY, request, key_service_pb2.CreateKeyResponse, options
        )

    def list_keys(
        self, request: key_service_pb2.ListKeysRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> key_service_pb2.ListKeysResponse:
        """Lists the organization's keys, newest first, masked; revoked ones stay in the list."""
        return self._calls.unary(
            self._stub.ListKeys,
            methods.KEYS_LIST_KEYS,
            key_service_pb2.ListKeysRequest() if request is None else request,
            key_service_pb2.ListKeysResponse,
            options,
        )

    def list_all_keys(
        self, request: key_service_pb2.ListKeysRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> Iterator[key_pb2.Key]:
        """Every row of `list_keys` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_keys(page, **options),
            key_service_pb2.ListKeysRequest() if request is None else request,
            lambda page: page.keys,
        )

    def get_key(self, request: key_service_pb2.GetKeyRequest, **options: Unpack[UnaryOptions]) -> key_pb2.Key:
        """Reads one key, masked."""
        return self._calls.unary(self._stub.GetKey, methods.KEYS_GET_KEY, request, key_pb2.Key, options)

    def update_key(
        self, request: key_service_pb2.UpdateKeyRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> key_pb2.Key:
        """Changes name, expiry, allowed models, allowed networks and limits. Works everywhere within a
        second."""
        return self._calls.unary(self._stub.UpdateKey, methods.KEYS_UPDATE_KEY, request, key_pb2.Key, options)

    def revoke_key(
        self, request: key_service_pb2.RevokeKeyRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> key_pb2.Key:
        """Revokes a key for good: dead everywhere within a second. Revoking again changes nothing."""
        return self._calls.unary(self._stub.RevokeKey, methods.KEYS_REVOKE_KEY, request, key_pb2.Key, options)

    def rotate_key(
        self, request: key_service_pb2.RotateKeyRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> key_service_pb2.RotateKeyResponse:
        """Gives a key a new secret, which is in this answer and nowhere else, ever. The secret so far works
        for `overlap_seconds` longer, everywhere but for a second; a secret from before it is dead at once.
        The key keeps its id, rights and history."""
        return self._calls.unary(
            self._stub.RotateKey, methods.KEYS_ROTATE_KEY, request, key_service_pb2.RotateKeyResponse, options
        )

    def regenerate_key(
        self, request: key_service_pb2.RegenerateKeyRequest | None = None, **options: Unpack[KeyedUnaryOptions]
    ) -> key_service_pb2.RegenerateKeyResponse:
        """Replaces the caller's own key: a calling key gets a new secret, a person's personal key too, and is
        made (scope "chat") where the person has none. The secret so far is dead everywhere within a
        second."""
        return self._calls.unary(
            self._stub.RegenerateKey,
            methods.KEYS_REGENERATE_KEY,
            key_service_pb2.RegenerateKeyRequest() if request is None else request,
            key_service_pb2.RegenerateKeyResponse,
            options,
        )

    def revoke_secret(
        self, request: key_service_pb2.RevokeSecretRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> key_pb2.Key:
        """Revokes the organization's key with this secret, or the calling key: whoever holds a secret may end
        it. Another organization's secret answers like an unknown one. Revoking again changes nothing."""
        return self._calls.unary(self._stub.RevokeSecret, methods.KEYS_REVOKE_SECRET, request, key_pb2.Key, options)

    def issue_trial_key(
        self, request: key_service_pb2.IssueTrialKeyRequest, **options: Unpack[UnaryOptions]
    ) -> key_service_pb2.IssueTrialKeyResponse:
        """Makes a key for trying things out, for an e-mail address and without an account: it calls only
        models that cost nothing, has no credit, and expires. The answer is the same whoever has the address.
        An address of the network gets a few a day (3 unless the deployment says otherwise), then 429. Off in
        production unless it is turned on."""
        return self._calls.unary(
            self._stub.IssueTrialKey,
            methods.KEYS_ISSUE_TRIAL_KEY,
            request,
            key_service_pb2.IssueTrialKeyResponse,
            options,
        )

    def claim_trial_key(
        self, request: key_service_pb2.ClaimTrialKeyRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> key_service_pb2.ClaimTrialKeyResponse:
        """Trades the token that was mailed to a trial's address for a key of the caller's own organization,
        and ends every trial key of that address, whoever asked for it. A token that is unknown, was used, or
        whose trial expired, is not found."""
        return self._calls.unary(
            self._stub.ClaimTrialKey,
            methods.KEYS_CLAIM_TRIAL_KEY,
            request,
            key_service_pb2.ClaimTrialKeyResponse,
            options,
        )

    def verify_key(
        self, request: key_service_pb2.VerifyKeyRequest, **options: Unpack[UnaryOptions]
    ) -> key_service_pb2.VerifyKeyResponse:
        """Says whether a secret is a working key and what it may do, for internal services. A wrong secret is
        an answer (`active: false`), not an error."""
        return self._calls.unary(
            self._stub.VerifyKey, methods.KEYS_VERIFY_KEY, request, key_service_pb2.VerifyKeyResponse, options
        )
