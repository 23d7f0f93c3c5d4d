"""The gRPC edge of keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from server.foundation import ids, networks
from server.foundation.networks import NetworkError, Networks
from server.keys.checker import KeyChecker
from server.keys.key_ring import KeyRing, KeyWish, key_text
from server.keys.keys import CHAT, Key
from server.keys.rotation import KeyRotation
from server.keys.trials import TIER, Trials
from server.rpc import bounds_form
from server.rpc.context import CallContext
from server.rpc.errors import InvalidArgumentError, NotFoundError
from server.rpc.pagination import Paginator
from tollbridge.keys.v1 import key_pb2 as messages
from tollbridge.keys.v1 import key_service_pb2 as requests

_INNER: Final = {"allowed_cidrs": "networks"}
"""Fields that the domain calls otherwise."""


class KeyService:
    """API keys of the caller's organization."""

    NAME = "tollbridge.keys.v1.KeyService"

    def __init__(
        self, ring: KeyRing, rotation: KeyRotation, trials: Trials, checker: KeyChecker, paginator: Paginator
    ) -> None:
        self._ring = ring
        self._rotation = rotation
        self._trials = trials
        self._checker = checker
        self._paginator = paginator

    async def create_key(self, request: requests.CreateKeyRequest, context: CallContext) -> requests.CreateKeyResponse:
        """Makes a key."""
        key, secret = await self._ring.create(context, wish_of(request))
        return requests.CreateKeyResponse(key=to_proto(key), secret=secret)

    async def list_keys(self, request: requests.ListKeysRequest, context: CallContext) -> requests.ListKeysResponse:
        """Lists keys, newest first."""
        page = self._paginator.open(context, request.page_size, request.page_token)
        rows = await self._ring.list_page(context, page.after_id, page.size + 1)
        shown, more = rows[: page.size], len(rows) > page.size
        token = self._paginator.next_token(context, page, [str(shown[-1].id)]) if more else ""
        return requests.ListKeysResponse(keys=[to_proto(key) for key in shown], next_page_token=token)

    async def get_key(self, request: requests.GetKeyRequest, context: CallContext) -> messages.Key:
        """Reads one key."""
        return to_proto(await self._ring.get(context, id_of(request.id)))

    async def update_key(self, request: requests.UpdateKeyRequest, context: CallContext) -> messages.Key:
        """Changes one key."""
        values = {_INNER.get(name, name): value for name, value in changes(request.key, request.update_mask).items()}
        return to_proto(await self._ring.update(context, id_of(request.key.id), values, request.key.etag))

    async def revoke_key(self, request: requests.RevokeKeyRequest, context: CallContext) -> messages.Key:
        """Ends one key."""
        return to_proto(await self._ring.revoke(context, id_of(request.id)))

    async def revoke_secret(self, request: requests.RevokeSecretRequest, context: CallContext) -> messages.Key:
        """Ends the key with this secret, or the calling key."""
        return to_proto(await self._ring.revoke_secret(context, request.secret))

    async def rotate_key(self, request: requests.RotateKeyRequest, context: CallContext) -> requests.RotateKeyResponse:
        """Gives a key another secret."""
        overlap = timedelta(seconds=request.overlap_seconds)
        key, secret = await self._rotation.rotate(context, id_of(request.id), overlap)
        return requests.RotateKeyResponse(key=to_proto(key), secret=secret)

    async def regenerate_key(
        self, request: requests.RegenerateKeyRequest, context: CallContext
    ) -> requests.RegenerateKeyResponse:
        """Replaces the calling key's secret, or the caller's personal key."""
        del request
        key, secret = await self._rotation.regenerate(context)
        return requests.RegenerateKeyResponse(key=to_proto(key), secret=secret)

    async def issue_trial_key(
        self, request: requests.IssueTrialKeyRequest, context: CallContext
    ) -> requests.IssueTrialKeyResponse:
        """Makes a trial key."""
        issued = await self._trials.issue(context, request.email)
        response = requests.IssueTrialKeyResponse(secret=issued.secret, tier=TIER)
        response.expire_time.FromDatetime(issued.expire_time)
        return response

    async def claim_trial_key(
        self, request: requests.ClaimTrialKeyRequest, context: CallContext
    ) -> requests.ClaimTrialKeyResponse:
        """Ends the address's trials and makes a key instead."""
        claimed = await self._trials.claim(context, request.token)
        return requests.ClaimTrialKeyResponse(
            key=to_proto(claimed.key), secret=claimed.secret, revoked_trial_keys=claimed.revoked
        )

    async def verify_key(self, request: requests.VerifyKeyRequest, context: CallContext) -> requests.VerifyKeyResponse:
        """Checks a secret for an internal service."""
        del context
        key = await self._checker.verify(request.secret, request.ip)
        if key is None:
            return requests.VerifyKeyResponse(active=False)
        organization_id = ids.to_text(ids.ORGANIZATION, key.org_id)
        return requests.VerifyKeyResponse(active=True, key=to_proto(key), organization_id=organization_id)


