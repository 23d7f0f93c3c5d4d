"""Reads one system's file against the catalogue of RPCs; whatever it names must be there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

from google.api import http_pb2
from google.protobuf.descriptor import Descriptor

from bridge.aliases.request_rules import RequestRules, read_renames, read_values
from bridge.aliases.route import (
    FAILURE_NAMES,
    SUCCESS_NAMES,
    AliasRoute,
    ChatDecoration,
    CredentialForm,
    Envelope,
    Listed,
    System,
)
from bridge.aliases.source import Node, read_file
from bridge.aliases.template import Template, read_template
from bridge.catalog import Binding, Catalog, Method, read_binding
from bridge.descriptor_image import CatalogError
from bridge.path_template import PathTemplate, TemplateError, parse_template

PAGES = ("/health", "/health/ready", "/metrics", "/openapi.json", "/docs", "/docs/start.js", "/docs/scalar.js")
"""Paths of the bridge itself."""
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
FILE_KEYS = {
    "system": "The system's name, the same as the file's.",
    "title": "Its name for people.",
    "about": "One sentence on it.",
    "envelope": "The form around every answer: `success` (from `answer`, `message`, `time`) and `failure` (from "
    "`code`, `message`, `details`, `param`, `request_id`, `time`).",
    "credential": "Two headers that together are a key: `id_header` takes its id, `secret_header` its secret; "
    "`row` says where that is documented.",
    "routes": "The calls that are served, see below.",
    "canonical": "Rows that the canonical API serves as it is: `row`, `call`, `rpc` (none for a page of "
    "the bridge), `note`.",
    "unserved": "Rows that are not served yet: `row`, `call`, `why`.",
}
ROUTE_KEYS = {
    "row": "The row's id in the inventory of documented calls.",
    "call": "Verb and path as documented. A path variable is named by the RPC's field. A query such as "
    "`?action=subscription` chooses among routes of one path; `?id=*` asks for the parameter with any value.",
    "slash": "`both`: the path is served with and without a slash at its end.",
    "summary": "One sentence for the documentation.",
    "rpc": "The RPC, as `package.Service.Method`.",
    "body": "Renames of the body's fields, see below. Without it a POST, PUT or PATCH takes the RPC's own names, and a "
    "GET or DELETE takes no body.",
    "query": "Renames of query parameters.",
    "ignore": "Documented names that are taken and have no effect.",
    "default": "Values of fields that the caller leaves out.",
    "set": "Values of fields that the caller cannot set.",
    "answer": "The form of the answer, see below. Without it, the RPC's own.",
    "status": "The HTTP status of a success; without it the RPC's own.",
    "message": "The sentence of a success, where the system has an envelope.",
    "envelope": "`false`: without the system's envelope.",
    "chat": "What a chat's answer carries beyond OpenAI's: `id_prefix` (what ids begin with), `every` (constants, in a "
    "whole answer and every chunk), `last` (in a whole answer and the last chunk, from the call's `Outcome`).",
    "shared": "`true`: another loaded system may have the very same route.",
}
_ROW = re.compile(r"(?:LX|KX|LS|AA|LK)[1-9][0-9]*")
_NAME = re.compile(r"[a-z][a-z0-9_-]{1,40}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,60}")
_OUTCOME = "tollbridge.chat.v1.Outcome"


class Reader:
    """Reads files against one catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self._methods = {method.full_name: method for method in catalog.methods if method.access is not None}
        self._pool = catalog.pool

    def read(self, path: Path) -> System:
        """The system of a file. Raises `AliasError`."""
        root = read_file(path)
        entries = root.mapping(FILE_KEYS, ("system", "title", "about"))
        name = entries["system"].text()
        if not _NAME.fullmatch(name):
            raise entries["system"].error("must be a short name in lower case")
        if name != path.stem:
            raise entries["system"].error(f"is {name!r}, but the file is called {path.name}")
        envelope = self._envelope(entries["envelope"]) if "envelope" in entries else None
        system = System(
            name=name,
            title=entries["title"].text(),
            about=entries["about"].text(),
            routes=(),
            canonical=tuple(self._canonical(each) for each in _items(entries, "canonical")),
            unserved=tuple(_unserved(each) for each in _items(entries, "unserved")),
            envelope=envelope,
            credential=_credential(entries["credential"]) if "credential" in entries else None,
        )
        return replace(system, routes=tuple(self._route(each, system) for each in _items(entries, "routes")))

    def _route(self, node: Node, system: System) -> AliasRoute:
        entries = node.mapping(ROUTE_KEYS, ("row", "call", "summary", "rpc"))
        method = self._method(entries["rpc"])
        http_verb, path, match = _call(entries["call"])
        takes_body = http_verb in ("POST", "PUT", "PATCH") or "body" in entries
        binding = self._binding(entries["call"], method, http_verb, path, "*" if takes_body else "")
        enveloped = system.envelope is not None and ("envelope" not in entries or entries["envelope"].flag())
        chat = self._chat(entries["chat"], method) if "chat" in entries else None
        if method.returns_http_body and (enveloped or "answer" in entries):
            raise entries["rpc"].error("answers what the provider says, which has no form to change; `chat` adds to it")
        return AliasRoute(
            row=_row(entries["row"]),
            http_verb=http_verb,
            path=path,
            both_slashes="slash" in entries and bool(entries["slash"].one_of({"both"})),
            match=match,
            summary=entries["summary"].text(),
            method=method,
            rpc=method.full_name,
            binding=binding,
            rules=self._rules(entries, method),
            answer=self._answer(entries, method),
            status=_status(entries, method),
            message=entries["message"].text() if "message" in entries else "OK",
            enveloped=enveloped,
            chat=chat,
            shared="shared" in entries and entries["shared"].flag(),
            origin=f"{node.file}, line {node.line}",
        )

    def _method(self, node: Node) -> Method:
        method = self._methods.get(node.text())
        if method is None:
            raise node.error(f"names {node.text()!r}, which is no RPC that is served here")
        return method

    def _rules(self, entries: dict[str, Node], method: Method) -> RequestRules:
        message = self._request(method)
        return RequestRules(
            body=read_renames(entries["body"], message) if "body" in entries else (),
            query=read_renames(entries["query"], message) if "query" in entries else (),
            ignored=frozenset(item.text() for item in _items(entries, "ignore")),
            defaults=read_values(entries["default"], message) if "default" in entries else (),
            constants=read_values(entries["set"], message) if "set" in entries else (),
        )

    def _binding(self, node: Node, method: Method, http_verb: str, path: str, body: str) -> Binding:
        plain = path.rstrip("/") or "/root"
        rule = http_pb2.HttpRule(custom=http_pb2.CustomHttpPattern(kind=http_verb, path=plain), body=body)
        try:
            found = read_binding(self._pool.FindMethodByName(method.full_name), rule)
            return replace(found, template=template_of(path))
        except (TemplateError, CatalogError) as error:
            raise node.error(f"does not fit: {str(error).removesuffix('.')}") from None

    def _request(self, method: Method) -> Descriptor:
        if method.takes_http_body and method.documents is not None:
            return self._pool.FindMessageTypeByName(method.documents.request)
        return method.input

    def _answer(self, entries: dict[str, Node], method: Method) -> Template | None:
        return read_template(entries["answer"], method.output) if "answer" in entries else None

    def _envelope(self, node: Node) -> Envelope:
        entries = node.mapping({"success", "failure"}, ("success", "failure"))
        success = read_template(entries["success"], SUCCESS_NAMES)
        return Envelope(success, read_template(entries["failure"], FAILURE_NAMES))

    def _chat(self, node: Node, method: Method) -> ChatDecoration:
        entries = node.mapping({"id_prefix", "every", "last"})
        if not method.returns_http_body:
            raise node.error("belongs to a chat; this RPC is none")
        outcome = self._pool.FindMessageTypeByName(_OUTCOME)
        every = entries["every"].mapping() if "every" in entries else {}
        last = entries["last"].mapping() if "last" in entries else {}
        return ChatDecoration(
            id_prefix=entries["id_prefix"].text() if "id_prefix" in entries else "",
            every=tuple((name, each.plain()) for name, each in every.items()),
            last=tuple((name, read_template(each, outcome)) for name, each in last.items()),
        )

    def _canonical(self, node: Node) -> Listed:
        entries = node.mapping({"row", "call", "rpc", "note"}, ("row", "call", "note"))
        http_verb, path, _ = _call(entries["call"])
        if "rpc" not in entries:
            if http_verb != "GET" or path not in PAGES:
                raise node.error(f"has no rpc, and {path} is no page of the bridge")
            return Listed(_row(entries["row"]), entries["call"].text(), entries["note"].text())
        method = self._method(entries["rpc"])
        if not any(each.http_verb == http_verb and each.template.text == path for each in method.bindings):
            raise entries["call"].error(f"is no canonical route of {method.full_name}")
        return Listed(_row(entries["row"]), entries["call"].text(), entries["note"].text(), method.full_name)


