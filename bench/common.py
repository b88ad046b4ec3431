"""What the benchmarks share: an ordinary account, temporary homes, servers to start, requests, figures and tables.

Standard library only: the environment to measure belongs to other processes; it is the checkout's, or that of --python.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UID = 61234
"""If root runs a benchmark, everything that is measured runs as this uid: nobody should serve notebooks as root."""
START_S, STOP_S = 120.0, 30.0
ROOT = Path(__file__).resolve().parents[1]
PEERS = ("supervisor", "circus")


# --- the command ----------------------------------------------------------------------------------------------


def parser(doc: str, rounds: int | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print JSON instead of the table")
    made.add_argument("--python", type=Path, help="interpreter of the environment to measure (default: the checkout's)")
    if rounds is not None:
        made.add_argument(
            "--rounds", type=int, default=rounds, help=f"how often to measure every side, in turn (default {rounds})"
        )
    return made


def interpreter(given: Path | None) -> str:
    """The interpreter of the environment to measure, which has jupyterd and notebook."""
    for each in (given, ROOT / ".venv" / "bin" / "python", Path(sys.executable)):
        if each is not None and each.exists() and _runs(str(each), "import jupyterd, notebook"):
            return str(each)
    raise SystemExit(
        "there is no environment with jupyterd here: run ./run --help once (it makes .venv), or use --python"
    )


def _runs(python: str, code: str) -> bool:
    argv = [python, "-I", "-c", code]
    return subprocess.run(argv, stderr=subprocess.DEVNULL, check=False, **account(Path("/"))).returncode == 0


def account(home: Path) -> dict[str, Any]:
    """Arguments for Popen: the ordinary account, with this home directory."""
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    other = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"env": environ, "cwd": home, **other}


@contextmanager
def home() -> Iterator[Path]:
    """A temporary home directory."""
    made = Path(tempfile.mkdtemp(prefix="jupyterd-bench-"))
    if os.geteuid() == 0:
        os.chown(made, UID, UID)
    try:
        yield made
    finally:
        for each in Path("/proc").glob("[0-9]*"):  # kernels and the recorder outlive their server
            with suppress(OSError):
                if f"\0HOME={made}\0".encode() in b"\0" + (each / "environ").read_bytes():
                    _kill(int(each.name))
        shutil.rmtree(made, ignore_errors=True)


def peers(python: str, there: Path) -> Path:
    """Make a temporary environment with supervisord and circus; returns its bin directory. Uses the interpreter that is
    measured, because the account can execute it.
    """
    _say(f"installing {' and '.join(PEERS)} into a temporary environment")
    subprocess.run([python, "-I", "-m", "venv", str(there)], check=True)
    pip = [str(there / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "setuptools<81", *PEERS], check=True)  # supervisor imports pkg_resources
    return there / "bin"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- what is measured -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """One way of serving: its name in the table, its command, and a part of the command line of its server."""

    name: str
    argv: tuple[str, ...]
    tls: bool
    server: str = ""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def jupyterd(python: str, port: int, *options: str) -> tuple[str, ...]:
    """The command `jupyterd run`."""
    return (python, "-I", "-m", "jupyterd", "run", "--port", str(port), *options)


def notebook(python: str, port: int, *options: str) -> tuple[str, ...]:
    """The command of stock `jupyter notebook`, on exactly this port, over plain HTTP (its default)."""
    argv = (python, "-I", "-m", "notebook", "--no-browser", f"--port={port}", "--ServerApp.port_retries=0")
    return (*argv, *options)


def supervisord(binaries: Path, there: Path, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command of supervisord in the foreground, with its defaults and autorestart=true."""
    daemon = f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={there}/pid\n"
    program = f"[program:notebook]\ncommand={' '.join(argv)}\nautorestart=true\n"
    file = there / "supervisord.conf"
    file.write_text(f"{daemon}{program}stdout_logfile=/dev/null\nstderr_logfile=/dev/null\n")
    return (str(binaries / "python"), str(binaries / "supervisord"), "-c", str(file))


