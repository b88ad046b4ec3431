"""A tab that runs a counting cell and reconnects whenever it must: KERNEL NUMBERS TOKEN, the end as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from tabs import V1, Tab

CODE = "import time\nfor n in range({}):\n    print(n, flush=True)\n    time.sleep(0.02)"
PORT = 8888


async def main() -> None:
    kernel, numbers, token = sys.argv[1:]
    tab = Tab(kernel, V1, "wss", token)
    await tab.connect(PORT)
    cell = await tab.run(CODE.format(numbers))
    while not tab.done(cell):
        try:
            await tab.lost(0.2)
        except TimeoutError:
            continue
        await tab.connect(PORT, 60)
    found = [int(word) for word in tab.text(cell).split()]
    json.dump({"numbers": found, "reply": tab.of(cell, "execute_reply")[0]["content"]["status"]}, sys.stdout)
    await tab.close()


asyncio.run(main())
