# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall
from tollbridge_sdk.messages import limits
from tollbridge_sdk.options import CallOptions, KeyedCallOptions


class AsyncLimits(AsyncService):
    """What bounds the caller's chat calls beside money. Keys' own limits are set with the key."""

    def get_limits(
        self, request: limits.GetLimitsRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[limits.GetLimitsResponse]:
        """Says how every limit stands that the caller's next chat call meets (plan, organization, person,
        key), and which limits the organization gave itself. Limits of a model stand here where `model` names
        one."""
        return self._calls.unary(methods.LIMITS_GET_LIMITS, request, limits.GetLimitsResponse, options)

    def set_limits(
        self, request: limits.SetLimitsRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[limits.LimitRule]:
        """Gives the organization, one of its people or one of the models that it calls limits in place of
        those before; none in `limits` removes them. Works everywhere within a second. What was used of a day,
        hour or month stays used."""
        return self._calls.unary(methods.LIMITS_SET_LIMITS, request, limits.LimitRule, options)
