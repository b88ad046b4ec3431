"""`jupyterd stop`: end a server of `jupyterd run` (./run) whose terminal is gone, and its kernels, as Ctrl-C does."""

from __future__ import annotations

import argparse
import signal

from jupyterd.cli._common import DONE, NOT_RUNNING, fail, find_server, say
from jupyterd.linux import proc
from jupyterd.text import span

HELP = "end a server that `jupyterd run` or ./run started, and its kernels, as Ctrl-C in its terminal does"
WAIT_S = 90.0
"""Longer than the supervisor takes to end the server, and the kernels after it."""
_SERVICES = {"service": "sudo systemctl stop jupyterd", "user": "systemctl --user stop jupyterd"}
"""Mode -> what stops a server that systemd would start again."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Take no options: a service is systemd's to stop."""
    parser.set_defaults(which=None)


def main(args: argparse.Namespace) -> int:
    """0: it has ended; 1: it has not, or is not for this verb to end; 3: no server runs."""
    server = find_server(args.which)
    if server.running is None:
        return fail("no server runs", NOT_RUNNING)
    supervisor, mode = server.running.supervisor.process, server.running.snapshot.mode
    if mode in _SERVICES:
        return fail(f"this server is a systemd service. Type: {_SERVICES[mode]}")
    pidfd = proc.open_pidfd_since(supervisor.pid, supervisor.started)
    if pidfd is None:
        return fail("the server has just stopped", NOT_RUNNING)
    signal.pidfd_send_signal(pidfd, signal.SIGINT)
    if not proc.has_exited(pidfd, WAIT_S):
        return fail(f"the server (pid {supervisor.pid}) has not ended within {span(WAIT_S)}; see: jupyterd status")
    say(f"the server (pid {supervisor.pid}) has ended")
    return DONE
