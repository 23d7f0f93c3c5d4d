"""Puts the bridge together: which paths are served, and what every request passes through."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from bridge.aliases import openapi
from bridge.aliases.loader import Aliases
from bridge.aliases.routing import AliasGround, alias_routes
from bridge.caller import Caller, Refusal
from bridge.catalog import Binding, Catalog, Method
from bridge.docs import docs_pages
from bridge.endpoint import Endpoint
from bridge.error_body import ErrorAnswer
from bridge.errors import (
    BridgeError,
    BrokenFraming,
    ClientStreamNotServed,
    HeadersTooLarge,
    InternalError,
    MethodNotAllowed,
    Overloaded,
    RouteNotFound,
    ShuttingDown,
)
from bridge.event_stream import EventStream
from bridge.exchange import Exchange
from bridge.framing import check_framing
from bridge.headers import CrossOrigin
from bridge.health import Dependencies, HealthPages, Page, metrics_page
from bridge.http.answer import Answer
from bridge.http.fields import AnswerFields
from bridge.http.limits import Limits
from bridge.http.request import Fault, Request
from bridge.http.server import Server
from bridge.meters import Meters
from bridge.origin import OriginReader
from bridge.path_template import Variable, parse_template
from bridge.policy import OWN, Policy, service_routes
from bridge.router import Route, Router
from bridge.settings import MAX_HEADER_BYTES, BridgeSettings

_logger = logging.getLogger(__name__)

_CLIENT_GONE = 499
"""What metrics call a request whose client left before its answer."""
_LAST_WORDS_SECONDS = 1.0
"""How long a request that is cut at the end of the grace may take to say so."""

Handler = Callable[[Exchange, Sequence[tuple[Variable, str]]], Awaitable[Answer]]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Bridge:
    """The bridge of one process. `start` serves on a socket, `stop` lets open requests end first."""

    def __init__(
        self,
        settings: BridgeSettings,
        catalog: Catalog,
        caller: Caller,
        *,
        new_request_id: Callable[[], str],
        render_metrics: Callable[[], bytes] | None = None,
        meters: Meters | None = None,
        now: Callable[[], datetime] = _utc_now,
        policy: Policy = OWN,
        aliases: Aliases | None = None,
        overloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        """`overloaded` is asked at the beginning of each call whether it is to be turned away.

        Raises `RouteConflict` or `ProxyError`; the texts are for the operator.
        """
        self._settings = settings
        self._policy = policy
        self._overloaded = overloaded
        self._new_request_id = new_request_id
        self._meters = meters
        self._live: set[EventStream] = set()
        self._running: set[Exchange] = set()
        self._origins = OriginReader(settings.trusted_proxies)
        self._cross_origin = CrossOrigin(settings.cors_origins)
        health = HealthPages(caller, settings.version, now, Dependencies.of(caller, catalog))
        describe = partial(openapi.write, aliases, catalog) if aliases else None
        pages = list(_pages(settings, health, render_metrics, policy.pages_prefix, describe))
        self._page_handlers = frozenset(page.target for page in pages)
        endpoints = _endpoints(catalog, caller, settings, self._live, policy)
        others = alias_routes(aliases, AliasGround(caller, settings, self._live, now)) if aliases else ()
        self._router: Router[Handler] = Router([*pages, *endpoints, *others], path_before_verb=policy.path_before_verb)
        self._now = now
        self._server: Server | None = None

    async def start(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Serves on a bound socket (listening already or not), with TLS where a context is given."""
        settings = self._settings
        limits = Limits(
            MAX_HEADER_BYTES,
            settings.header_seconds,
            settings.body_idle_seconds,
            settings.stall_seconds,
            settings.keep_alive_seconds,
        )
        self._server = Server(self.handle, limits, lambda: self._now().timestamp(), self._break_silences)
        await self._server.start(listening, tls, sweep=settings.ping_seconds / 4)

    async def stop(self, grace_seconds: float = 30.0) -> None:
        """Takes no new connections and lets open requests end; see `Server.drain`. What does not end in time is told: a
        stream by an error event, another request by a 503.
        """
        server, self._server = self._server, None
        if server is None:
            return
        server.stop_listening()
        deadline = asyncio.get_running_loop().call_later(grace_seconds, self._cut)
        try:
            await server.drain(grace_seconds + _LAST_WORDS_SECONDS)
        finally:
            deadline.cancel()
            server.close()

    async def handle(self, request: Request) -> Answer:
        """Answers one request; nothing but a connection that is gone comes out as an exception."""
        started = time.perf_counter()
        exchange = self._meet(request, started)
        self._running.add(exchange)
        status = _CLIENT_GONE
        try:
            answer = await self._answer(exchange)
            status = answer.status
        finally:
            self._running.discard(exchange)
            if self._meters is not None:
                self._meters.count(exchange.label, status, time.perf_counter() - started)
        return answer

    async def _answer(self, exchange: Exchange) -> Answer:
        try:
            return await self._serve(exchange)
        except BridgeError as error:
            answer = self._policy.errors.of_bridge_error(error, exchange.origin.request_id)
            return exchange.refuse(answer, closes=error.closes)
        except Refusal as refusal:
            return self._refuse(exchange, refusal)
        except ConnectionError:
            raise
        except asyncio.CancelledError:
            # Before the task is looked at: one that ends here keeps this frame, which must not know it.
            if not exchange.cut:
                raise
            _uncancel()
            if exchange.streamed is not None:
                return exchange.streamed
            return exchange.refuse(self._shutting_down(exchange.origin.request_id), closes=True)
        except Exception:
            _logger.exception("A request broke, %s", exchange.origin)
            answer = self._policy.errors.of_bridge_error(InternalError(), exchange.origin.request_id)
            return exchange.refuse(answer, closes=True)

    def _meet(self, request: Request, started: float) -> Exchange:
        path, _, query = _path_of(request.target).partition("?")
        connection = request.connection
        origin = self._origins.read(connection.peer, connection.is_tls, request.fields, self._new_request_id())
        return Exchange(request, path, query, origin, self._cross_origin, started, self._policy.own_ways)

    async def _serve(self, exchange: Exchange) -> Answer:
        request = exchange.request
        found = self._router.find(request.method, exchange.path)
        if found is not None:
            # First, so that whatever is wrong with the request is said in the form that the path's clients know.
            exchange.dress = found.dress
        if request.fault is not None:
            raise _of_fault(request.fault)
        check_framing(request)
        if found is None:
            raise RouteNotFound()
        if found.target is not None:
            # Health and metrics answer at all times: those who look there want to know.
            if found.target not in self._page_handlers and self._overloaded():
                raise Overloaded()
            return await found.target(exchange, found.variables)
        if request.method == "OPTIONS":
            return self._answer_options(exchange, found.allowed)
        raise MethodNotAllowed(request.method, found.allowed)

    def _answer_options(self, exchange: Exchange, allowed: Sequence[str]) -> Answer:
        fields = exchange.fields()
        fields["allow"] = ", ".join(allowed)
        self._cross_origin.add_preflight(exchange.request.fields, fields)
        return Answer(204, fields)

    def _break_silences(self, _: float) -> None:
        for stream in tuple(self._live):
            stream.break_silence(self._settings.ping_seconds)

    def _cut(self) -> None:
        for stream in list(self._live):
            stream.interrupt(self._shutting_down)
        for exchange in list(self._running):
            exchange.cut_unless_streaming()

    def _refuse(self, exchange: Exchange, refusal: Refusal) -> Answer:
        shown = AnswerFields()
        self._policy.crossing.show_metadata(refusal.trailing_metadata, shown)
        answer = self._policy.errors.of_refusal(refusal, shown.get("x-request-id", exchange.origin.request_id))
        shown.take(answer.headers)
        answer.headers = shown
        return exchange.refuse(answer)

    def _shutting_down(self, request_id: str) -> ErrorAnswer:
        return self._policy.errors.of_bridge_error(ShuttingDown(), request_id)


