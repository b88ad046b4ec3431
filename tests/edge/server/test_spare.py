"""A spare imports everything, waits, and serves at "go" with the settings of that moment."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from jupyterd.protocol import server_channel


@pytest.fixture
def warm(prepare: Callable[..., Any]) -> Any:
    served = prepare()
    served.start(wait=False, spare=True)
    served.hear(server_channel.Imported)
    return served


def test_it_serves_with_the_settings_of_the_moment_in_which_it_is_needed(warm: Any) -> None:
    server = attrs.evolve(warm.settings.server, base_url="/later/")
    warm.settings = attrs.evolve(warm.settings, server=server)
    warm.write()
    warm.go()
    assert warm.browser().get("/later/api").status == 200
    assert warm.end() == 0


def test_it_ends_with_its_supervisor(warm: Any) -> None:
    warm.link.close()
    assert warm.process.wait(10) == 0


def test_it_ends_when_it_is_told_to(warm: Any) -> None:
    assert warm.end() == 0


def test_it_is_made_anew_when_a_package_is_installed_while_it_waits(warm: Any) -> None:
    pid = warm.process.pid
    installed = Path(sysconfig.get_path("purelib")) / f"made_up-{os.getpid()}.dist-info"
    installed.mkdir()
    try:
        warm.hear(server_channel.Imported)  # once more
    finally:
        installed.rmdir()
    assert server_channel.SPARE.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    warm.go()
    assert warm.browser().get("/api").status == 200
    assert warm.process.pid == pid
    assert warm.end() == 0


def test_it_executes_its_program_again_when_a_package_has_changed_under_it(warm: Any) -> None:
    stat = Path(f"/proc/{warm.process.pid}/stat")
    before = stack(stat.read_text())
    os.utime(sysconfig.get_path("purelib"))  # what every installation does to it
    warm.go()
    assert warm.browser().get("/api").status == 200
    assert stack(stat.read_text()) != before, "it is still the program that was loaded before"
    assert warm.end() == 0


def stack(stat: str) -> str:
    """Where the stack begins: another address after each execve(2) (startstack in proc_pid_stat(5))."""
    return stat.rpartition(")")[2].split()[25]
