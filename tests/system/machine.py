"""A throw-away machine with a real systemd: systemd-nspawn over an overlay of this machine's `/`, no network but lo.

Everything it leaves is one directory: its mounts live in a mount namespace of its own and end with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.waiting import eventually

ACCOUNT = "alice"
WHEELS = "/srv/wheels"
SOURCE = "/srv/jupyterd"
_BOOT_S = 90.0
_REBOOT = 133
"""systemd-nspawn(1) with --keep-unit: the machine wants to be started again."""
_PREPARE_AND_BOOT = """
set -eu
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$HERE/upper,workdir=$HERE/work" "$HERE/root"
cd "$HERE/root"
if ! [ -e "$HERE/prepared" ]; then
# What the host has switched on is none of the test's business, and its journal is not the machine's.
rm -rf etc/systemd/system/*.wants etc/systemd/system/jupyterd* opt/jupyterd etc/jupyterd var/lib/jupyterd
rm -rf var/log/journal
mkdir -p var/log/journal
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
echo machine >etc/hostname
grep -q ' machine' etc/hosts || echo '127.0.1.1 machine' >>etc/hosts
rm -f var/lib/dbus/machine-id
touch "$HERE/prepared"
fi
cd /
# systemd-nspawn --keep-unit puts the machine below the cgroup it is started in: two machines must not share one.
# Its own systemd then sees one unified hierarchy, as Debian has it.
while IFS=: read -r number name path; do
  case $number:$name in
    0:) tree=/sys/fs/cgroup/unified ;;
    *:name=systemd) tree=/sys/fs/cgroup/systemd ;;
    *) continue ;;
  esac
  [ -e "$tree/cgroup.procs" ] || tree=/sys/fs/cgroup
  mkdir -p "$tree$path/$NAME" && echo $$ >"$tree$path/$NAME/cgroup.procs"
  echo "$tree$path/$NAME" >>"$HERE/cgroups"
done <"/proc/$$/cgroup"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --directory="$HERE/root" --boot --register=no --keep-unit --private-network \\
  --machine=machine --resolv-conf=off --bind-ro="$CACHE:/srv/wheels" $BINDS </dev/null
"""


@dataclass(slots=True)
class Machine:
    """`here` holds upper, work, root and the console's log; `lower` is what the machine is a copy of."""

    here: Path
    wheels: Path
    lower: Path = Path("/")
    binds: tuple[Path, ...] = ()
    """Of this machine, under the same names, read-only; none with a space in it."""
    nspawn: subprocess.Popen[bytes] | None = field(default=None)

    def boot(self) -> None:
        """Returns when systemd is up ("running" or "degraded")."""
        for name in ("upper", "work", "root"):
            (self.here / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        given = {"LOWER": str(self.lower), "HERE": str(self.here), "CACHE": str(self.wheels), "NAME": self.here.name}
        given["BINDS"] = " ".join(f"--bind-ro={each}" for each in self.binds)
        # Dies with the tests, whatever ends them (prctl(2), PR_SET_PDEATHSIG), and its leader with it.
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
        with (self.here / "console").open("ab") as console:
            self.nspawn = subprocess.Popen(
                [*argv, "sh", "-c", _PREPARE_AND_BOOT], env=os.environ | given, stdout=console, stderr=console
            )
        try:
            eventually(self._is_up, "the machine's boot", _BOOT_S, every_s=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console()}") from None

    def reboot(self) -> None:
        """From inside, as a person would. Returns when it is up again."""
        self.attempt("systemctl reboot")
        assert self.nspawn is not None
        code = self.nspawn.wait(_BOOT_S)
        assert code == _REBOOT, f"systemd-nspawn ended with {code}\n{self.console()}"
        self.boot()

    def console(self) -> str:
        """What the machine wrote on its console."""
        return (self.here / "console").read_text(errors="replace")[-4000:]

    def _is_up(self) -> bool:
        if self.nspawn is not None and self.nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended with {self.nspawn.returncode}")
        try:
            return self.run("systemctl is-system-running", check=False).strip() in {"running", "degraded"}
        except (OSError, subprocess.TimeoutExpired):
            return False

    @property
    def leader(self) -> int:
        """The machine's PID 1 as this machine counts."""
        assert self.nspawn is not None
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        if not children:
            raise ProcessLookupError("the machine has no PID 1 now")
        return int(children[0])

    def _cgroup(self) -> Path:
        """Of the machine's PID 1, in the unified hierarchy."""
        lines = Path(f"/proc/{self.leader}/cgroup").read_text().splitlines()
        own = next(line.removeprefix("0::/") for line in lines if line.startswith("0::"))
        tree = Path("/sys/fs/cgroup/unified")
        return (tree if tree.is_dir() else tree.parent) / own

    def run(
        self, script: str, *, account: str = "root", check: bool = True, timeout_s: float = 60.0, both: bool = False
    ) -> str:
        """Standard output of a shell script in the machine, with standard error if `both`."""
        done = self.attempt(script, account=account, timeout_s=timeout_s)
        if check and done.returncode != 0:
            raise AssertionError(f"{script!r} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + (done.stderr if both else "")

    def attempt(
        self, script: str, *, account: str = "root", timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """The same with its exit status, whatever it is."""
        # Among the machine's own processes: its logind does not talk to anybody outside of its cgroups.
        enter = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self._cgroup())]
        enter += ["nsenter", "--target", str(self.leader), "--all", "env", "-i", "-C", "/"]
        enter += ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        enter += ["PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELS}"]
        if account == "root":
            enter += ["HOME=/root", "sh", "-c", script]
        else:
            told = (
                f'export HOME=$(getent passwd {account} | cut -d: -f6) XDG_RUNTIME_DIR=/run/user/$(id -u); cd "$HOME"\n'
            )
            enter += ["runuser", "-u", account, "--", "sh", "-c", told + script]
        return subprocess.run(
            enter,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def write(self, path: str, text: str, *, mode: int = 0o644, group: str = "root") -> None:
        """A file in the machine, owned by root."""
        quoted = shlex.quote(path)
        self.run(
            f"mkdir -p $(dirname {quoted}) && printf %s {shlex.quote(text)} >{quoted}.new &&"
            f" chmod {mode:o} {quoted}.new && chgrp {group} {quoted}.new && mv {quoted}.new {quoted}"
        )

    def power_off(self) -> None:
        """Kills the machine and forgets its disk."""
        if self.nspawn is not None:
            with suppress(OSError):
                os.kill(self.leader, signal.SIGKILL)
            try:
                self.nspawn.wait(10)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait(10)
        forget(self.here)


def forget(here: Path) -> None:
    """Removes what a machine that is gone has left: its directory and its cgroups."""
    with suppress(FileNotFoundError):
        for cgroup in set((here / "cgroups").read_text().split()):
            for each in sorted((Path(cgroup), *Path(cgroup).rglob("*/")), reverse=True):
                with suppress(OSError):
                    each.rmdir()
    shutil.rmtree(here, ignore_errors=True)
