"""A tab whose cell never ends by itself: KERNEL TOKENFILE. Prints "began", and the end of the cell as JSON: its text,
the reply, and what Jupyter says of the kernel.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from support.tab import V1, Tab

PORT = 8888
_AT_MOST_S = 90


async def main(kernel: str, token: str) -> None:
    tab = Tab(kernel, V1, "wss", token)
    await tab.connect(PORT)
    cell = await tab.run("import time\nprint('began', flush=True)\ntime.sleep(3600)")
    await tab.until(lambda: "began" in tab.text(cell), _AT_MOST_S)
    print("began", flush=True)  # noqa: T201 - it is a program
    await tab.until(lambda: tab.done(cell), _AT_MOST_S)
    await tab.until(lambda: "dead" in states(tab), _AT_MOST_S)
    (reply,) = tab.of(cell, "execute_reply")
    json.dump({"text": tab.text(cell), "reply": reply["content"]["status"], "states": states(tab)}, sys.stdout)


def states(tab: Tab) -> list[str]:
    """What was said of the kernel, of no request."""
    told = [each["content"].get("execution_state", "") for _, each in tab.got if not each["parent_header"]]
    return [each for each in told if each]


asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_text()))
