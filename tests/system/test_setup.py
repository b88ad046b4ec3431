"""`jupyterd setup` on a real systemd: for the machine's service, for an account's own, and from an old Jupyter."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import time

import pytest
from system.client import log_in
from system.machine import ACCOUNT, Machine
from system.service import SETTINGS, Service

PASSWORD = "correct horse battery"
NOTHING = "Nothing to change"
MARKS = f"stat -c '%n %i %y %a %U' {SETTINGS} /var/lib/jupyterd/login.json /etc/systemd/system/jupyterd.service.d/*"


def test_answers_as_options_are_shown_done_and_done_once(service: Service) -> None:
    machine = service.machine
    machine.run(f"sed -i 's/^#log_every_s = .*/log_every_s = 90.0 # mine/' {SETTINGS}")
    before = machine.run(f"cat {SETTINGS}")
    setup = f"echo '{PASSWORD}' | jupyterd setup --yes --password-stdin --ip '127.0.0.1, ::1' --port 9321 2>&1"
    said = machine.run(setup, timeout_s=120)
    assert 'server] ip = ["127.0.0.1", "::1"]   (now ["*"])' in said
    assert PASSWORD not in said
    after = machine.run(f"cat {SETTINGS}")
    changed = [b for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert changed == ['ip = ["127.0.0.1", "::1"]', "port = 9321"]
    assert log_in(machine, PASSWORD, port=9321) == 302
    marks, server = machine.run(MARKS), service.pids()["server"]
    assert NOTHING in machine.run(setup, timeout_s=120)
    assert machine.run(MARKS) == marks
    assert service.pids()["server"] == server


def test_what_the_settings_refuse_is_taken_back(service: Service) -> None:
    machine = service.machine
    facts = f"stat -c '%a %U %G' {SETTINGS}; cat {SETTINGS}"
    before = machine.run(facts)
    for options in (
        "--port 0",
        "--ip everywhere",
        "--certificate /nothing.pem",
        "--certificate acme",
        "--import /none",
    ):
        done = machine.attempt(f"jupyterd setup --yes {options}")
        assert done.returncode == 2, (options, done.stderr)
        assert "Traceback" not in done.stderr
    machine.write("/etc/jupyter-of-old.json", json.dumps({"NotebookApp": {"notebook_dir": "/root/notebooks"}}))
    done = machine.attempt("jupyterd setup --yes --import /etc/jupyter-of-old.json")
    assert done.returncode == 78, done.stderr
    assert "server.root_dir /root/notebooks cannot be read" in done.stderr
    assert machine.run(facts) == before
    assert service.is_active()


def test_an_old_jupyter_is_taken_over_as_its_account_and_its_old_password_logs_in(service: Service) -> None:
    machine = service.machine
    machine.run("rm -f /var/lib/jupyterd/login.json")
    old = "sha1:8c1ab4bd1f6b:" + hashlib.sha1(f"{PASSWORD}8c1ab4bd1f6b".encode()).hexdigest()  # noqa: S324 - theirs
    program = (
        "import os\nopen(os.path.expanduser('~/evaluated'), 'w').write(str(os.getresuid()))\n"
        f"c = get_config()\nc.NotebookApp.port = 9000 + 222\nc.NotebookApp.password = '{old}'\n"
        "c.NotebookApp.open_browser = False\nc.NotebookApp.notebook_dir = os.path.expanduser('~/nb')\n"
        "c.NotebookApp.prot = 1\nc.NotebookApp.allow_root = True\n"
    )
    machine.run("mkdir -p ~/nb ~/.jupyter", account=ACCOUNT)
    machine.write(f"/home/{ACCOUNT}/.jupyter/jupyter_notebook_config.py", program)
    machine.write(f"/home/{ACCOUNT}/.jupyter/jupyter_notebook_config.json", '{"NotebookApp": {"port": 9333}}')
    said = machine.run("jupyterd setup --yes --import 2>&1", timeout_s=120)
    try:
        assert old not in said and "sha1" not in said
        assert "[server] port = 9333   (now 8888)" in said
        for words in (
            "NotebookApp.port says 9333, which goes before 9222 of ", "open_browser is left out: a daemon opens no",
            "NotebookApp.prot has no setting here", "NotebookApp.allow_root is ignored: alice is not root",
        ):  # fmt: skip
            assert words in said, said
        uid = machine.run(f"id -u {ACCOUNT}").strip()
        assert machine.run(f"cat /home/{ACCOUNT}/evaluated") == f"({uid}, {uid}, {uid})"
        assert log_in(machine, "wrong", port=9333) == 401
        assert log_in(machine, PASSWORD, port=9333) == 302
        assert f'ReadWritePaths="-/home/{ACCOUNT}/nb"' in machine.run("systemctl cat jupyterd")
        assert NOTHING in machine.run("jupyterd setup --yes --import 2>&1", timeout_s=120)
    finally:
        machine.run(f"rm -rf /home/{ACCOUNT}/.jupyter/jupyter_notebook_config.* /home/{ACCOUNT}/evaluated")
        machine.write(SETTINGS, service.pristine, mode=0o640, group=ACCOUNT)  # and the unit back to that root_dir
        machine.run("rm -f /var/lib/jupyterd/login.json; jupyterd setup --yes 2>&1", timeout_s=120)


@pytest.fixture
def bob(service: Service):
    """An account with a user manager, and the service that is another's beside it."""
    machine = service.machine
    machine.run("getent passwd bob || useradd --create-home --shell /bin/bash bob; loginctl enable-linger bob")
    machine.run(
        "for i in $(seq 100); do [ -S /run/user/$(id -u bob)/systemd/private ] && exit; sleep 0.2; done; exit 1"
    )
    own = '# of bob\n[server]\nport = 9555\n[kernels]\nenvironment = "/opt/jupyterd/current"\n'
    machine.run(f"mkdir -p ~/.config/jupyterd && printf '{own}' >~/.config/jupyterd/jupyterd.toml", account="bob")
    yield machine
    machine.run("systemctl --user disable --now jupyterd", account="bob", timeout_s=90)
    machine.run("loginctl disable-linger bob")


