# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from typing import Any, Unpack

from tollbridge.limits.v1 import limit_pb2, limit_service_pb2, limit_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, KeyedUnaryOptions, Service, UnaryOptions


class Limits(Service):
    """What bounds the caller's chat calls beside money. Keys' own limits are set with the key."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = limit_service_pb2_grpc.LimitServiceStub(calls.channel)

    def get_limits(
        self, request: limit_service_pb2.GetLimitsRequest, **options: Unpack[UnaryOptions]
    ) -> limit_service_pb2.GetLimitsResponse:
        """Says how every limit stands that the caller's next chat call meets (plan, organization, person,
        key), and which limits the organization gave itself. Limits of a model stand here where `model` names
        one."""
        return self._calls.unary(
            self._stub.GetLimits, methods.LIMITS_GET_LIMITS, request, limit_service_pb2.GetLimitsResponse, options
        )

    def set_limits(
        self, request: limit_service_pb2.SetLimitsRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> limit_pb2.LimitRule:
        """Gives the organization, one of its people or one of the models that it calls limits in place of
        those before; none in `limits` removes them. Works everywhere within a second. What was used of a day,
        hour or month stays used."""
        return self._calls.unary(self._stub.SetLimits, methods.LIMITS_SET_LIMITS, request, limit_pb2.LimitRule, options)
