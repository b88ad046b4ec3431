"""What systemd's own tools print."""

from __future__ import annotations

import pytest

from jupyterd.linux import systemd
from jupyterd.linux.systemd import Unit


def test_properties() -> None:
    assert systemd.properties("A=1\nB=x=y\n\nnoise\n") == {"A": "1", "B": "x=y"}


JOBS = """  17 jupyterd.service              restart running
  18 other.service                 stop    waiting
"""


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("jupyterd.service", "restart"), ("other.service", "stop"), ("third.service", "unknown"), ("jupyterd", "unknown")],
)
def test_stop_or_restart(unit, expected):
    assert systemd.verdict(JOBS, unit) == expected
    assert systemd.verdict("", unit) == "unknown"
    assert systemd.verdict("No jobs running.\n", unit) == "unknown"


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        ("0::/system.slice/jupyterd.service\n", Unit("jupyterd.service", of_user=False)),
        ("12:pids:/x\n1:name=systemd:/system.slice/jupyterd.service\n", Unit("jupyterd.service", of_user=False)),
        (
            "0::/user.slice/user-7.slice/user@7.service/app.slice/jupyterd.service\n",
            Unit("jupyterd.service", of_user=True),
        ),
        ("0::/user.slice/user-7.slice/session-3.scope\n", None),
        ("0::/\n", None),
        ("0::/system.slice/docker-abc.scope\n", None),
        ("0::/user.slice/user-7.slice/user@7.service\n", None),
    ],
)
def test_which_unit_this_is(cgroup, expected):
    assert systemd.own_unit(cgroup) == expected
