"""Settings: read once, from the environment, each with a type, a default and a sentence."""

from __future__ import annotations

import os
import re
import string
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from server.foundation import crash_points
from server.mail.smtp_server import SmtpServer

VERSION: Final = "0.1.0"

_WEAK_SECRETS: Final = (
    *("secret", "changeme", "change-me", "password", "default", "your-", "example", "insecure", "tollbridge"),
    *("12345678", "87654321", "abcdefgh", "qwertyui", "asdfghjk"),
)
_PUBLIC_URL: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?")
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
_MIN_SECRET_CHARACTERS: Final = 32
_MIN_DIFFERENT_CHARACTERS: Final = 10
_BASE62: Final = frozenset(string.ascii_letters + string.digits)


class SettingsError(Exception):
    """Settings that the server does not start with; the text names each."""


class EdgeSettings(BaseSettings):
    """What each process reads, a bridge on a machine of its own too: nothing that would open the database."""

    model_config = SettingsConfigDict(env_prefix="TOLLBRIDGE_", frozen=True, extra="ignore")

    environment: Literal["development", "test", "production"] = Field(
        "development",
        validation_alias="ENVIRONMENT",
        description="`production` refuses weak secrets, open registration and automatic accounts.",
    )
    bridge_secret: SecretStr | None = Field(
        None,
        validation_alias="BRIDGE_SECRET",
        description="Shared by servers and the bridges before them, at least 32 characters: by it a bridge on another "
        "machine proves itself.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins that browsers may call from, exact, separated by commas. Default: none."
    )
    aliases: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Systems whose documented calls are served too, and files of your own, separated by commas. "
        "Default: none.",
    )
    drain_seconds: float = Field(
        8.0, ge=0, le=600, description="Time that running calls get when the server stops, in seconds."
    )
    shed_after_milliseconds: int = Field(
        10,
        ge=0,
        le=10_000,
        description="Work that may wait in a process, in milliseconds, before it turns new calls away (503); 0: never.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    @field_validator("cors_origins", "aliases", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_exact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [origin for origin in value if not _ORIGIN.fullmatch(origin)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no origin, such as https://app.example.com (no path, no wildcard)")
        return value

    @field_validator("bridge_secret")
    @classmethod
    def _bridge_secret_is_strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        problem = weakness(value.get_secret_value())
        if problem:
            raise ValueError(f"{problem}; it needs at least 32 random characters")
        return value

    @model_validator(mode="after")
    def _nobody_kills_production(self) -> Self:
        if self.production and os.environ.get(crash_points.VARIABLE):
            raise ValueError(f"{crash_points.VARIABLE} is for tests: it kills the process, and production refuses it")
        return self

    @property
    def production(self) -> bool:
        """Whether the strict rules hold."""
        return self.environment == "production"


_Kind = TypeVar("_Kind", bound=EdgeSettings)


