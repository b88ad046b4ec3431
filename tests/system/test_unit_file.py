"""What systemd reads back from the unit files that jupyterd writes: the same words, and no other directive."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Iterator

import pytest
from system.machine import ACCOUNT, Machine

from jupyterd.cli.setup.unit_files import Service, drop_in
from jupyterd.linux import unit_file

UNIT = "words.service"
HERE = f"/run/systemd/system/{UNIT}"
SOUND = "ab %$\"'\\;#=-:@~*?[]{}()|&<>!,.ä日\u0301"
TELL = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('/run/words.json', 'w'))"


def made(seed: int, alphabet: str, count: int) -> list[str]:
    """Names that somebody might give; each has one letter, so that none is only spaces."""
    chance = random.Random(seed)
    return ["".join(chance.choices(alphabet, k=9)) + "x" for _ in range(count)]


@pytest.fixture
def unit(machine: Machine) -> Iterator[Machine]:
    yield machine
    machine.run(f"rm -rf {HERE} {HERE}.d /run/words.json; systemctl daemon-reload")


def read_back(machine: Machine, interface: str, name: str, unit: str = "words") -> object:
    """One property as systemd holds it, exactly (busctl(1))."""
    path = f"/org/freedesktop/systemd1/unit/{unit}_2eservice"
    told = machine.run(
        f"busctl --json=short get-property org.freedesktop.systemd1 {path} org.freedesktop.systemd1.{interface} {name}"
    )
    return json.loads(told)["data"]


def test_systemd_reads_every_name_as_it_was_given(unit: Machine) -> None:
    words = made(1, SOUND, 40)
    paths = [f"/srv/x{each.replace('/', '')}" for each in words]
    service = Service(
        account=ACCOUNT, uid=1000, home=paths[0], port=443, paths=tuple(paths[:8]), writable=tuple(paths),
    )  # fmt: skip
    description = words[1].strip() or "x"
    lines = [
        "[Unit]", unit_file.plain("Description", description),
        "[Service]", "Type=oneshot", "RemainAfterExit=yes",
        *(unit_file.words("Environment", f"W{number}={word}") for number, word in enumerate(words)),
        unit_file.command("ExecStart", ["/usr/bin/python3", "-c", TELL, *words]),
    ]  # fmt: skip
    unit.write(HERE, unit_file.text(lines))
    unit.write(f"{HERE}.d/account.conf", drop_in(service))
    unit.run("systemctl daemon-reload")
    assert read_back(unit, "Unit", "Description") == description
    assert read_back(unit, "Unit", "RequiresMountsFor") == [paths[0]]
    assert read_back(unit, "Service", "User") == ACCOUNT
    assert read_back(unit, "Service", "ReadWritePaths") == [f"-{each}" for each in paths]
    mounts = {each for path in paths[1:8] for each in unit_file.mount_units(path)}
    assert mounts <= set(read_back(unit, "Unit", "Wants"))  # type: ignore[call-overload]
    for nothing in ("ExecStartPre", "ExecStartPost", "ExecStop", "LoadCredential"):
        assert read_back(unit, "Service", nothing) == []
    said = unit.run(f"systemd-analyze verify {UNIT}", both=True, check=False)
    assert "words.service" not in said, said
    # Once more without the sandbox's drop-in, to see what the program itself is given.
    unit.run(f"rm -r {HERE}.d; systemctl daemon-reload; systemctl start {UNIT}")
    argv, environ = json.loads(unit.run("cat /run/words.json"))
    assert argv == words
    assert [environ[f"W{number}"] for number in range(len(words))] == words


def test_a_transient_unit_has_the_words_after_a_daemon_reload_too(unit: Machine) -> None:
    words = made(2, SOUND, 20)
    # A name of its own: systemd may still hold the other one as a unit whose file it could not load.
    argv = ["systemd-run", "--quiet", "--unit=transient", "--remain-after-exit", "--service-type=oneshot"]
    program = ["/usr/bin/python3", "-c", TELL, *words]
    end = unit_file.transient(["SyslogIdentifier=words"], words[0].strip() or "x", program)
    unit.run(shlex.join([*argv, *end]))
    unit.run("systemctl daemon-reload")
    assert read_back(unit, "Unit", "Description", "transient") == (words[0].strip() or "x")
    assert read_back(unit, "Service", "ExecStartPre", "transient") == []
    assert json.loads(unit.run("cat /run/words.json"))[0] == words
    unit.run("systemctl stop transient")
