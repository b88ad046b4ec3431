"""Root types every verb over a home and a state directory that the account has made hostile, on a terminal of its own.

Seen by strace(1): what a process with root's effective uid opened, changed, removed, ran or signalled. Judged by the
account itself: whether it could have changed any part of that path.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system.machine import ACCOUNT, SOURCE, Machine
from system.service import Service

STATE, RUNTIME, VICTIM, TRACE, EVIDENCE = (
    "/var/lib/jupyterd", "/run/jupyterd", "/root/victim", "/root/trace", f"/home/{ACCOUNT}/evidence",
)  # fmt: skip
_JUDGE = Path(__file__).with_name("judge.py")
_PLANT = f"""
set -eu
mkdir -p {VICTIM}/tls {VICTIM}/kernels && cd {VICTIM} && echo '[]' >kernels/x.json
for each in 11111111-1111-1111-1111-111111111111.json login.json live.json gpu.db lock key.pem jupyterd.toml x; do
  echo '{{}}' >$each; done
install -d -m 700 -o {ACCOUNT} -g {ACCOUNT} {STATE} {RUNTIME}
su {ACCOUNT} -c '
cd {STATE}
ln -s {VICTIM} kernels; ln -s {VICTIM} terminals; ln -s {VICTIM} spool; ln -s {VICTIM}/tls tls; ln -s {VICTIM} acme
ln -s {VICTIM}/login.json login.json; mkfifo live.json; ln -s {VICTIM}/gpu.db gpu.db; ln -s {VICTIM}/lock gpu.lock
ln -s {VICTIM}/x environments.json; ln -s {VICTIM}/lock lock; ln -s {VICTIM} share; ln -s {VICTIM} jupyter
mkdir -p python/bin python/lib; cp /srv/hostile python/bin/python
cd ~
mkdir -p modules; cp /srv/hostile modules/sitecustomize.py; cp /srv/hostile modules/jupyterd.py
rm -rf .jupyter .local/share/jupyter .config/jupyterd; mkdir -p .local/share .config
ln -s {VICTIM} .jupyter; ln -s {VICTIM} .local/share/jupyter; ln -s {VICTIM} .config/jupyterd
ln -s / r; ln -s {VICTIM}/key.pem cert.pem; ln -s {VICTIM} state
'
"""
_HOSTILE = f"""#!/usr/bin/python3 -I
import fcntl, json, os, sys, termios
def terminal():
    try:
        with open("/dev/tty", "rb") as tty:
            fcntl.ioctl(tty, termios.TIOCSTI, b"#")
        return "open"
    except OSError as error:
        return error.strerror
seen = {{
    "uids": os.getresuid(), "terminal": terminal(), "environment": sorted(os.environ),
    "opened": [os.readlink(f"/proc/self/fd/{{fd}}") for fd in range(256) if os.path.lexists(f"/proc/self/fd/{{fd}}")],
    "session of": os.stat(f"/proc/{{os.getsid(0)}}").st_uid,
}}
with open("{EVIDENCE}", "a") as file:
    print(json.dumps(seen), file=file)