def test_an_ordinary_account_has_one_of_its_own(bob: Machine) -> None:
    setup = f"echo '{PASSWORD}' | jupyterd setup --yes --password-stdin --certificate authority 2>&1"
    said = bob.run(setup, account="bob", timeout_s=180)
    assert "https://localhost:9555/" in said
    assert bob.run("systemctl --user is-active jupyterd", account="bob").strip() == "active"
    assert log_in(bob, PASSWORD, port=9555) == 302
    assert bob.run("cat ~/.config/jupyterd/jupyterd.toml", account="bob").startswith("# of bob\n[server]\nport = 9555")
    assert bob.run("stat -c %a ~bob/.local/state/jupyterd ~bob/.local/state/jupyterd/login.json").split() == [
        "700",
        "600",
    ]
    pid = bob.run("systemctl --user show -P MainPID jupyterd", account="bob")
    assert NOTHING in bob.run(setup, account="bob", timeout_s=120)
    assert bob.run("systemctl --user show -P MainPID jupyterd", account="bob") == pid
    assert bob.run("systemctl --user reload jupyterd", account="bob") == ""
    told = json.loads(bob.run("jupyterd status --json", account="bob"))
    assert told["state"] == "serving" and told["account"] == "bob"
    for forbidden in ("setup --yes --account root", "cert new --system"):
        assert bob.attempt(f"jupyterd {forbidden}", account="bob").returncode != 0
    done = bob.attempt("jupyterd setup --yes --port 9444", account=ACCOUNT)
    assert (done.returncode, "sudo jupyterd setup" in done.stderr) == (2, True)


def test_the_questions_at_a_terminal(service: Service) -> None:
    said = _typed(
        service.machine,
        "jupyterd setup",
        [
            ("Password of the login page", "short"), ("at least 8", None), ("Password", PASSWORD),
            ("Repeat the password", "another one"), ("The two passwords differ", None), ("Password", PASSWORD),
            ("Repeat the password", PASSWORD), ("Addresses to listen on", "everywhere"),
            ('server.ip is "everywhere"', None), ("Addresses", "localhost"), ("Port", ""), ("Which", "1"),
            ("Continue?", "y"),
        ],
    )  # fmt: skip
    assert PASSWORD not in said and "another one" not in said
    assert 'ip = ["localhost"]   (now ["*"])' in said
    assert "Log in with your password" in said
    assert log_in(service.machine, PASSWORD) == 302
    refused = _typed(
        service.machine, "jupyterd setup --token --ip '*'", [("Port", ""), ("Which", ""), ("Continue?", "n")]
    )
    assert "nothing was changed" in refused


def _typed(machine: Machine, command: str, talk: list[tuple[str, str | None]]) -> str:
    """What the terminal shows; each answer is typed when its question is there."""
    pid, terminal = pty.fork()
    if pid == 0:
        argv = ["nsenter", "--target", str(machine.leader), "--all", "env", "-i", "HOME=/root", "TERM=dumb"]
        argv += ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "sh", "-c", command]
        os.execvp("nsenter", argv)  # noqa: S606
    shown, seen, deadline = "", 0, time.monotonic() + 120
    try:
        for question, answer in [*talk, ("", None)]:
            while not question or question not in shown[seen:]:
                assert select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0], shown
                try:
                    shown += os.read(terminal, 65536).decode(errors="replace")
                except OSError:  # EIO: it has ended
                    assert not question, shown
                    return re.sub(r"\r\n", "\n", shown)
            seen = shown.index(question, seen) + len(question)
            if answer is not None:
                os.write(terminal, answer.encode() + b"\n")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    raise AssertionError(shown)
