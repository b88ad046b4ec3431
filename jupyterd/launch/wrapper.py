"""The last program before a kernel or terminal: read argv and environment from a 0600 record, say who it is, become it.

Run as `python -I -S wrapper.py DIRECTORY ID`: of jupyterd shell_environment.py only, of the standard library only what
is built in.
The modules json and signal (for re and enum in them) would double what it costs each kernel's start: 16 ms, not 8.
systemd-run would expand `$` in an argv, and an environment on a command line can be read by every account.
"""

from __future__ import annotations

import _json
import _signal  # type: ignore[import-not-found]  # typeshed knows the public one
import os
import resource
import sys

_OF_THE_UNIT = {"INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "MANAGERPID", "LISTEN_FDS"}
_OOM_LEAST, _OOM_ABOVE, _OOM_MOST = 300, 100, 1000


def main() -> None:
    """Becomes the kernel; exits 127 with a sentence on standard error when that fails."""
    directory, kernel_id = sys.argv[1:3]
    record = _load(f"{directory}/{kernel_id}.json")
    env = _load(f"{directory}/{kernel_id}.env")
    if record["unit"] is None:
        os.setsid()
        _limit_open_files(record.get("open_files", 0))
    else:  # what only the user manager knows: XDG_RUNTIME_DIR, the session bus, its environment.d
        own = {name: value for name, value in os.environ.items() if name not in _OF_THE_UNIT}
        env = {**{name: value for name, value in own.items() if not name.startswith("MEMORY_PRESSURE_")}, **env}
    _be_killed_before_the_server()
    # A shell's background job ignores INT and QUIT, and Python ignores PIPE: a kernel must not inherit that.
    for number in (_signal.SIGINT, _signal.SIGQUIT, _signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    if record.get("tty"):
        _take_terminal(record["tty"])
    _tell_who(directory, kernel_id)  # before a login shell takes its time: the next server finds this kernel
    if record.get("setup"):
        env = _environment(env, record["setup"], f"{directory}/{kernel_id}.login")
    try:
        os.chdir(record["cwd"])
    except OSError as error:
        print(f"jupyterd: {error}; it starts in / instead", file=sys.stderr)  # noqa: T201 - its own log
        os.chdir("/")
    try:
        os.execvpe(record["argv"][0], record["argv"], env)  # noqa: S606 - a kernelspec's argv, no shell
    except OSError as error:
        print(f"jupyterd: cannot start {record['argv'][0]}: {error}", file=sys.stderr)  # noqa: T201
        os._exit(127)


def _environment(base: dict[str, str], setup: dict, scratch: str) -> dict[str, str]:  # type: ignore[type-arg]  # as below
    sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120 - as below
    import shell_environment  # type: ignore[import-not-found]  # noqa: PLC0415 - by path, without the package

    made = shell_environment.compute(base, setup, scratch)
    for sentence in made.told:
        print(f"jupyterd: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - its own log, or the terminal
    shell_environment.apply(made.limits)
    found: dict[str, str] = made.env
    return found


def _load(path: str) -> dict:  # type: ignore[type-arg]  # typing would be half of this program's start-up time
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib would be the other half
        scan = _json.make_scanner(_Json)  # type: ignore[arg-type]  # it reads these six names of any object
        document: dict = scan(file.read(), 0)[0]  # type: ignore[type-arg]
        return document


class _Json:
    """The attributes of json.JSONDecoder that its scanner reads."""

    strict, memo = True, None
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def _take_terminal(path: str) -> None:
    # The first terminal that a session's leader opens becomes its controlling one (open(2), O_NOCTTY); systemd and the
    # line above make this process such a leader.
    terminal = os.open(path, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(terminal, number)
    os.close(terminal)


def _be_killed_before_the_server() -> None:
    path = "/proc/self/oom_score_adj"
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            own = int(file.read())
        with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(str(min(_OOM_MOST, max(_OOM_LEAST, own + _OOM_ABOVE))))
    except OSError:
        pass  # a container may forbid it; a kernel without it is better than none


def _limit_open_files(soft: int) -> None:
    """The server has raised its own; programs that use select(2) break above 1024."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if soft and (hard == resource.RLIM_INFINITY or soft <= hard):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _tell_who(directory: str, kernel_id: str) -> None:
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        ticks = int(file.read().rpartition(")")[2].split()[19])  # field 22, proc_pid_stat(5)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
        boot = file.read().strip()
    beside = f"{directory}/{kernel_id}.pid.new"
    if os.path.lexists(beside):  # of a process that was killed; nothing is written into what is there
        os.unlink(beside)  # noqa: PTH108
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    os.write(descriptor, f'{{"pid": {os.getpid()}, "started": {ticks}, "boot": "{boot}"}}'.encode())
    os.close(descriptor)
    os.replace(beside, f"{directory}/{kernel_id}.pid")  # noqa: PTH105


if __name__ == "__main__":
    main()
