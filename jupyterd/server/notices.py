"""Shows notices of the supervisor and of kernels on every open page: an event of jupyter_events, to which pages listen
anyway. labextensions/jupyterd/static/notices.js shows it.
"""

from __future__ import annotations

from typing import Any

from jupyter_events import EventLogger

SCHEMA_ID = "https://events.jupyter.org/jupyterd/notice"
_SCHEMA: dict[str, Any] = {
    "$id": SCHEMA_ID,
    "version": "1",
    "title": "A notice of jupyterd",
    "description": "A notice that every open page should show.",
    "type": "object",
    "required": ["text"],
    "properties": {
        "text": {"type": "string", "description": "One or two sentences."},
        "kernel": {"type": "string", "description": "The id of the kernel that it is about: a dialog on its page."},
    },
}


def register(events: EventLogger | None) -> None:
    """Register the schema; once for each server."""
    if events is not None:
        events.register_event_schema(_SCHEMA)


def show(events: EventLogger | None, text: str, kernel: str = "") -> None:
    """Show `text` on all open pages; on that of the kernel with this id, if there is one, in a dialog."""
    if events is not None:
        events.emit(schema_id=SCHEMA_ID, data={"text": text} | ({"kernel": kernel} if kernel else {}))
