"""The gRPC edge of profiles."""

from __future__ import annotations

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from server.models.profile_book import ProfileBook
from server.models.profiles import CHANGEABLE, to_proto
from server.rpc.context import CallContext
from server.rpc.errors import InvalidArgumentError
from server.rpc.pagination import Paginator
from tollbridge.models.v1 import profile_pb2 as messages
from tollbridge.models.v1 import profile_service_pb2 as requests


class ProfileService:
    """Serves tollbridge.models.v1.ProfileService."""

    NAME = "tollbridge.models.v1.ProfileService"

    def __init__(self, book: ProfileBook, paginator: Paginator) -> None:
        self._book = book
        self._paginator = paginator

    async def create_profile(self, request: requests.CreateProfileRequest, context: CallContext) -> messages.Profile:
        """Makes a profile."""
        values = changes(request.profile, FieldMask())
        return to_proto(await self._book.create(context, request.profile.id, values), with_prompt=True)

    async def get_profile(self, request: requests.GetProfileRequest, context: CallContext) -> messages.Profile:
        """Reads one profile; the prompt for platform administrators only."""
        profile = await self._book.get(context.principal.models, request.id)
        return to_proto(profile, with_prompt=context.principal.platform_admin)

    async def list_profiles(
        self, request: requests.ListProfilesRequest, context: CallContext
    ) -> requests.ListProfilesResponse:
        """Lists the profiles that the caller may call, by name; prompts for platform administrators only."""
        caller = context.principal
        page = self._paginator.open(context, request.page_size, request.page_token, sorted(caller.models))
        after = page.after[0] if page.after else None
        rows = await self._book.list_page(caller.models, after, page.size + 1)
        shown, more = rows[: page.size], len(rows) > page.size
        return requests.ListProfilesResponse(
            profiles=[to_proto(row, with_prompt=caller.platform_admin) for row in shown],
            next_page_token=self._paginator.next_token(context, page, [shown[-1].id]) if more else "",
        )

    async def update_profile(self, request: requests.UpdateProfileRequest, context: CallContext) -> messages.Profile:
        """Changes one profile."""
        wanted = request.profile
        updated = await self._book.update(context, wanted.id, changes(wanted, request.update_mask), wanted.etag)
        return to_proto(updated, with_prompt=True)

    async def delete_profile(
        self, request: requests.DeleteProfileRequest, context: CallContext
    ) -> requests.DeleteProfileResponse:
        """Removes one profile."""
        await self._book.delete(context, request.id)
        return requests.DeleteProfileResponse()


def changes(wanted: messages.Profile, mask: FieldMask) -> dict[str, Any]:
    """New values by name: those that the mask names, or without one those that are set.

    Raises `InvalidArgumentError` for a path that cannot be changed, naming it.
    """
    values: dict[str, Any] = {
        "model": wanted.model,
        "prompt": wanted.prompt,
        "description": wanted.description,
        "owned_by": wanted.owned_by,
        "temperature": wanted.temperature if wanted.HasField("temperature") else None,
        "max_output_tokens": wanted.max_output_tokens if wanted.HasField("max_output_tokens") else None,
    }
    if not mask.paths:
        return {name: value for name, value in values.items() if value is not None and value != ""}
    unknown = [path for path in mask.paths if path not in CHANGEABLE]
    if unknown:
        raise InvalidArgumentError.of("update_mask", f"{unknown[0]} cannot be changed here")
    return {name: values[name] for name in mask.paths}
