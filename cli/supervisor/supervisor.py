"""One run of `tollbridge serve`, from the lock to the last child's end."""

import contextlib
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

from cli.embedded.errors import EmbeddedServiceError
from cli.launch import Launch
from cli.supervisor.banner import Addresses, print_banner
from cli.supervisor.data_dir import DataDir, write_private_json
from cli.supervisor.errors import ServeError, StepFailedError, StopRequestedError
from cli.supervisor.events import Events
from cli.supervisor.exposure import check_exposure, reachable_host
from cli.supervisor.options import Commands, ServeOptions
from cli.supervisor.ports import Ports, open_ports
from cli.supervisor.progress import Progress
from cli.supervisor.rolling_restart import RollingRestart
from cli.supervisor.services import Services
from cli.supervisor.steps import Prepared, check_settings, prepare_database, wait_for
from cli.supervisor.workers import Workers

# After a kill the old workers drain for their grace before they let go of the ports.
PATIENCE_AFTER_KILL_SECONDS: Final = 15.0
MODEL_SECONDS: Final = 30.0
STOP_SECONDS: Final = 18.0


class Supervisor:
    """Starts everything in order, keeps it running, and stops it in order. One run each."""

    def __init__(self, options: ServeOptions, commands: Commands | None = None, stdout: TextIO = sys.stdout) -> None:
        """`commands` are the Python children, the real ones unless given."""
        self._options = options
        self._commands = commands or Commands()
        self._stdout = stdout
        self._progress = Progress()
        self._events = Events()
        self._data_dir = DataDir(options.data_dir)
        self._ports: Ports | None = None
        self._services: Services | None = None
        self._workers: Workers | None = None
        self._ready_file_written: Path | None = None

    def run(self) -> int:
        """Serves until a signal asks to stop; returns the exit status: 0 after a stop, else 1."""
        status = 1
        try:
            self._start()
            self._keep_running()
        except StopRequestedError:
            status = 0
        except StepFailedError as error:
            # The child has said why.
            status = error.status if error.status > 0 else 1
        except (ServeError, EmbeddedServiceError) as error:
            self._progress.failure(str(error))
        except OSError as error:
            self._progress.failure(f"{error.filename or 'The system'}: {error.strerror}.")
        finally:
            self._stop()
            _leave_output()
        return status

    def _start(self) -> None:
        options, events = self._options, self._events
        unclean = self._data_dir.acquire()
        self._clear_ready_file()
        check_exposure(
            options.host,
            tls=options.tls_cert is not None,
            trusted_proxies=options.trusted_proxies,
            insecure=options.insecure,
            production=options.production,
        )
        with self._progress.step("Settings"):
            wait_for(check_settings(self._commands, self._launch()), events)
        patience = PATIENCE_AFTER_KILL_SECONDS if unclean else 0.0
        self._ports = open_ports(options.host, options.http_port, options.grpc_port, patience)
        self._services = Services(options, self._data_dir, self._progress)
        with self._progress.step("PostgreSQL and Valkey"):
            self._services.launch()
            self._services.wait_for_storage(events)
        with self._progress.step("Database"):
            prepared = wait_for(prepare_database(self._commands, self._launch()), events)
        with self._progress.step("Bridge and gRPC"):
            self._start_workers(self._ports)
        if self._services.model is not None:
            with self._progress.step("Local model"):
                self._services.wait_for_model(events, MODEL_SECONDS)
        self._announce(prepared, self._ports)

    def _start_workers(self, ports: Ports) -> None:
        options, progress = self._options, self._progress
        workers = Workers(self._commands, self._launch(), ports.http.fileno(), options.workers, progress)
        self._workers = workers
        workers.step(set())
        while not workers.all_serve:
            workers.step(self._events.wait_or_stop(_until(workers.due), workers.ready_fds))

    def _keep_running(self) -> None:
        assert self._workers is not None
        assert self._services is not None
        readable: set[int] = set()
        restart = RollingRestart(self._commands, self._launch, self._workers, self._progress, self._keep_secrets)
        with contextlib.closing(restart):
            while True:
                self._workers.step(readable)
                restart.step(self._events)
                due = [self._workers.due, self._services.restart_ended()]
                first = min((time_ for time_ in due if time_ is not None), default=None)
                readable = self._events.wait_or_stop(_until(first), self._workers.ready_fds)

    def _launch(self) -> Launch:
        options, services, ports = self._options, self._services, self._ports
        launch = Launch(
            data_dir=self._data_dir.path,
            host=options.host,
            http_port=ports.http_port if ports else options.http_port,
            grpc_port=ports.grpc_port if ports else options.grpc_port,
            database_url=options.database_url or "",
            database_owner_url=options.database_owner_url or options.database_url or "",
            redis_url=options.redis_url or "",
            environment=options.environment,
            secret_file=self._data_dir.path / "secret",
            embedded=not options.database_url,
            insecure=options.insecure,
            config_file=options.config_file.absolute() if options.config_file else None,
            trusted_proxies=options.trusted_proxies,
            tls_cert=options.tls_cert,
            tls_key=options.tls_key,
            workers=options.workers,
        )
        if services is None:
            return launch
        return replace(
            launch,
            database_url=services.database_url,
            database_owner_url=services.database_owner_url,
            redis_url=services.redis_url,
            model_base_url=services.model.base_url if services.model else None,
            model_api_key=services.model.api_key if services.model else None,
        )

    def _announce(self, prepared: Prepared, ports: Ports) -> None:
        host = reachable_host(self._options.host)
        tls = self._options.tls_cert is not None
        scheme = "https" if tls else "http"
        addresses = Addresses(f"{scheme}://{host}:{ports.http_port}", f"{host}:{ports.grpc_port}", tls)
        if self._options.ready_file is not None:
            self._write_ready_file(self._options.ready_file, addresses, prepared)
            self._ready_file_written = self._options.ready_file
        if prepared.secrets and not self._stdout.isatty():
            write_private_json(self._data_dir.bootstrap_file, prepared.secrets)
        print_banner(addresses, prepared, self._data_dir.bootstrap_file, self._stdout)
        self._data_dir.pending_secrets_file.unlink(missing_ok=True)

    def _keep_secrets(self, prepared: Prepared) -> None:
        """After a preparation while serving, which makes secrets only where every administrator is gone."""
        if prepared.secrets:
            write_private_json(self._data_dir.bootstrap_file, prepared.secrets)
            where = self._data_dir.bootstrap_file
            self._progress.notice(f"There was no administrator any more; a new one is in {where}")
        self._data_dir.pending_secrets_file.unlink(missing_ok=True)

    def _clear_ready_file(self) -> None:
        path = self._options.ready_file
        if path is None:
            return
        if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
            raise ServeError(f"--ready-file {path}: its folder does not exist or is not writable.")
        path.unlink(missing_ok=True)

    @staticmethod
    def _write_ready_file(path: Path, addresses: Addresses, prepared: Prepared) -> None:
        try:
            write_private_json(path, {"http": addresses.http, "grpc": addresses.grpc, **prepared.secrets})
        except OSError as error:
            raise ServeError(f"--ready-file {path} cannot be written ({error.strerror}).") from error

    def _stop(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        if self._ready_file_written is not None:
            self._ready_file_written.unlink(missing_ok=True)
        if self._services is not None:
            # Counted before anybody is told: a request that answers the line below is the second one.
            requests = self._events.stop_requests
            self._progress.say("Stopping; a second Ctrl-C hurries.")
            if self._workers is not None:
                self._workers.stop(self._events, requests)
            self._services.stop(deadline)
        if self._ports is not None:
            self._ports.close()
        self._data_dir.release()


def _until(moment: float | None) -> float | None:
    return None if moment is None else max(0.0, moment - time.monotonic())


def _leave_output() -> None:
    """Brings out what is left to say. A terminal that was closed takes nothing more, and Python would end with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
