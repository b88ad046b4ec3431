"""The way between a browser and its server, as a TCP relay that a test cuts, blocks, or makes a poor reverse proxy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
Way = Literal["open", "refusing", "bad gateway", "silent"]
"""`silent`: what was connected stays so for the browser, and nothing comes any more, also not later; a new connection
is accepted, and nothing comes."""


class Link:
    """Owns a thread with an event loop, the listening socket and all connections."""

    def __init__(self, server: int) -> None:
        self.way: Way = "open"
        self.sent = 0
        """Times that a browser has sent something."""
        self.port = 0
        self._server = server
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        listens = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._relay(listens)), daemon=True)
        self._thread.start()
        listens.wait()

    def become(self, way: Way) -> None:
        """From now on; what is connected ends, but for `silent`."""
        done = threading.Event()

        def change() -> None:
            self.way = way
            for each in self._writers if way != "silent" else ():
                each.transport.abort()
            done.set()

        self._loop.call_soon_threadsafe(change)
        done.wait()

    def open_but_forget(self) -> None:
        """New connections work; those of before stay silent: neither end is told, as after a sleep."""
        self.way = "open"

    def close(self) -> None:
        """Ends all connections, and the thread."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _relay(self, listens: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(listening.sockets[0].getsockname()[1])
        listens.set()
        await self._over.wait()
        listening.close()
        for each in self._writers:
            each.transport.abort()

    async def _serve(self, browser: asyncio.StreamReader, to_browser: asyncio.StreamWriter) -> None:
        self._writers.add(to_browser)
        try:
            if self.way == "open":
                from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server)
                self._writers.add(to_server)
                await asyncio.gather(
                    self._pass(browser, to_server, sent=1), self._pass(from_server, to_browser)
                )  # fmt: skip
            elif self.way == "bad gateway":
                await browser.readuntil(b"\r\n\r\n")
                to_browser.write(_BAD_GATEWAY)
                await to_browser.drain()
            elif self.way == "silent":
                await asyncio.Event().wait()
        except (OSError, EOFError):
            pass
        finally:
            to_browser.close()
            self._writers.discard(to_browser)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, sent: int = 0) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                self.sent += sent
                if self.way == "silent":
                    await asyncio.Event().wait()
                sink.write(data)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)


@contextmanager
def linked(server: int) -> Iterator[Link]:
    """To a server on this port of 127.0.0.1."""
    here = Link(server)
    try:
        yield here
    finally:
        here.close()
