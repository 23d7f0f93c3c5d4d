# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Every method that the clients call."""

from typing import Final

from tollbridge_sdk.methods import Idempotency, Method

AUTH_REGISTER: Final = Method("tollbridge.auth.v1.AuthService", "Register", Idempotency.NONE, anonymous=True)
AUTH_LOGIN: Final = Method("tollbridge.auth.v1.AuthService", "Login", Idempotency.NONE, anonymous=True)
AUTH_REFRESH: Final = Method("tollbridge.auth.v1.AuthService", "Refresh", Idempotency.NONE, anonymous=True)
AUTH_LOGOUT: Final = Method("tollbridge.auth.v1.AuthService", "Logout", Idempotency.NONE)
AUTH_LOGOUT_ALL: Final = Method("tollbridge.auth.v1.AuthService", "LogoutAll", Idempotency.NONE)
AUTH_LIST_SESSIONS: Final = Method("tollbridge.auth.v1.AuthService", "ListSessions", Idempotency.SAFE)
AUTH_REVOKE_SESSION: Final = Method("tollbridge.auth.v1.AuthService", "RevokeSession", Idempotency.NONE)
AUTH_GET_JSON_WEB_KEY_SET: Final = Method(
    "tollbridge.auth.v1.AuthService", "GetJsonWebKeySet", Idempotency.SAFE, anonymous=True
)
AUTH_GET_ME: Final = Method("tollbridge.auth.v1.AuthService", "GetMe", Idempotency.SAFE)
AUTH_CHANGE_PASSWORD: Final = Method("tollbridge.auth.v1.AuthService", "ChangePassword", Idempotency.NONE)
BILLING_GET_BALANCE: Final = Method("tollbridge.billing.v1.BillingService", "GetBalance", Idempotency.SAFE)
BILLING_ADJUST_BALANCE: Final = Method("tollbridge.billing.v1.BillingService", "AdjustBalance", Idempotency.KEYED)
BILLING_LIST_TRANSACTIONS: Final = Method("tollbridge.billing.v1.BillingService", "ListTransactions", Idempotency.SAFE)
CHAT_CREATE_CHAT_COMPLETION: Final = Method(
    "tollbridge.chat.v1.ChatService", "CreateChatCompletion", Idempotency.KEYED, runs_model=True
)
CHAT_STREAM_CHAT_COMPLETION: Final = Method(
    "tollbridge.chat.v1.ChatService", "StreamChatCompletion", Idempotency.KEYED, runs_model=True, streams=True
)
KEYS_CREATE_KEY: Final = Method("tollbridge.keys.v1.KeyService", "CreateKey", Idempotency.KEYED)
KEYS_LIST_KEYS: Final = Method("tollbridge.keys.v1.KeyService", "ListKeys", Idempotency.SAFE)
KEYS_GET_KEY: Final = Method("tollbridge.keys.v1.KeyService", "GetKey", Idempotency.SAFE)
KEYS_UPDATE_KEY: Final = Method("tollbridge.keys.v1.KeyService", "UpdateKey", Idempotency.KEYED)
KEYS_REVOKE_KEY: Final = Method("tollbridge.keys.v1.KeyService", "RevokeKey", Idempotency.KEYED)
KEYS_ROTATE_KEY: Final = Method("tollbridge.keys.v1.KeyService", "RotateKey", Idempotency.KEYED)
KEYS_REGENERATE_KEY: Final = Method("tollbridge.keys.v1.KeyService", "RegenerateKey", Idempotency.KEYED)
KEYS_REVOKE_SECRET: Final = Method("tollbridge.keys.v1.KeyService", "RevokeSecret", Idempotency.KEYED)
KEYS_ISSUE_TRIAL_KEY: Final = Method("tollbridge.keys.v1.KeyService", "IssueTrialKey", Idempotency.NONE, anonymous=True)
KEYS_CLAIM_TRIAL_KEY: Final = Method("tollbridge.keys.v1.KeyService", "ClaimTrialKey", Idempotency.KEYED)
KEYS_VERIFY_KEY: Final = Method("tollbridge.keys.v1.KeyService", "VerifyKey", Idempotency.SAFE)
LIMITS_GET_LIMITS: Final = Method("tollbridge.limits.v1.LimitService", "GetLimits", Idempotency.SAFE)
LIMITS_SET_LIMITS: Final = Method("tollbridge.limits.v1.LimitService", "SetLimits", Idempotency.KEYED)
MODELS_LIST_MODELS: Final = Method("tollbridge.models.v1.ModelService", "ListModels", Idempotency.SAFE)
MODELS_GET_MODEL: Final = Method("tollbridge.models.v1.ModelService", "GetModel", Idempotency.SAFE)
PROFILES_CREATE_PROFILE: Final = Method("tollbridge.models.v1.ProfileService", "CreateProfile", Idempotency.KEYED)
PROFILES_GET_PROFILE: Final = Method("tollbridge.models.v1.ProfileService", "GetProfile", Idempotency.SAFE)
PROFILES_LIST_PROFILES: Final = Method("tollbridge.models.v1.ProfileService", "ListProfiles", Idempotency.SAFE)
PROFILES_UPDATE_PROFILE: Final = Method("tollbridge.models.v1.ProfileService", "UpdateProfile", Idempotency.KEYED)
PROFILES_DELETE_PROFILE: Final = Method("tollbridge.models.v1.ProfileService", "DeleteProfile", Idempotency.KEYED)
ORGANIZATIONS_GET_ORGANIZATION: Final = Method(
    "tollbridge.organizations.v1.OrganizationService", "GetOrganization", Idempotency.SAFE
)
ORGANIZATIONS_UPDATE_ORGANIZATION: Final = Method(
    "tollbridge.organizations.v1.OrganizationService", "UpdateOrganization", Idempotency.KEYED
)
ORGANIZATIONS_LIST_MEMBERSHIPS: Final = Method(
    "tollbridge.organizations.v1.OrganizationService", "ListMemberships", Idempotency.SAFE
)
PLANS_LIST_PLANS: Final = Method("tollbridge.plans.v1.PlanService", "ListPlans", Idempotency.SAFE)
PLANS_COMPARE_PLANS: Final = Method("tollbridge.plans.v1.PlanService", "ComparePlans", Idempotency.SAFE)
PLANS_GET_PLAN: Final = Method("tollbridge.plans.v1.PlanService", "GetPlan", Idempotency.SAFE)
PLANS_GET_SUBSCRIPTION: Final = Method("tollbridge.plans.v1.PlanService", "GetSubscription", Idempotency.SAFE)
PLANS_ASSIGN_PLAN: Final = Method("tollbridge.plans.v1.PlanService", "AssignPlan", Idempotency.KEYED)
PLATFORM_GET_HEALTH: Final = Method(
    "tollbridge.platform.v1.PlatformService", "GetHealth", Idempotency.SAFE, anonymous=True
)
PLATFORM_PING: Final = Method("tollbridge.platform.v1.PlatformService", "Ping", Idempotency.SAFE, anonymous=True)
PLATFORM_CHECK_DATABASE: Final = Method(
    "tollbridge.platform.v1.PlatformService", "CheckDatabase", Idempotency.SAFE, anonymous=True
)
PLATFORM_GET_INFO: Final = Method("tollbridge.platform.v1.PlatformService", "GetInfo", Idempotency.SAFE, anonymous=True)
USAGE_GET_CURRENT_USAGE: Final = Method("tollbridge.usage.v1.UsageService", "GetCurrentUsage", Idempotency.SAFE)
USAGE_LIST_DAILY_USAGE: Final = Method("tollbridge.usage.v1.UsageService", "ListDailyUsage", Idempotency.SAFE)
USAGE_LIST_MONTHLY_USAGE: Final = Method("tollbridge.usage.v1.UsageService", "ListMonthlyUsage", Idempotency.SAFE)
USAGE_LIST_USAGE_EVENTS: Final = Method("tollbridge.usage.v1.UsageService", "ListUsageEvents", Idempotency.SAFE)
USAGE_GET_USAGE_STATS: Final = Method("tollbridge.usage.v1.UsageService", "GetUsageStats", Idempotency.SAFE)

