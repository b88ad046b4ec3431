"""A tab that runs a counting cell and reconnects whenever it must: KERNEL FILE TOKENFILE, the end as JSON.

The cell counts until FILE is there. What it lives through is on standard error.
Exits 1 where the cell has not ended in time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from support.tab import V1, Tab

CODE = """
import pathlib, time
n = -1
while not pathlib.Path({!r}).exists():
    n += 1
    print(str(n) + chr(10), end='', flush=True)  # one message for a number and its line end
    time.sleep(0.02)
"""
PORT = 8888
_AT_MOST_S = 400


def say(*what: object) -> None:
    """With the seconds since the machine's boot."""
    print(f"{time.monotonic():.2f}", *what, file=sys.stderr, flush=True)  # noqa: T201 - it is a program


async def main(kernel: str, file: str, token: str) -> None:
    tab = Tab(kernel, V1, "wss", token)
    await tab.connect(PORT)
    cell = await tab.run(CODE.format(file))
    until = time.monotonic() + _AT_MOST_S
    while not tab.done(cell):
        if time.monotonic() > until:
            say("the cell has not ended:", *tab.summary())
            sys.exit(1)
        try:
            await tab.lost(0.2)
        except TimeoutError:
            continue
        say("lost after", len(tab.got), "messages")
        await tab.connect(PORT, 60)
        say("connected")
    found = [int(word) for word in tab.text(cell).split()]
    json.dump({"numbers": found, "reply": tab.of(cell, "execute_reply")[0]["content"]["status"]}, sys.stdout)
    await tab.close()


asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_text()))
