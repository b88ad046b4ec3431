"""Starts the kernel of one kernelspec as a server would, waits until it answers, and ends it.

python -I -m jupyterd.cli.doctor.kernel_child DIRECTORY: prints "" or why it does not start, on one line.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

READY_S = 60.0
_SHOWN = 200


def main(directory: str) -> None:
    """What the kernel writes to standard error explains most."""
    with tempfile.TemporaryDirectory(prefix="jupyterd-doctor-") as private, tempfile.TemporaryFile() as errors:
        os.environ["JUPYTER_RUNTIME_DIR"] = private
        print(_problem(directory, Path(private), errors.fileno()))


def _problem(directory: str, private: Path, errors: int) -> str:
    from jupyter_client.kernelspec import KernelSpec  # noqa: PLC0415 - after the runtime directory is known
    from jupyter_client.manager import KernelManager  # noqa: PLC0415

    manager = KernelManager(connection_file=str(private / "kernel.json"), transport="ipc", ip=str(private / "k"))
    manager._kernel_spec = KernelSpec.from_resource_dir(directory)  # noqa: SLF001 - by directory, as names may hide it
    client = None
    try:
        manager.start_kernel(stderr=errors, stdout=errors)
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=READY_S)
    except (OSError, RuntimeError) as error:
        said = os.pread(errors, 1 << 16, 0).decode(errors="replace").strip().rpartition("\n")[2]
        return (said or str(error))[:_SHOWN]
    finally:
        if client is not None:
            client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)
    return ""


if __name__ == "__main__":
    main(sys.argv[1])