class Settings(EdgeSettings):
    """What a deployment can set. Options of `tollbridge serve` stand in its --help."""

    jwt_secret: SecretStr | None = Field(
        None,
        validation_alias="JWT_SECRET",
        description="The root secret, at least 32 characters; every other key derives from it. "
        "Outside production it is made on the first start.",
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="PostgreSQL 15 or newer, `postgresql://user:password@host/name`. Unset: an embedded PostgreSQL.",
    )
    database_owner_url: SecretStr | None = Field(
        None,
        validation_alias="DATABASE_OWNER_URL",
        description="Login that migrates; may create roles or finds them there. Default: DATABASE_URL.",
    )
    redis_url: SecretStr | None = Field(
        None,
        validation_alias="REDIS_URL",
        description="Valkey, or Redis 7 or newer, `redis://host:6379/0`. Unset: an embedded Valkey.",
    )
    journal: Literal["disk", "database"] | None = Field(
        None,
        validation_alias="JOURNAL",
        description="Where calls are remembered until they are settled: `disk` (JOURNAL_DIR), or `database` for hosts "
        "without a disk that outlives them. Unset: `disk`, as long as no other host runs on the same database.",
    )
    journal_dir: Path | None = Field(
        None,
        validation_alias="JOURNAL_DIR",
        description="Folder of the journals, which must outlive the process: calls are remembered there until the "
        "database has them. Default: `journal` in the data directory.",
    )
    key_prefix: str = Field("tb_live_", description="What API keys start with: letters, digits, `_` and `-`.")
    default_plan: str = Field("free", description="Plan of organizations that register.")
    open_registration: bool | None = Field(
        None, description="Whether anyone may register. Default: yes outside production, no in it."
    )
    access_token_seconds: int = Field(3600, ge=60, le=86_400, description="Life of an access token, in seconds.")
    refresh_token_days: int = Field(30, ge=1, le=365, description="Life of a session, in days.")
    signing_key_days: int = Field(
        90,
        ge=0,
        le=3650,
        description="Days that a signing key signs before the next takes over; 0: until it is done by hand.",
    )
    trial_keys: bool | None = Field(
        None,
        description="Whether anyone gets a trial key for an e-mail. Default: yes outside production, no in it.",
    )
    trial_key_days: int = Field(7, ge=1, le=90, description="Life of a trial key, in days.")
    trial_keys_per_address: int = Field(3, ge=1, description="Trial keys that a network address gets in a day (UTC).")
    public_url: str = Field(
        "http://127.0.0.1:8080",
        description="Where callers reach the bridge, without a slash at its end; for mails.",
    )
    smtp_url: SecretStr | None = Field(
        None,
        validation_alias="SMTP_URL",
        description="Server that takes mail: `smtp://user:password@host:587`, or `smtps://` for TLS at once. "
        "Unset: no mail is sent, so no trial key can be claimed.",
    )
    mail_from: str = Field("tollbridge@localhost", description="Address that mail is sent from.")
    requests_per_address: int = Field(
        300,
        ge=0,
        description="Requests that an address may send in a minute without a valid credential, all together; 0: no "
        "limit.",
    )
    rate_limit_requests: int = Field(
        600,
        ge=0,
        validation_alias="RATE_LIMIT_REQUESTS",
        description="Requests beside chat that a key or a person may send in RATE_LIMIT_WINDOW seconds, and a tenth of "
        "it more at each process; plans bound chat. 0: no limit.",
    )
    rate_limit_window: int = Field(
        60, ge=1, le=3600, validation_alias="RATE_LIMIT_WINDOW", description="Seconds that RATE_LIMIT_REQUESTS is for."
    )
    wrong_credentials_per_address: int = Field(
        120, ge=10, description="Wrong passwords and keys that an address may send in 5 minutes before it must wait."
    )
    idempotency_hours: int = Field(
        24, ge=1, le=720, description="How long a call with an Idempotency-Key is remembered, in hours."
    )
    provider_connect_seconds: float = Field(5.0, gt=0, le=60, description="Time to connect to a provider, in seconds.")
    provider_first_byte_seconds: float = Field(
        120.0, gt=0, le=3600, description="Time until a provider's first byte, in seconds."
    )
    provider_idle_seconds: float = Field(
        60.0, gt=0, le=3600, description="Silence after which a provider's stream counts as dead, in seconds."
    )

    @field_validator("smtp_url")
    @classmethod
    def _smtp_url_names_a_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        SmtpServer.of(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender_is_an_address(cls, value: str) -> str:
        if value.count("@") != 1 or not value.isprintable() or " " in value:
            raise ValueError("must be an e-mail address")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url_is_plain(cls, value: str) -> str:
        if not _PUBLIC_URL.fullmatch(value):
            raise ValueError("must be a URL such as https://api.example.com, without a slash at its end")
        return value

    @field_validator("key_prefix")
    @classmethod
    def _prefix_is_plain(cls, value: str) -> str:
        if not 2 <= len(value) <= 32 or not set(value) <= _BASE62 | {"_", "-"}:
            raise ValueError("must be 2 to 32 letters, digits, `_` or `-`")
        return value

    @field_validator("database_url", "database_owner_url")
    @classmethod
    def _url_is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _url_is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @model_validator(mode="after")
    def _secret_is_strong_in_production(self) -> Settings:
        if not self.production:
            return self
        if self.jwt_secret is None:
            raise ValueError("JWT_SECRET is not set; production needs one of at least 32 random characters")
        problem = weakness(self.jwt_secret.get_secret_value())
        if problem:
            raise ValueError(f"JWT_SECRET {problem}; production needs at least 32 random characters")
        return self

    @property
    def trials_open(self) -> bool:
        """Whether anyone gets a trial key."""
        return not self.production if self.trial_keys is None else self.trial_keys

    @property
    def registration_open(self) -> bool:
        """Whether anyone may register."""
        return not self.production if self.open_registration is None else self.open_registration


def weakness(secret: str) -> str:
    """What makes the secret a bad one, as the end of a sentence; empty for a good one."""
    if len(secret) < _MIN_SECRET_CHARACTERS:
        return f"is shorter than {_MIN_SECRET_CHARACTERS} characters"
    if any(word in secret.lower() for word in _WEAK_SECRETS):
        return "looks like a default value"
    if len(set(secret)) < _MIN_DIFFERENT_CHARACTERS:
        return "repeats few characters"
    return ""


def load() -> Settings:
    """The settings of this process. Raises `SettingsError` with one line for each that is wrong, values left out."""
    return _read(Settings)


def load_edge() -> EdgeSettings:
    """The settings of a process without a database. Raises `SettingsError` likewise."""
    return _read(EdgeSettings)


def root_secret(settings: Settings, secret_file: Path) -> bytes:
    """JWT_SECRET, else what the first start left in `secret_file`. Raises `SettingsError` where neither is there."""
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value().encode()
    try:
        return secret_file.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"JWT_SECRET is not set and {secret_file} cannot be read: {error.strerror}") from error


def _read(kind: type[_Kind]) -> _Kind:
    try:
        return kind()  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError("\n".join(_line(row["loc"], row["msg"]) for row in error.errors())) from None


def _line(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    name = str(location[0])
    return f"{name if name.isupper() else 'TOLLBRIDGE_' + name.upper()}: {text}"
