"""Puts the server together. This file assembles; it decides nothing.

`Ground` is what everything stands on, `Capabilities` what can be asked of the server without a transport (the command
line uses it), `Server` the pipeline with its gRPC port and background loops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection
from redis.exceptions import RedisError

from server.auth import session_checker
from server.auth import store as auth_store
from server.auth.authenticator import CredentialAuthenticator
from server.auth.password_changes import PasswordChanges
from server.auth.people import People
from server.auth.service import AuthService
from server.auth.session_list import SessionList
from server.auth.sign_in import SignIn
from server.auth.signing_keys import RELOAD_SECONDS
from server.billing import leases, reversals
from server.billing.adjustments import Adjustments
from server.billing.nightly import LOOK_SECONDS, NightlyVerify
from server.billing.processes import JournalUnsafeError, OtherProcesses
from server.billing.reaper import Reaper
from server.billing.seals import SEAL_SECONDS, seal
from server.billing.service import BillingService
from server.capabilities import Capabilities, Ground, signing_key_rotation
from server.chat.chat_calls import ChatCalls
from server.chat.providers.http1.patience import Patience
from server.chat.providers.http1.proxies import ProxySettingError
from server.chat.providers.http1.transport import PooledTransport
from server.chat.providers.openai import OpenAIProvider
from server.chat.service import ChatService
from server.config import VERSION, SettingsError
from server.foundation import ids
from server.foundation.clock import Clock
from server.foundation.counting import WRITE_SECONDS, counting
from server.keys import checker as key_checker
from server.keys.service import KeyService
from server.limits import rules
from server.limits.limiter import TEND_SECONDS, Limiter
from server.limits.rules import Rules
from server.limits.service import LimitService
from server.limits.standings import Standings
from server.limits.terms import TermsBook
from server.limits.turnstile import CallTurnstile
from server.models import catalogue
from server.models.profile_book import ProfileBook
from server.models.profile_service import ProfileService
from server.models.service import ModelService
from server.organizations import directory
from server.organizations.service import OrganizationService
from server.plans import subscriptions
from server.plans.service import PlanService
from server.platform.endpoints import endpoints_of
from server.platform.health import DATABASE, HealthChecks
from server.platform.service import PlatformService
from server.rpc.call_log import CallLog
from server.rpc.foreign_services import CHANNELZ, Exposure
from server.rpc.grpc_edge import GrpcEdge
from server.rpc.grpc_server import GrpcDoor, GrpcServer
from server.rpc.idempotency import store as idempotency_store
from server.rpc.idempotency.claims import Claims
from server.rpc.idempotency.once import Once
from server.rpc.methods import Method, method_table
from server.rpc.origin_proof import OriginProof
from server.rpc.pipeline import Pipeline
from server.storage import invalidation, last_uses, outbox
from server.storage.cache import REFRESH_SECONDS
from server.storage.invalidation import Invalidations
from server.storage.schedule import Loop, Schedule, SharedLoop
from server.usage.limit_sums import LimitSums
from server.usage.process_books import ProcessBooks, abandoned_calls
from server.usage.reports import UsageReports
from server.usage.service import UsageService

FOREIGN_SERVICES: Final[Mapping[str, Exposure]] = {
    health.SERVICE_NAME: Exposure.EVERYONE,
    reflection.SERVICE_NAME: Exposure.NOT_IN_PRODUCTION,
    CHANNELZ: Exposure.LOOPBACK_NOT_IN_PRODUCTION,
}
"""Services that come with grpc and know no credentials, and who may reach each."""

LAST_WORDS_SECONDS: Final = 0.5
"""What a transport gets to tell its callers of calls that were cut."""
__all__ = ["FOREIGN_SERVICES", "VERSION", "Capabilities", "Ground", "Jobs", "Server"]

_HEARTBEAT_SECONDS: Final = 3.0
_REAP_SECONDS: Final = 10.0
_SWEEP_SECONDS: Final = 60.0


class Server:
    """The server of one process: `start`, serve, `stop`."""

    def __init__(
        self,
        ground: Ground,
        capabilities: Capabilities,
        data_dir: Path,
        *,
        door: GrpcDoor | None = None,
        run_jobs: bool = True,
        overloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        """Makes client sessions, so it wants the running event loop. `data_dir` holds the processes' locks.
        `overloaded` is asked at the beginning of each gRPC call whether it is to be turned away.

        Without `run_jobs` the work that is once per database is left to a `Jobs` elsewhere.
        """
        self._ground = ground
        self._capabilities = capabilities
        database, clock = ground.database, ground.clock
        self._invalidations = Invalidations(
            database,
            ground.valkey,
            {
                key_checker.INVALIDATION_KIND: capabilities.key_checker.forget,
                session_checker.INVALIDATION_KIND: capabilities.session_checker.forget,
                catalogue.INVALIDATION_KIND: capabilities.catalogue.forget,
                directory.INVALIDATION_KIND: self._forget_organization,
            },
        )
        journals = ground.settings.journal_dir or data_dir / "journal"
        self._books = ProcessBooks(
            database, data_dir, journals, clock, ground.new_id, self._invalidations.hasten, ground.settings.journal
        )
        self._invalidations.listen(leases.INVALIDATION_KIND, self._books.leases.forget)
        self._limiter = Limiter(
            ground.valkey,
            LimitSums(database, self._books.calls.flush),
            clock,
            self._books.process_id,
            self._books.others_run,
        )
        self._terms = TermsBook(database, clock, self._limiter.gate)
        self._standings = Standings(self._terms, clock)
        self._invalidations.listen(rules.INVALIDATION_KIND, self._terms.forget)
        self._invalidations.listen(subscriptions.INVALIDATION_KIND, self._terms.forget)
        self._reports = UsageReports(database, clock, self._books.calls.flush)
        self._chat_calls = self._make_chat_calls()
        authenticator = CredentialAuthenticator(
            capabilities.key_checker, capabilities.session_checker, capabilities.throttle
        )
        self.methods: Mapping[str, Method] = method_table(self._servicers())
        self._once = self._make_once(data_dir)
        after_change = self._invalidations.hasten
        self.pipeline = Pipeline(authenticator, self._make_turnstile(), CallLog(), clock, after_change, self._once)
        door = door or GrpcDoor()
        self._grpc = GrpcServer(
            GrpcEdge(self.methods, self.pipeline, self.new_request_id, self._origin_proof(door), overloaded),
            sorted({path.split("/")[1] for path in self.methods}),
            door,
            FOREIGN_SERVICES,
            production=ground.settings.production,
        )
        loops: list[Loop | SharedLoop] = [*self._loops(), *(shared_loops(ground) if run_jobs else ())]
        self._schedule = Schedule(database, loops)
        self._cutting: asyncio.TimerHandle | None = None

    @property
    def clock(self) -> Clock:
        """The clock that everything here goes by."""
        return self._ground.clock

    def new_request_id(self) -> str:
        """`req_…`."""
        return ids.to_text(ids.REQUEST, self._ground.new_id())

    async def ready(self) -> bool:
        """Whether PostgreSQL and Valkey answer. Providers are not asked."""
        return await self._cache_ready() and await self._ground.database.ready()

    async def _cache_ready(self) -> bool:
        try:
            await self._ground.valkey.ping()
        except (RedisError, OSError):
            return False
        return True

    async def start(self, grpc_address: str) -> int:
        """Serves gRPC on `host:port` and begins the background loops; returns the port.

        Raises OSError, `DatabaseUnavailableError` and `SettingsError`.
        """
        self._capabilities.say_what_is_off()
        await self._capabilities.signing_keys.load()
        try:
            await self._books.start()
        except JournalUnsafeError as error:
            raise SettingsError(str(error)) from error
        await self._limiter.start()
        self._schedule.start()
        return await self._grpc.start(grpc_address)

    async def drain(self, seconds: float) -> None:
        """Takes no new gRPC connections and lets running calls end; returns when those of gRPC have, and those that
        went on without their caller.

        What runs after `seconds`, on any transport, ends with `ShuttingDownError`; streams after what they sent.
        """
        self._cutting = asyncio.get_running_loop().call_later(seconds, self.pipeline.cut)
        await self._grpc.drain(seconds + LAST_WORDS_SECONDS)
        await self._once.drain(seconds + LAST_WORDS_SECONDS)

    async def stop(self, seconds: float) -> None:
        """After the transports drained: waits for settlements, ends the loops, gives the process's place back."""
        if self._cutting is not None:
            self._cutting.cancel()
        self._once.cut()
        await self._once.drain(seconds)
        await self._chat_calls.drain(seconds)
        await self._chat_calls.close()
        await self._schedule.stop()
        await self._limiter.close()
        await self._capabilities.mailer.drain(seconds)
        await self._capabilities.flush_uses()
        await self._books.stop(seconds)

    def _servicers(self) -> list[object]:
        """Every service, on one screen."""
        ground, parts = self._ground, self._capabilities
        database, clock, paginator = ground.database, ground.clock, parts.paginator
        servicers: list[object] = [
            AuthService(
                parts.registrar,
                SignIn(database, parts.sessions, parts.hasher, parts.throttle, clock),
                parts.sessions,
                People(database, parts.directory),
                PasswordChanges(database, parts.sessions, parts.hasher, parts.throttle, clock),
                SessionList(database, parts.sessions, clock),
                parts.signing_keys,
                paginator,
            ),
            OrganizationService(parts.directory, paginator),
            KeyService(parts.key_ring, parts.key_rotation, parts.trials, parts.key_checker, paginator),
            PlanService(database, paginator, parts.subscriptions, self._standings.of_plan, clock),
            LimitService(Rules(database, clock), self._standings),
            ModelService(parts.catalogue),
            ProfileService(ProfileBook(database, clock), paginator),
            BillingService(
                database, clock, paginator, Adjustments(database, clock, ground.new_id), self._books.calls.flush
            ),
            UsageService(database, paginator, self._reports, self._books.calls.flush, self._standings.of_plan),
            ChatService(self._chat_calls),
        ]
        names = [PlatformService.NAME, *(getattr(servicer, "NAME", "") for servicer in servicers)]
        return [PlatformService(self._health_checks(), VERSION, endpoints_of(names)), *servicers]

    def _make_once(self, data_dir: Path) -> Once:
        ground = self._ground
        claims = Claims(
            ground.database,
            ground.clock,
            ground.new_id,
            self._books.process_id,
            OtherProcesses(ground.database, data_dir / "processes"),
            reversals.give_up,
            timedelta(hours=ground.settings.idempotency_hours),
        )
        return Once(ground.database, claims, ground.root.pepper("idempotency-key"))

    def _health_checks(self) -> HealthChecks:
        probes = {DATABASE: self._ground.database.ready, "cache": self._cache_ready}
        return HealthChecks(self._ground.clock, probes)

    def _origin_proof(self, door: GrpcDoor) -> OriginProof:
        secret = self._ground.settings.bridge_secret
        value = None if secret is None else secret.get_secret_value().encode()
        return OriginProof(self._ground.clock, value, door.bridge_names)

    def _make_turnstile(self) -> CallTurnstile:
        settings = self._ground.settings
        return CallTurnstile(
            self._limiter,
            self._ground.clock,
            per_address=settings.requests_per_address,
            per_caller=settings.rate_limit_requests,
            seconds=settings.rate_limit_window,
        )

    def _forget_organization(self, subject: str) -> None:
        """Drops whatever is cached of an organization that changed."""
        self._capabilities.forget_organization(subject)
        self._terms.forget(subject)

    def _make_chat_calls(self) -> ChatCalls:
        settings = self._ground.settings
        patience = Patience(
            settings.provider_connect_seconds, settings.provider_first_byte_seconds, settings.provider_idle_seconds
        )
        try:
            transport = PooledTransport(patience)
        except ProxySettingError as error:
            raise SettingsError(str(error)) from error
        return ChatCalls(
            catalogue=self._capabilities.catalogue,
            terms=self._terms,
            reservations=self._books.reservations,
            book=self._books.calls,
            reports=self._reports,
            providers={"openai": OpenAIProvider(transport)},
            clock=self._ground.clock,
            new_id=self._ground.new_id,
        )

    def _loops(self) -> list[Loop]:
        return [
            Loop("invalidation", 0.0, self._invalidations.run),
            Loop("counting", WRITE_SECONDS, _write_counts),
            Loop("refresh", REFRESH_SECONDS, self._capabilities.refresh),
            Loop("refresh-terms", REFRESH_SECONDS, self._terms.refresh),
            Loop("key-uses", last_uses.FLUSH_SECONDS, self._capabilities.key_checker.uses.flush),
            Loop("session-uses", last_uses.FLUSH_SECONDS, self._capabilities.session_checker.uses.flush),
            Loop("signing-keys-load", RELOAD_SECONDS, self._capabilities.signing_keys.load),
            Loop("limits", TEND_SECONDS, self._limiter.tend),
            *self._books.loops(),
        ]