METHODS: Final = (
    AUTH_REGISTER,
    AUTH_LOGIN,
    AUTH_REFRESH,
    AUTH_LOGOUT,
    AUTH_LOGOUT_ALL,
    AUTH_LIST_SESSIONS,
    AUTH_REVOKE_SESSION,
    AUTH_GET_JSON_WEB_KEY_SET,
    AUTH_GET_ME,
    AUTH_CHANGE_PASSWORD,
    BILLING_GET_BALANCE,
    BILLING_ADJUST_BALANCE,
    BILLING_LIST_TRANSACTIONS,
    CHAT_CREATE_CHAT_COMPLETION,
    CHAT_STREAM_CHAT_COMPLETION,
    KEYS_CREATE_KEY,
    KEYS_LIST_KEYS,
    KEYS_GET_KEY,
    KEYS_UPDATE_KEY,
    KEYS_REVOKE_KEY,
    KEYS_ROTATE_KEY,
    KEYS_REGENERATE_KEY,
    KEYS_REVOKE_SECRET,
    KEYS_ISSUE_TRIAL_KEY,
    KEYS_CLAIM_TRIAL_KEY,
    KEYS_VERIFY_KEY,
    LIMITS_GET_LIMITS,
    LIMITS_SET_LIMITS,
    MODELS_LIST_MODELS,
    MODELS_GET_MODEL,
    PROFILES_CREATE_PROFILE,
    PROFILES_GET_PROFILE,
    PROFILES_LIST_PROFILES,
    PROFILES_UPDATE_PROFILE,
    PROFILES_DELETE_PROFILE,
    ORGANIZATIONS_GET_ORGANIZATION,
    ORGANIZATIONS_UPDATE_ORGANIZATION,
    ORGANIZATIONS_LIST_MEMBERSHIPS,
    PLANS_LIST_PLANS,
    PLANS_COMPARE_PLANS,
    PLANS_GET_PLAN,
    PLANS_GET_SUBSCRIPTION,
    PLANS_ASSIGN_PLAN,
    PLATFORM_GET_HEALTH,
    PLATFORM_PING,
    PLATFORM_CHECK_DATABASE,
    PLATFORM_GET_INFO,
    USAGE_GET_CURRENT_USAGE,
    USAGE_LIST_DAILY_USAGE,
    USAGE_LIST_MONTHLY_USAGE,
    USAGE_LIST_USAGE_EVENTS,
    USAGE_GET_USAGE_STATS,
)