def _path_of(target: str) -> str:
    """Path and query, of a whole address too (RFC 9112, section 3.2)."""
    if target.startswith("/"):
        return target
    _, scheme_end, rest = target.partition("://")
    if not scheme_end:
        return target
    authority_end = next((at for at, letter in enumerate(rest) if letter in "/?"), len(rest))
    path = rest[authority_end:]
    return path if path.startswith("/") else "/" + path


def _of_fault(fault: Fault) -> BridgeError:
    if fault is Fault.HEAD_TOO_LARGE:
        return HeadersTooLarge(MAX_HEADER_BYTES)
    return BrokenFraming("The request is not valid HTTP.")


def _uncancel() -> None:
    task = asyncio.current_task()
    assert task is not None, "requests are answered in tasks"
    task.uncancel()


def _pages(
    settings: BridgeSettings,
    health: HealthPages,
    render_metrics: Callable[[], bytes] | None,
    prefix: str | None,
    make_openapi: Callable[[], bytes] | None,
) -> Iterator[Route[Handler]]:
    if prefix is None:
        return
    pages: dict[str, Page] = {"/health": health.alive, "/health/ready": health.ready}
    if render_metrics is not None:
        pages["/metrics"] = metrics_page(render_metrics)
    if settings.openapi_path is not None:
        pages.update(docs_pages(settings.openapi_path, make_openapi))
    for name, page in pages.items():
        path = prefix + name
        yield Route("GET", parse_template(path), _as_handler(page, path), f"the page {path}")


def _as_handler(page: Page, path: str) -> Handler:
    async def handle(exchange: Exchange, _: Sequence[tuple[Variable, str]]) -> Answer:
        exchange.label = path
        return await page(exchange)

    return handle


def _endpoints(
    catalog: Catalog, caller: Caller, settings: BridgeSettings, live: set[EventStream], policy: Policy
) -> Iterator[Route[Handler]]:
    def make(method: Method, binding: Binding) -> Handler:
        if method.client_streaming:
            return _refuse_client_stream
        return Endpoint(method, binding, caller, settings, live, policy)

    return service_routes(catalog, policy, make)


async def _refuse_client_stream(_: Exchange, __: Sequence[tuple[Variable, str]]) -> Answer:
    raise ClientStreamNotServed()