def id_of(text: str) -> UUID:
    """The key's id. Raises `NotFoundError`: unreadable is unknown."""
    key_id = ids.from_text(ids.KEY, text)
    if key_id is None:
        raise NotFoundError("key")
    return key_id


def wish_of(request: requests.CreateKeyRequest) -> KeyWish:
    """What the request asks for."""
    return KeyWish(
        name=request.name,
        scopes=tuple(request.scopes) or (CHAT,),
        models=tuple(request.models),
        expire_time=time_of("expire_time", request.expire_time) if request.HasField("expire_time") else None,
        networks=networks_of("allowed_cidrs", request.allowed_cidrs),
        limits=bounds_form.from_proto(request.limits),
    )


def networks_of(field: str, texts: Iterable[str]) -> Networks:
    """The networks that a key is bound to. Raises `InvalidArgumentError` naming the one that is none."""
    found = []
    for index, text in enumerate(texts):
        try:
            found.append(networks.parse_one(text))
        except NetworkError as error:
            raise InvalidArgumentError.of(f"{field}[{index}]", str(error)) from error
    return Networks(tuple(dict.fromkeys(found)))


def time_of(field: str, timestamp: Timestamp) -> datetime:
    """The moment, in UTC. Raises `InvalidArgumentError` beyond the years 1 to 9999."""
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError.of(field, "is not a time between the years 1 and 9999") from error


def changes(wanted: messages.Key, mask: FieldMask) -> dict[str, Any]:
    """New values by name: those that the mask names, or without one those that are set.

    Raises `InvalidArgumentError` for a path that cannot be changed, naming it.
    """
    expire_time = time_of("key.expire_time", wanted.expire_time) if wanted.HasField("expire_time") else None
    bound = networks_of("key.allowed_cidrs", wanted.allowed_cidrs)
    values: dict[str, Any] = {
        "name": wanted.name,
        "expire_time": expire_time,
        "models": tuple(wanted.models),
        "allowed_cidrs": bound,
        "limits": bounds_form.from_proto(wanted.limits),
    }
    if not mask.paths:
        return {name: value for name, value in values.items() if value}
    unknown = [path for path in mask.paths if path not in values]
    if unknown:
        raise InvalidArgumentError.of("update_mask", f"{unknown[0]} cannot be changed here")
    return {name: value for name, value in values.items() if name in mask.paths}


def to_proto(key: Key) -> messages.Key:
    """The key as its organization sees it."""
    message = messages.Key(
        id=key_text(key.id),
        name=key.name,
        masked=key.masked,
        scopes=key.scopes,
        models=key.models,
        creator_user_id="" if key.creator_user_id is None else ids.to_text(ids.USER, key.creator_user_id),
        etag=key.etag,
        allowed_cidrs=[str(network) for network in key.networks.networks],
        personal=key.personal,
        trial=key.trial,
        limits=bounds_form.to_proto(key.limits) if key.limits else None,
    )
    message.create_time.FromDatetime(key.create_time)
    message.update_time.FromDatetime(key.update_time)
    if key.expire_time is not None:
        message.expire_time.FromDatetime(key.expire_time)
    if key.revoke_time is not None:
        message.revoke_time.FromDatetime(key.revoke_time)
    if key.last_used_time is not None:
        message.last_used_time.FromDatetime(key.last_used_time)
    if key.previous is not None:
        message.previous_masked = key.previous.masked
        message.previous_expire_time.FromDatetime(key.previous.expire_time)
    return message
