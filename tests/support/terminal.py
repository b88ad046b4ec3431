"""A program in a terminal of its own, and a person who answers its questions."""

from __future__ import annotations

import os
import pty
import select
from collections.abc import Mapping

from support.waiting import GUARD_S


def at_a_terminal(*argv: str, environ: Mapping[str, str] | None = None, asked: bytes = b"", answer: bytes = b"") -> str:
    """What it shows until it ends. `answer` is typed whenever what it shows ends with `asked`."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, os.environ if environ is None else environ)  # noqa: S606
    shown = b""
    try:
        while select.select([terminal], [], [], GUARD_S)[0] and (data := os.read(terminal, 4096)):
            shown += data
            if asked and shown.endswith(asked):
                os.write(terminal, answer)
    except OSError:  # EIO: it has ended
        pass
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return shown.decode()