print("3.11")
sys.exit(1)
"""
_RECORD = {
    "format": 1, "id": "11111111-1111-1111-1111-111111111111", "name": "python3", "argv": ["sleep"], "cwd": VICTIM,
    "connection_file": f"{VICTIM}/x", "interrupt_mode": "signal", "unit": None, "created": 1.0, "limits": [],
    "open_files": 0,
}  # fmt: skip
_VERBS = f"""
jupyterd status
jupyterd doctor
jupyterd doctor --json --deep
jupyterd gpu
jupyterd gpu --since today
jupyterd kernels list
jupyterd kernels list --state /home/{ACCOUNT}/state
jupyterd kernels interrupt 1 --state {STATE}/forged
jupyterd kernels restart 1
jupyterd kernels stop --all --terminals --sampler --grace 0.1 --state {STATE}/forged
jupyterd reload
jupyterd stop
jupyterd uninstall --purge </dev/null
jupyterd token
echo 'correct horse' | jupyterd password --stdin
jupyterd password --remove
jupyterd cert show
jupyterd cert new
jupyterd cert install /home/{ACCOUNT}/cert.pem
jupyterd cert remove
jupyterd config show
jupyterd config check
jupyterd cert acme --agree-tos --domain a.example.org --email a@example.org --webroot /home/{ACCOUNT}/r
jupyterd env list
jupyterd env add /home/{ACCOUNT}/r
jupyterd env add {STATE}/python
jupyterd env default --reset
jupyterd env remove x
jupyterd env show
jupyterd kernel-env --check
SECRET=of-root PIP_CERT=/etc/ssl/certs/ca-certificates.crt jupyterd kernel-env
HOME=/home/{ACCOUNT} jupyterd status
HOME=/home/{ACCOUNT} jupyterd run
PATH=/home/{ACCOUNT}/bin:$PATH HOME=/home/{ACCOUNT} /usr/local/bin/jupyterd setup --yes --dry-run --import
jupyterd setup --yes --dry-run --certificate /home/{ACCOUNT}/cert.pem
PYTHONPATH=/home/{ACCOUNT}/modules jupyterd status
PYTHONHOME=/home/{ACCOUNT}/modules PYTHONSTARTUP=/home/{ACCOUNT}/modules/jupyterd.py jupyterd token
PYTHONPATH=/home/{ACCOUNT}/modules PYTHONUSERBASE=/home/{ACCOUNT}/modules jupyterd setup --yes --dry-run
"""
_CALLS = (
    "open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,symlink,symlinkat,link,"
    "linkat,mknod,mknodat,chmod,fchmodat,chown,lchown,fchownat,truncate,setxattr,removexattr,utimensat,execve,connect,"
    "kill,tkill,tgkill,pidfd_open,pidfd_send_signal,setuid,setresuid,setreuid,clone,clone3,fork,vfork"
)


@pytest.fixture
def hostile(service: Service) -> Iterator[Machine]:
    """The machine with a state, a home, a snapshot and a kernel's record that are traps; both name a process of root's
    and a directory of root's.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is missing: sudo apt install strace")
    machine = service.machine
    shown = json.loads(machine.run(f"cat {RUNTIME}/status.json"))
    machine.run(f"systemctl stop jupyterd && mv {STATE} {STATE}.kept && mv {RUNTIME} {RUNTIME}.kept", timeout_s=90)
    machine.write("/srv/hostile", _HOSTILE, mode=0o755)
    pid = machine.run("setsid sleep 900 >/dev/null 2>&1 </dev/null & echo $!").strip()
    started = machine.run(f"cut -d ' ' -f 22 /proc/{pid}/stat")
    machine.run(_PLANT)
    boot = machine.run("cat /proc/sys/kernel/random/boot_id").strip()
    records = {"json": _RECORD, "env": {}, "pid": {"pid": int(pid), "started": int(started), "boot": boot}}
    for suffix, record in records.items():
        machine.write(f"{STATE}/forged/kernels/{_RECORD['id']}.{suffix}", json.dumps(record), mode=0o600)
    machine.run(f"chown -R {ACCOUNT}: {STATE}/forged")
    shown |= {"supervisor": {"pid": int(pid), "started": int(started)}, "state_dir": VICTIM}
    machine.write(f"{RUNTIME}/status.json", json.dumps(shown))
    machine.run(f"chown {ACCOUNT}: {RUNTIME}/status.json && chmod 600 {RUNTIME}/status.json")
    yield machine
    machine.run(
        f"kill {pid}; rm -rf {STATE} {RUNTIME} {VICTIM} {TRACE}; mv {STATE}.kept {STATE}; mv {RUNTIME}.kept {RUNTIME};"
        f" cd /home/{ACCOUNT} && rm -rf .jupyter .local/share/jupyter .config/jupyterd r cert.pem state modules"
        " evidence"
    )


def test_no_verb_touches_as_root_what_the_account_could_change(hostile: Machine) -> None:
    facts = f"find {VICTIM} -printf '%p %U %m %T@ %C@\\n' | sort; sha256sum /etc/shadow; pgrep -x sleep"
    before = hostile.run(facts)
    found = _traced(hostile, _VERBS)
    assert found.pop("found") == []
    assert found["root"] > 1000 and found["account"] > 500 and found["processes"] > 50, found  # it looked
    assert hostile.run(facts) == before
    _was_alone(hostile)


