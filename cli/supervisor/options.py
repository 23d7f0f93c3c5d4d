"""What `tollbridge serve` was asked to do."""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "TOLLBRIDGE_SERVE"


@dataclass(frozen=True)
class ServeOptions:
    """Options and environment of one `tollbridge serve`, before anything was checked."""

    data_dir: Path
    host: str = "127.0.0.1"
    http_port: int = 8080
    grpc_port: int = 50051
    config_file: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    insecure: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    ready_file: Path | None = None
    workers: int = 1
    local_model: bool = True
    environment: str = "development"
    database_url: str | None = None
    database_owner_url: str | None = None
    redis_url: str | None = None

    @property
    def production(self) -> bool:
        """Whether ENVIRONMENT is production."""
        return self.environment == "production"

    def to_json(self) -> str:
        """One line that `from_json` reads."""
        values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> "ServeOptions":
        """Reads what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        for name in ("data_dir", "config_file", "ready_file", "tls_cert", "tls_key"):
            values[name] = Path(values[name]) if values[name] is not None else None
        values["trusted_proxies"] = tuple(values["trusted_proxies"])
        return cls(**values)


def _module(name: str) -> tuple[str, ...]:
    # -P: the folder that serve was called in must not shadow our modules.
    return (sys.executable, "-P", "-m", name)


@dataclass(frozen=True)
class Commands:
    """The Python children; each finds its `Launch` in its environment."""

    check: tuple[str, ...] = field(default_factory=lambda: _module("cli.check"))
    """Ends 0 when the settings are good, else says why and ends non-zero. Starts nothing."""
    prepare: tuple[str, ...] = field(default_factory=lambda: _module("cli.prepare"))
    """Brings the database to this version and writes one JSON object to `result_fd`: `model` (a name or null), and on
    the first start `api_key`, `admin_email`, `admin_password`."""
    worker: tuple[str, ...] = field(default_factory=lambda: _module("cli.worker"))
    """Serves until SIGTERM; writes `ready`, the most seconds it may need to leave, and a line feed to `ready_fd` once
    it does."""
