"""What the supervisor tells each of its Python children: where everything is and what they inherit."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "TOLLBRIDGE_LAUNCH"
METRICS_FOLDER: Final = "metrics"


class LaunchError(Exception):
    """The environment holds no usable launch: the process was not started by the supervisor."""


@dataclass(frozen=True)
class Launch:
    """One start of `tollbridge serve`, as its children see it.

    Each child closes what it inherited when it is done with it. URLs are empty for the check of the settings, which
    runs before the embedded services.
    """

    data_dir: Path
    host: str
    """The address that both ports listen on, as given by --host."""
    http_port: int
    """The real port, also when 0 was asked for."""
    grpc_port: int
    """The real port, held for this user by a socket with SO_REUSEPORT that does not listen."""
    database_url: str
    """A `postgresql://` URL for the runtime roles' login."""
    database_owner_url: str
    """The superuser on the embedded default, else DATABASE_OWNER_URL, else DATABASE_URL."""
    redis_url: str
    environment: str
    """ENVIRONMENT, lower case; "development" when unset."""
    secret_file: Path
    """Where the root secret made on the first start lies outside production."""
    embedded: bool
    """Whether the database is the embedded one."""
    insecure: bool = False
    config_file: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Networks in CIDR form, checked."""
    tls_cert: Path | None = None
    """PEM of both ports' certificate chain; None: plaintext."""
    tls_key: Path | None = None
    model_base_url: str | None = None
    """The local model's `http://127.0.0.1:PORT/v1`, the same through restarts of the model; None without one."""
    model_api_key: str | None = None
    http_fd: int | None = None
    """Workers only: the listening HTTP socket."""
    ready_fd: int | None = None
    """Workers only: takes `ready`, a blank, the most seconds it may need to leave, and a line feed once it serves."""
    result_fd: int | None = None
    """The preparation only: takes one JSON object and is closed."""
    workers: int = 1
    """How many workers there are, the one that a restart puts beside them not counted."""
    worker_index: int = 0
    """Workers only: 0 to N-1."""

    @property
    def metrics_dir(self) -> Path:
        """Where workers keep their metrics, and find each other's."""
        return self.data_dir / METRICS_FOLDER

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> "Launch":
        """Reads what `to_environment` wrote. Raises LaunchError when it is not there or is not whole."""
        text = variables.get(VARIABLE)
        if text is None:
            raise LaunchError(f"{VARIABLE} is not set: this process is started by `tollbridge serve`.")
        try:
            values: dict[str, Any] = json.loads(text)
            for name in ("data_dir", "secret_file", "config_file", "tls_cert", "tls_key"):
                values[name] = Path(values[name]) if values[name] is not None else None
            values["trusted_proxies"] = tuple(values["trusted_proxies"])
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise LaunchError(f"{VARIABLE} does not describe a launch: {error}.") from error

    def to_environment(self) -> dict[str, str]:
        """The environment variable that carries this launch. It holds secrets; nobody should print it."""
        values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        return {VARIABLE: json.dumps(values)}

    def for_worker(self, index: int, http_fd: int, ready_fd: int) -> "Launch":
        """This launch as worker `index` gets it."""
        return replace(self, worker_index=index, http_fd=http_fd, ready_fd=ready_fd)

    def __repr__(self) -> str:
        """Without the values that hold secrets."""
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if not f.name.endswith(("_url", "_key")))
        return f"Launch({', '.join(shown)})"