def _was_alone(machine: Machine) -> None:
    """What the account's program has found about itself."""
    seen = [json.loads(line) for line in machine.run(f"cat {EVIDENCE}").splitlines()]
    uid = int(machine.run(f"id -u {ACCOUNT}"))
    assert seen, "a program of the account's has to have run"
    for each in seen:
        assert (each["uids"], each["session of"], each["terminal"]) == ([uid] * 3, uid, "No such device or address")
        assert all(place.startswith(("pipe:", "/dev/null", f"/home/{ACCOUNT}/")) for place in each["opened"]), each
        assert {*each["environment"]} <= {
            "HOME", "LANG", "LC_CTYPE", "LOGNAME", "PATH", "PIP_CERT", "PIP_FIND_LINKS", "PIP_NO_INDEX",
            "SSL_CERT_FILE", "TERM", "USER", "XDG_RUNTIME_DIR", "COLUMNS", "JUPYTERD_MODE", "JUPYTERD_STATE_DIR",
            "JUPYTERD_RUNTIME_DIR", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "UV_FIND_LINKS", "UV_NO_INDEX",
        }  # fmt: skip


_CONFIGURATION = """
exec(open('/srv/hostile').read().partition(chr(10))[2])
c = get_config()
c.NotebookApp.port = 8888
"""
_LAY = f"""
set -eu
mkdir -p ~/.jupyter ~/bin {STATE}/other/bin
for each in bash getent id python3 uv systemctl journalctl loginctl jupyterd; do cp /srv/hostile ~/bin/$each; done
cp /srv/hostile ~/bin/sitecustomize.py
ln -s / ~/r; ln -s {STATE} ~/s
cp /srv/hostile {STATE}/other/bin/python; mv {STATE}/python {STATE}/python.kept; mv {STATE}/other {STATE}/python
"""
_TAKE_AWAY = f"""
cd /home/{ACCOUNT} && rm -rf r s bin .jupyter evidence
cd {STATE} && rm -rf python tls/authority.pem tls/local.pem && mv python.kept python
"""
_INSTALL = f"""
export HOME=/home/{ACCOUNT} PATH=/home/{ACCOUNT}/bin:$PATH
export PYTHONPATH=/home/{ACCOUNT}/bin BASH_ENV=/home/{ACCOUNT}/bin/id
{SOURCE}/install --yes --account {ACCOUNT} --import --certificate authority
"""
"""As sudo without env_reset and secure_path leaves it (sudoers(5))."""


def test_install_does_not_either(service: Service) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is missing: sudo apt install strace")
    machine = service.machine
    machine.write("/srv/hostile", _HOSTILE, mode=0o755)
    machine.run(_LAY, account=ACCOUNT)
    machine.write(f"/home/{ACCOUNT}/.jupyter/jupyter_notebook_config.py", _CONFIGURATION)
    try:
        found = _traced(machine, _INSTALL)
        _was_alone(machine)
    finally:
        machine.run(_TAKE_AWAY)
    assert found.pop("found") == []
    assert found["root"] > 1000 and found["account"] > 500 and found["processes"] > 50, found
    assert service.is_active()


def _traced(machine: Machine, script: str) -> dict[str, Any]:
    """What the judge says of the script, which root runs on a terminal."""
    machine.write("/root/verbs.sh", f"set +e\ncd /root\n{script}")
    machine.write("/root/judge.py", _JUDGE.read_text())
    strace = f"strace -ff --seccomp-bpf -qq -y -s 4096 -e trace={_CALLS} -o {TRACE}/t sh /root/verbs.sh"
    said = machine.run(
        f"rm -rf {TRACE}; mkdir -p {TRACE}; script -qec {shlex.quote(strace)} /dev/null", timeout_s=240, check=False
    )
    assert "Traceback" not in said, said
    judged = machine.run(f"python3 -I /root/judge.py {TRACE} {ACCOUNT}", timeout_s=240)
    found: dict[str, Any] = json.loads(judged)
    return found