def _items(entries: dict[str, Node], name: str) -> list[Node]:
    return entries[name].items() if name in entries else []


def _unserved(node: Node) -> Listed:
    entries = node.mapping({"row", "call", "why"}, ("row", "call", "why"))
    return Listed(_row(entries["row"]), entries["call"].text(), entries["why"].text())


def _credential(node: Node) -> CredentialForm:
    names = ("row", "id_header", "secret_header")
    entries = node.mapping(names, names)
    for each in (entries["id_header"], entries["secret_header"]):
        if not _HEADER.fullmatch(each.text()):
            raise each.error("is no name of a header")
    return CredentialForm(_row(entries["row"]), entries["id_header"].text(), entries["secret_header"].text())


def _row(node: Node) -> str:
    if not _ROW.fullmatch(node.text()):
        raise node.error(f"is {node.text()!r}, which is no id of a row")
    return node.text()


def _call(node: Node) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    http_verb, _, target = node.text().partition(" ")
    if http_verb not in VERBS or not target.startswith("/"):
        raise node.error(f"must be a verb ({', '.join(VERBS)}) and a path, for instance 'GET /api/health'")
    path, _, query = target.partition("?")
    return http_verb, path, tuple(parse_qsl(query, keep_blank_values=True))


def template_of(path: str) -> PathTemplate:
    """The template of a path, which here may be the root or end with a slash. Raises `TemplateError`."""
    if path == "/":
        return PathTemplate(path, ("",), (), "")
    if not path.endswith("/"):
        return parse_template(path)
    found = parse_template(path.removesuffix("/"))
    return PathTemplate(path, (*found.segments, ""), found.variables, "")


def _status(entries: dict[str, Node], method: Method) -> int:
    if "status" not in entries:
        return method.http_success
    status = entries["status"].value
    if not isinstance(status, int) or not 200 <= status <= 299:
        raise entries["status"].error("must be a status of a success, 200 to 299")
    return status
