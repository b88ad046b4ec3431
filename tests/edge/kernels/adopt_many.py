"""Start COUNT stand-ins for kernels, adopt them, and print how long that took: STATE COUNT."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from jupyter_client.connect import write_connection_file
from traitlets.config import Config

from jupyterd.launch import launcher, registry, stop
from jupyterd.launch.registry import Entry
from jupyterd.server.kernels.kernelspecs import KernelSpecManager
from jupyterd.server.kernels.manager import KernelManager


async def main() -> None:
    state, count = Path(sys.argv[1]), int(sys.argv[2])
    directory, sockets = state / "kernels", state / "k"
    sockets.mkdir(mode=0o700)
    for number in range(count):
        kernel_id = f"{number:08d}-0000-4000-8000-000000000000"
        file = str(sockets / f"kernel-{kernel_id}.json")
        write_connection_file(file, transport="ipc", ip=str(sockets / launcher.socket_stem(kernel_id)), key=b"k")
        order = Entry(kernel_id, "python3", ("/bin/sleep", "600"), "/", file, "signal", None, time.time())
        launcher.launch(directory, order, {"JPY_SESSION_NAME": "a.ipynb"})
    specs = KernelSpecManager(environment=sys.prefix, kernelspecs_dir=str(state / "share"))
    begin = time.perf_counter()
    config = Config({"KernelManager": {"records_dir": str(directory), "sockets_dir": str(sockets)}})
    manager = KernelManager(config=config, kernel_spec_manager=specs)
    adopted = time.perf_counter() - begin
    begin = time.perf_counter()
    while not all(hasattr(manager.get_kernel(each), "_activity_stream") for each in manager.list_kernel_ids()):  # noqa: ASYNC110 - timed
        await asyncio.sleep(0)
    watched = time.perf_counter() - begin
    print(json.dumps({"adopted": len(manager.list_kernel_ids()), "seconds": adopted, "watched": watched}))  # noqa: T201 - its answer
    manager.leave()
    stop.end_all(directory, registry.read_all(directory)[0], 0.5, "test")


asyncio.run(main())
