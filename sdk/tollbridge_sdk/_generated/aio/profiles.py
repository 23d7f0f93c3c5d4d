# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import AsyncIterator
from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall, rows_of
from tollbridge_sdk.messages import models
from tollbridge_sdk.options import CallOptions, KeyedCallOptions


class AsyncProfiles(AsyncService):
    """Profiles: models with an identity prompt. Whoever may list models reads them, without the prompts;
    platform administrators make and change them."""

    def create_profile(
        self, request: models.CreateProfileRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[models.Profile]:
        """Makes a profile; it can be called everywhere within a second. The name of a model or of another
        profile is refused."""
        return self._calls.unary(methods.PROFILES_CREATE_PROFILE, request, models.Profile, options)

    def get_profile(
        self, request: models.GetProfileRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[models.Profile]:
        """Reads one profile. One that the caller's key may not call answers like an unknown name."""
        return self._calls.unary(methods.PROFILES_GET_PROFILE, request, models.Profile, options)

    def list_profiles(
        self, request: models.ListProfilesRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[models.ListProfilesResponse]:
        """Lists the profiles that the caller's credential may call, by name. One whose model is not in use
        stays in the list."""
        return self._calls.unary(
            methods.PROFILES_LIST_PROFILES,
            models.ListProfilesRequest() if request is None else request,
            models.ListProfilesResponse,
            options,
        )

    def list_all_profiles(
        self, request: models.ListProfilesRequest | None = None, **options: Unpack[CallOptions]
    ) -> AsyncIterator[models.Profile]:
        """Every row of `list_profiles` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_profiles(page, **options),
            models.ListProfilesRequest() if request is None else request,
            lambda page: page.profiles,
        )

    def update_profile(
        self, request: models.UpdateProfileRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[models.Profile]:
        """Changes a profile. Calls that begin a second later have the new values; running ones keep theirs.
        One of the configuration file is refused."""
        return self._calls.unary(methods.PROFILES_UPDATE_PROFILE, request, models.Profile, options)

    def delete_profile(
        self, request: models.DeleteProfileRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[models.DeleteProfileResponse]:
        """Removes a profile; within a second its name is unknown. Usage keeps it. One of the configuration
        file is refused."""
        return self._calls.unary(methods.PROFILES_DELETE_PROFILE, request, models.DeleteProfileResponse, options)
