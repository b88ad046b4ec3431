"""The server's program, started by the supervisor: `python -I -m jupyterd.server`. Jupyter is imported last."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import traceback
from types import FrameType
from typing import NoReturn

from jupyterd.linux.proc import die_with_parent, volunteer_for_oom
from jupyterd.protocol.server_channel import SPARE, Failed
from jupyterd.server import live_settings, retirement, spare, supervisor_link
from jupyterd.settings.paths import Paths

EXIT_FAILED = 1
OOM_SCORE = 400
"""A user manager starts kernels with 200 (systemd-system.conf(5), DefaultOOMScoreAdjust=): when the machine runs out of
memory, a server that holds as much as a kernel is killed first, because nothing is lost with it.
"""
NEVER_USED = ("rfc3987_syntax", "httpx._main")
"""Imported where it is there, done without where it is not: jsonschema's check of international addresses (0.8 s of
the import time), and httpx's command line, which brings rich and click (0.03 s).
"""


def _leave_at_once(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM before anything has begun that would need a clean end."""
    os._exit(0)


def main() -> int:
    """Serve until the end: 0, or 1 if it could not start (the supervisor then has a Failed)."""
    die_with_parent()
    signal.signal(signal.SIGTERM, _leave_at_once)
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, lambda *_: None)
    for name in NEVER_USED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # None makes the import fail (sys.modules)

    try:
        mode = os.environ.pop("JUPYTERD_LOG", "terminal")
        paths = live_settings.paths_of(os.environ)
        if paths.mode != "foreground":  # where kernels are processes of the server
            volunteer_for_oom(OOM_SCORE)
        waits = os.environ.pop(SPARE, None) is not None
        again = dict(os.environ)
        channel, sockets = supervisor_link.take(os.environ)
        beat = supervisor_link.take_heartbeat(os.environ)
        retired = retirement.take(os.environ)
    except (ValueError, KeyError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    if waits:
        others = tuple(each for each in (beat, retired) if each is not None)
        inherited = (channel.fd, *(each.fileno() for each in sockets), *others)
        spare.wait(channel, inherited, paths, {**again, "JUPYTERD_LOG": mode})
    if beat is not None:
        channel.note_requests = supervisor_link.use_heartbeat(beat)
    return _serve(mode, paths, channel, sockets, retired)


def _serve(
    mode: str,
    paths: Paths,
    channel: supervisor_link.SupervisorLink,
    sockets: list[socket.socket],
    retired: int | None,
) -> NoReturn:
    from jupyterd.server import app, logs, start_errors  # noqa: PLC0415 - Jupyter, 0.3 s

    try:
        app.start(paths, channel, sockets, logs.traits(mode), retired)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the supervisor must be told
        problem = start_errors.sentence(error, start_errors.config_dirs(os.environ))
        if not isinstance(error, start_errors.StartFailed):
            traceback.print_exception(error)
        sys.stderr.write(f"{'<3>' if mode == 'journal' else ''}{problem}\n")
        channel.say(Failed(problem))
        code = EXIT_FAILED
    else:
        code = 0
    # Not sys.exit: threads of extensions and finalizers of kernel managers have no say any more.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