def circus(binaries: Path, there: Path, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command of circusd in the foreground, with its defaults."""
    sockets = f"endpoint = ipc://{there}/circus-endpoint\npubsub_endpoint = ipc://{there}/circus-pubsub\n"
    file = there / "circus.ini"
    file.write_text(f"[circus]\n{sockets}[watcher:notebook]\ncmd = {' '.join(argv)}\ncopy_env = True\n")
    return (str(binaries / "python"), str(binaries / "circusd"), str(file))


def shell_loop(argv: tuple[str, ...]) -> tuple[str, ...]:
    """A shell loop that does what Restart=always with the default RestartSec=100ms does."""
    return ("/bin/sh", "-c", 'while :; do "$@"; sleep 0.1; done', "loop", *argv)


@contextmanager
def started(side: Side, there: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the side's process; end it cleanly after the block, and kill it if that takes too long."""
    log = there / "log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            side.argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, **account(there)
        )
    try:
        yield process
    except TimeoutError as error:
        raise SystemExit(f"{side.name}: {error}\n{log.read_text(errors='replace')[-3000:]}") from None
    finally:
        below = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            _say(f"{side.name} did not end within {STOP_S:.0f} s and was killed")
            process.kill()
            process.wait()
        for pid in below:
            _kill(pid)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def descendants(pid: int) -> tuple[int, ...]:
    """Every descendant of this process, from the parents in /proc/PID/stat."""
    children: dict[int, list[int]] = {}
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = each.read_text(errors="replace")
        except OSError:
            continue
        children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(each.parent.name))
    found: list[int] = []
    ahead = [pid]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return tuple(found)


def told(there: Path) -> dict[str, Any]:
    """The status snapshot of the jupyterd in this home; {} if there is none."""
    file = there / ".local" / "state" / "jupyterd" / "run" / "status.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def server_pid(side: Side, supervisor: int, there: Path) -> int | None:
    """The pid of the Jupyter server below the supervisor, found by its command line. jupyterd's spare server has the
    same command line, so its status snapshot says which one serves.
    """
    if serving := told(there).get("server"):
        return int(serving["pid"])
    for pid in descendants(supervisor):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if side.server in line:
            return pid
    return None


# --- requests -------------------------------------------------------------------------------------------------

UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE


def answers(port: int, *, tls: bool, timeout_s: float) -> bool:
    """Whether GET /api gives 200, on a new connection."""
    if tls:
        asked: http.client.HTTPConnection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=timeout_s, context=UNVERIFIED
        )
    else:
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        asked.request("GET", "/api")
        return asked.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


def first_answer(port: int, *, tls: bool, begun: float, alive: Callable[[], bool], every_s: float = 0.002) -> float:
    """Seconds from `begun` (monotonic) to the first 200. TimeoutError says for how long this waited."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if answers(port, tls=tls, timeout_s=START_S):
            return time.monotonic() - begun
        if not alive():
            raise TimeoutError("the process ended before it answered")
        time.sleep(every_s)
    raise TimeoutError(f"no answer for {START_S:.0f} s")


# --- figures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """Figures of one process, all threads together, since it started."""

    at: float
    cpu_ns: int
    wakeups: int


def read(pid: int) -> Reading:
    """CPU time in nanoseconds (from /proc/PID/task/TID/schedstat, as ticks of 10 ms are too coarse), and voluntary
    context switches.
    """
    cpu = wakeups = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        cpu += int((task / "schedstat").read_text().split()[0])
        wakeups += field(task / "status", "voluntary_ctxt_switches")
    return Reading(time.monotonic(), cpu, wakeups)


def field(file: Path, name: str) -> int:
    """The number after "NAME:" in a file of /proc."""
    for line in file.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"{file} has no {name}")


@dataclass(frozen=True, slots=True)
class Figure:
    """Several measurements of one quantity."""

    median: float
    least: float
    most: float
    all: tuple[float, ...]


def figure(values: Sequence[float]) -> Figure:
    """Median and spread."""
    return Figure(statistics.median(values), min(values), max(values), tuple(values))


def machine() -> dict[str, str]:
    """The machine that the figures come from."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {"cpu": cpu, "cores": str(os.cpu_count()), "kernel": platform.release(), "python": platform.python_version()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned Markdown table, for the terminal and for docs/performance.md."""
    columns = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(f"{cell:<{wide}}" for cell, wide in zip(cells, columns, strict=True)) + " |"

    return "\n".join([line(head), "|" + "|".join("-" * (wide + 2) for wide in columns) + "|", *map(line, rows)])


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a benchmark: a table, a note about how it was measured, and the single figures."""

    bench: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: dict[str, Any]


def show(result: Result, *, as_json: bool) -> None:
    """Print the table and the note, or JSON."""
    where = machine()
    if as_json:
        told = {"bench": result.bench, "machine": where, "note": result.note, "figures": result.figures}
        print(json.dumps(told, indent=1))
        return
    print(table(result.head, result.rows))
    print(f"\n{result.note}\nMachine: {where['cores']} cores, {where['cpu']}, Linux {where['kernel']}.")
