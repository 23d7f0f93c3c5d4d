# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import Iterator
from typing import Any, Unpack

from tollbridge.models.v1 import profile_pb2, profile_service_pb2, profile_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, KeyedUnaryOptions, Service, UnaryOptions, rows_of


class Profiles(Service):
    """Profiles: models with an identity prompt. Whoever may list models reads them, without the prompts;
    platform administrators make and change them."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = profile_service_pb2_grpc.ProfileServiceStub(calls.channel)

    def create_profile(
        self, request: profile_service_pb2.CreateProfileRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> profile_pb2.Profile:
        """Makes a profile; it can be called everywhere within a second. The name of a model or of another
        profile is refused."""
        return self._calls.unary(
            self._stub.CreateProfile, methods.PROFILES_CREATE_PROFILE, request, profile_pb2.Profile, options
        )

    def get_profile(
        self, request: profile_service_pb2.GetProfileRequest, **options: Unpack[UnaryOptions]
    ) -> profile_pb2.Profile:
        """Reads one profile. One that the caller's key may not call answers like an unknown name."""
        return self._calls.unary(
            self._stub.GetProfile, methods.PROFILES_GET_PROFILE, request, profile_pb2.Profile, options
        )

    def list_profiles(
        self, request: profile_service_pb2.ListProfilesRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> profile_service_pb2.ListProfilesResponse:
        """Lists the profiles that the caller's credential may call, by name. One whose model is not in use
        stays in the list."""
        return self._calls.unary(
            self._stub.ListProfiles,
            methods.PROFILES_LIST_PROFILES,
            profile_service_pb2.ListProfilesRequest() if request is None else request,
            profile_service_pb2.ListProfilesResponse,
            options,
        )

    def list_all_profiles(
        self, request: profile_service_pb2.ListProfilesRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> Iterator[profile_pb2.Profile]:
        """Every row of `list_profiles` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_profiles(page, **options),
            profile_service_pb2.ListProfilesRequest() if request is None else request,
            lambda page: page.profiles,
        )

    def update_profile(
        self, request: profile_service_pb2.UpdateProfileRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> profile_pb2.Profile:
        """Changes a profile. Calls that begin a second later have the new values; running ones keep theirs.
        One of the configuration file is refused."""
        return self._calls.unary(
            self._stub.UpdateProfile, methods.PROFILES_UPDATE_PROFILE, request, profile_pb2.Profile, options
        )

    def delete_profile(
        self, request: profile_service_pb2.DeleteProfileRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> profile_service_pb2.DeleteProfileResponse:
        """Removes a profile; within a second its name is unknown. Usage keeps it. One of the configuration
        file is refused."""
        return self._calls.unary(
            self._stub.DeleteProfile,
            methods.PROFILES_DELETE_PROFILE,
            request,
            profile_service_pb2.DeleteProfileResponse,
            options,
        )
