"""A websocket whose browser leaves while it connects: it is closed once, and only after it was opened.

Tornado calls `on_close` also before `open`, goes on to open what is closed, and does not call `on_close` at all where
`open` fails. Each of these leaves behind what Jupyter's handlers, and those of extensions, take and give back there.
A message that was on its way when the browser left costs a traceback each; Jupyter's pings go on for another 30 s.
"""

from __future__ import annotations

import contextlib
import inspect
from asyncio import Future
from http import HTTPStatus
from typing import Any

from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from terminado.websocket import TermSocket
from tornado.routing import RuleRouter
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler


def guard(application: Application) -> None:
    """Put a subclass of it, made here, in the place of every websocket handler that the application routes to."""
    for router in (application.default_router, application.wildcard_router):
        _guard_all(router)


def _guard_all(router: RuleRouter) -> None:
    for rule in router.rules:
        target = rule.target
        if isinstance(target, RuleRouter):
            _guard_all(target)
        elif isinstance(target, type) and issubclass(target, WebSocketHandler) and not issubclass(target, ClosedOnce):
            rule.target = type(target.__name__, (*_guards(target), target, _Sends), {})


def _guards(handler: type) -> tuple[type, ...]:
    if issubclass(handler, KernelWebsocketHandler):
        return (_Kernel, ClosedOnce)
    return (_Terminal, ClosedOnce) if issubclass(handler, TermSocket) else (ClosedOnce,)


class ClosedOnce(WebSocketHandler):
    """Before a websocket handler in the order of its bases."""

    _open_called = False

    def on_connection_close(self) -> None:
        """Tornado's: the connection is closed. Before `open` nothing is to be given back."""
        if self._open_called:
            super().on_connection_close()
        pings = getattr(self, "ping_callback", None)  # jupyter_server.base.websocket.WebSocketMixin
        if pings is not None:
            pings.stop()

    async def open(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - the handler's
        """Tornado's hook. A connection that is closed already is not opened; tornado then calls `on_close`."""
        self._open_called = True
        if self.ws_connection is None or self.ws_connection.is_closing():
            return
        try:
            opening: Any = super().open(*args, **options)
            if inspect.isawaitable(opening):
                await opening
        except WebSocketClosedError:  # the browser left meanwhile
            return
        except Exception:
            self.on_connection_close()
            raise


class _Sends(WebSocketHandler):
    """Behind a websocket handler in the order of its bases: what is not sent because the browser left is no mistake."""

    def write_message(self, message: Any, binary: bool = False) -> Future[None]:  # noqa: ANN401, FBT001, FBT002 - tornado's
        """Tornado's."""
        future = super().write_message(message, binary)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())  # asyncio logs what nobody asks for
        return future


class _Kernel(WebSocketHandler):
    """A kernel's: `prepare` of its connection has taken something before the websocket is accepted or refused."""

    def on_finish(self) -> None:
        """Tornado's hook: the HTTP part is over."""
        super().on_finish()
        connection = getattr(self, "connection", None)
        if self.get_status() != HTTPStatus.SWITCHING_PROTOCOLS and connection is not None:
            connection.disconnect()


class _Terminal(WebSocketHandler):
    """A terminal's: output is written to all its tabs in one go, so one that is closing may not stop it."""

    def on_pty_read(self, text: str) -> None:
        """Terminado's: the shell said this."""
        with contextlib.suppress(WebSocketClosedError):
            super().on_pty_read(text)  # type: ignore[misc]
