"""The operations that are no RPC: health, metrics, and the documentation itself."""

from __future__ import annotations

from typing import Any

from bridge.openapi.answers import REQUEST_ID

TAG = "Operations"
TAG_TEXT = "Whether it runs and how it is; open to everyone."

_HEALTH: dict[str, Any] = {
    "type": "object",
    "required": ["status", "timestamp", "service", "version", "uptime_seconds"],
    "properties": {
        "status": {"type": "string", "description": "`healthy`, `ready` or `unavailable`."},
        "timestamp": {"type": "string", "format": "date-time", "description": "The server's time."},
        "service": {"type": "string", "description": "Always `tollbridge`."},
        "version": {"type": "string", "description": "The version that runs."},
        "dependencies": {
            "type": "object",
            "description": "`up` or `down` for `server`, `database` and `cache`; only at `/health`.",
            "additionalProperties": {"type": "string"},
        },
        "uptime_seconds": {"type": "number", "description": "Seconds since this process began to serve."},
    },
}


def page_paths() -> dict[str, Any]:
    """The paths of the pages."""
    health = ("application/json", {"$ref": "#/components/schemas/Health"})
    text = {"type": "string"}
    return {
        "/health": _page("Health", "Says that the process answers", {200: health}),
        "/health/ready": _page("Ready", "Says whether calls would be served", {200: health, 503: health}),
        "/metrics": _page("Metrics", "Shows the meters in Prometheus' text format", {200: ("text/plain", text)}),
        "/openapi.json": _page("OpenApi", "Shows this document", {200: ("application/json", {"type": "object"})}),
        "/docs": _page("Docs", "Shows this document to people", {200: ("text/html", text)}),
    }


def page_schemas() -> dict[str, Any]:
    """The components that the pages refer to."""
    return {"Health": _HEALTH}


_TEXTS = {200: "As asked.", 503: "Calls would not be served."}


def _page(name: str, summary: str, answers: dict[int, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    responses = {
        str(status): {
            "description": _TEXTS[status],
            "headers": REQUEST_ID,
            "content": {content_type: {"schema": schema}},
        }
        for status, (content_type, schema) in answers.items()
    }
    return {
        "get": {
            "operationId": f"Operations_{name}",
            "summary": summary,
            "tags": [TAG],
            "security": [],
            "responses": responses,
        }
    }
