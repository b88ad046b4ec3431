"""Pages that are left while their websockets connect: a seeded crowd of them, which leaves at every stage of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct

from support.tab import V1

SESSIONS, AT_ONCE = tuple(f"page{n}" for n in range(8)), 40
"""Used over and over; connections at once."""
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
UPGRADE = f"Upgrade: websocket\r\nConnection: Upgrade\r\n{KEY}"
GOING_AWAY = bytes([0x88, 0x82, 0, 0, 0, 0]) + struct.pack(">H", 1001)
"""A close frame, masked with zeros."""


class Leaver:
    """Connects to the websockets of a server and leaves them, by dice."""

    def __init__(self, port: int, token: str, kernel: str, terminal: str, dice: random.Random) -> None:
        self.port, self.token, self.dice = port, token, dice
        kernels = [f"/api/kernels/{kernel}/channels?session_id={each}" for each in SESSIONS]
        self.paths = [*kernels, *[f"/terminals/websocket/{terminal}"] * 4, *["/api/events/subscribe"] * 4]

    async def leave_one(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await self._talk(reader, writer)
        except ConnectionError:
            return
        finally:
            if self.dice.random() < 0.7:  # a RST at once rather than the regular end
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dice = self.dice
        path, stage = dice.choice(self.paths), dice.randrange(6)
        protocol = f"Sec-WebSocket-Protocol: {V1}\r\n" if dice.random() < 0.5 else ""
        upgrade = (
            UPGRADE
            if stage
            else dice.choice(["", UPGRADE.replace("13", "99"), "Origin: http://elsewhere\r\n" + UPGRADE])
        )
        host = f"Host: localhost:{self.port}\r\nAuthorization: token {self.token}\r\n"
        request = f"GET {path} HTTP/1.1\r\n{host}{protocol}{upgrade}\r\n".encode()
        writer.write(request[: dice.randrange(len(request))] if stage == 1 else request)
        await writer.drain()
        if stage in (0, 3):  # the answer is on its way
            await asyncio.sleep(dice.choice([0, 0.001, 0.005, 0.03]))
        elif stage >= 4:
            await reader.readuntil(b"\r\n\r\n")
            if stage == 5:
                await asyncio.sleep(dice.choice([0, 0.01, 0.05]))
                writer.write(dice.choice([GOING_AWAY, GOING_AWAY[:3], b""]))
                await writer.drain()

    async def leave(self, count: int) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                await self.leave_one()

        await asyncio.gather(*(one() for _ in range(count)))
