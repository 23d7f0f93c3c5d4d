"""The embedded services beneath the supervisor: started side by side, restarted when they end, stopped in order."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.model import EmbeddedModel, missing_part
from cli.embedded.postgres import SUPERUSER, EmbeddedPostgres
from cli.embedded.valkey import EmbeddedValkey
from cli.supervisor.back_off import BackOff
from cli.supervisor.data_dir import DataDir
from cli.supervisor.events import Events
from cli.supervisor.options import ServeOptions
from cli.supervisor.progress import Progress

DATABASE: Final = "tollbridge"
LOGIN: Final = "tollbridge"
START_SECONDS: Final = 60.0
MODEL_STOP_SECONDS: Final = 1.0
VALKEY_STOP_SECONDS: Final = 3.0
SHORTEST_POSTGRES_STOP_SECONDS: Final = 4.0


@dataclass
class Service:
    """One embedded service and what is needed to keep it running."""

    name: str
    launch: Callable[[], None]
    answers: Callable[[], bool]
    poll: Callable[[], int | None]
    clear: Callable[[], None]
    """Frees what an ended process left, before the next launch."""
    storage: bool = True
    """Whether nothing serves without it."""
    launched: float = 0.0
    restart_at: float | None = None
    back_off: BackOff = field(default_factory=BackOff)


class Services:
    """PostgreSQL and Valkey, as far as no real server was named, and the local model where the machine can run it."""

    def __init__(self, options: ServeOptions, data_dir: DataDir, progress: Progress) -> None:
        """Nothing is started before `launch`."""
        self._options = options
        self._progress = progress
        path, logs = data_dir.path, data_dir.logs
        self.postgres = None if options.database_url else EmbeddedPostgres(path / "postgres", log=logs / "postgres.log")
        self.valkey = None if options.redis_url else EmbeddedValkey(path / "valkey", log=logs / "valkey.log")
        self.model = self._usable_model(EmbeddedModel(path / "model", log=logs / "model.log"))
        self._services: list[Service] = []

    @property
    def database_url(self) -> str:
        """The runtime roles' login."""
        if self.postgres is None:
            return self._options.database_url or ""
        return self.postgres.dsn(LOGIN, DATABASE)

    @property
    def database_owner_url(self) -> str:
        """Who may migrate."""
        if self.postgres is None:
            return self._options.database_owner_url or self.database_url
        return self.postgres.dsn(SUPERUSER, DATABASE)

    @property
    def redis_url(self) -> str:
        """Valkey or Redis."""
        return self.valkey.url if self.valkey is not None else self._options.redis_url or ""

    def launch(self) -> None:
        """Starts every process. Raises EmbeddedServiceError; `stop` then ends those that did start."""
        # PostgreSQL comes last: on the first start it makes its cluster here, while the model loads.
        if self.model is not None:
            self._add(
                Service("The local model", self.model.start, self.model.answers, self.model.poll, lambda: None, False)
            )
        if self.valkey is not None:
            self._add(Service("Valkey", self.valkey.launch, self.valkey.answers, self.valkey.poll, self.valkey.stop))
        if self.postgres is not None:
            postgres = self.postgres
            self._add(Service("PostgreSQL", postgres.launch, postgres.answers, postgres.poll, postgres.stop))

    def wait_for_storage(self, events: Events) -> None:
        """Returns when PostgreSQL and Valkey answer and the database is there. Raises EmbeddedServiceError."""
        give_up = time.monotonic() + START_SECONDS
        for answers in [service.answers for service in self._services if service.storage]:
            while not answers():
                if time.monotonic() > give_up:
                    raise EmbeddedServiceError(f"The embedded services were not ready in {START_SECONDS:.0f} s.")
                events.wait_or_stop(0.01)
        if self.postgres is not None:
            self.postgres.ensure_database(DATABASE)

    def wait_for_model(self, events: Events, seconds: float) -> None:
        """Returns when the local model answers, or has ended, or after `seconds`: the rest serves without it."""
        give_up = time.monotonic() + seconds
        while self.model is not None and self.model.poll() is None and time.monotonic() < give_up:
            try:
                if self.model.answers():
                    return
            except EmbeddedServiceError as error:
                self._progress.notice(str(error))
                return
            events.wait_or_stop(0.02)

    def restart_ended(self) -> float | None:
        """Starts again, after a back-off, what has ended. Returns when (monotonic) to look again, if at a set time."""
        for service in self._services:
            if service.restart_at is None:
                self._plan_restart(service)
            if service.restart_at is not None and service.restart_at <= time.monotonic():
                self._restart(service)
        return min((service.restart_at for service in self._services if service.restart_at is not None), default=None)

    def stop(self, deadline: float) -> None:
        """Ends the model, Valkey and PostgreSQL, in this order, by `deadline` (monotonic) or soon after it."""
        if self.model is not None:
            self.model.stop(MODEL_STOP_SECONDS)
        if self.valkey is not None:
            self.valkey.stop(VALKEY_STOP_SECONDS)
        if self.postgres is not None:
            self.postgres.stop(max(SHORTEST_POSTGRES_STOP_SECONDS, deadline - time.monotonic()))

    def _usable_model(self, model: EmbeddedModel) -> EmbeddedModel | None:
        if not self._options.local_model:
            return None
        missing = missing_part()
        if missing is None:
            return model
        self._progress.notice(missing)
        return None

    def _add(self, service: Service) -> None:
        service.launched = time.monotonic()
        service.launch()
        self._services.append(service)

    def _plan_restart(self, service: Service) -> None:
        status = service.poll()
        if status is None:
            return
        now = time.monotonic()
        wait = service.back_off.after(now - service.launched)
        service.restart_at = now + wait
        self._progress.notice(f"{service.name} ended ({_ending(status)}); starting it again in {wait:g} s")

    def _restart(self, service: Service) -> None:
        service.restart_at = None
        service.launched = time.monotonic()
        try:
            service.clear()
            service.launch()
            self._progress.say(f"{service.name} was started again")
        except EmbeddedServiceError as error:
            wait = service.back_off.after(0)
            service.restart_at = time.monotonic() + wait
            self._progress.notice(f"{service.name} cannot start, trying again in {wait:g} s: {error}")


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