async def _write_counts() -> None:
    counting.write()


def shared_loops(ground: Ground) -> list[Loop | SharedLoop]:
    """The background work that one process of a database does at a time, whoever has it on: a server or `Jobs`."""
    nightly = NightlyVerify(ground.database, ground.clock)
    return [
        SharedLoop("seals", SEAL_SECONDS, seal),
        # Takes its turn by itself: a check lasts longer than a transaction should.
        Loop("nightly-verify", LOOK_SECONDS, nightly.look),
        SharedLoop("invalidation-sweep", _SWEEP_SECONDS, invalidation.sweep),
        SharedLoop("outbox-sweep", _SWEEP_SECONDS, outbox.sweep),
        SharedLoop("idempotency-sweep", _SWEEP_SECONDS, idempotency_store.sweep),
        # Each charge in a transaction of its own: accounts of many organizations must not be locked together.
        Loop("reversals", reversals.LOOK_SECONDS, reversals.Reversals(ground.database).settle),
        SharedLoop("session-sweep", _SWEEP_SECONDS, auth_store.sweep),
        SharedLoop("signing-keys", _SWEEP_SECONDS, signing_key_rotation(ground).tend),
    ]


class Jobs:
    """Background work without a server: what is once per database, and the burial of dead servers."""

    def __init__(self, ground: Ground, data_dir: Path) -> None:
        """`data_dir` is the servers', where their locks can be reached; another proves nobody dead."""
        self._ground = ground
        journals = ground.settings.journal_dir or data_dir / "journal"
        abandoned = abandoned_calls(ground.database, journals, ground.clock, ground.new_id)
        reaper = Reaper(ground.database, data_dir / "processes", ground.new_id(), abandoned, {})
        bury = Loop("reaper", _REAP_SECONDS, lambda: reaper.reap(ground.clock.now()))
        self._schedule = Schedule(ground.database, [bury, *shared_loops(ground)])

    async def ready(self) -> bool:
        """Whether PostgreSQL answers."""
        return await self._ground.database.ready()

    def start(self) -> None:
        """Begins the loops."""
        self._schedule.start()

    async def stop(self) -> None:
        """Ends the loops; a transaction that was under way is rolled back."""
        await self._schedule.stop()
