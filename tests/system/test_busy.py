"""A restart while a save is under way: systemd is asked for more time, the save is on disk, and people are told."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import TOKEN, UNIT, Service

HOME = f"/home/{ACCOUNT}/slow"
STOP_S = 10.0
CONFIGURATION = f"""
import os, time
def hook(model, path, contents_manager, **_):
    open({HOME!r} + "/begun", "w").close()
    while not os.path.exists({HOME!r} + "/go"):
        time.sleep(0.1)
c.ContentsManager.pre_save_hook = hook
"""
DROP_IN = f"[Service]\nTimeoutStopSec={STOP_S:.0f}\n"
NOTEBOOK = {"type": "notebook", "content": {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}}


@pytest.fixture
def slow(service: Service) -> Iterator[Service]:
    """The service with saves that wait for a file, and little time for a stop."""
    machine = service.machine
    machine.run(f"mkdir -p {HOME}", account=ACCOUNT)
    machine.write(f"{HOME}/jupyter_server_config.py", CONFIGURATION)
    machine.write(f"/etc/systemd/system/{UNIT}.d/test-stop.conf", DROP_IN)
    service.settings(f'[server]\njupyter_config_dir = "{HOME}"\n[supervision]\nstop_timeout_s = 2\n')
    machine.run(f"systemctl daemon-reload; systemctl restart {UNIT}", timeout_s=120)
    yield service
    machine.run(f"touch {HOME}/go", account=ACCOUNT)
    service.settings("")
    machine.run(f"rm -f /etc/systemd/system/{UNIT}.d/test-stop.conf; systemctl daemon-reload")
    service.wait_active(120)
    machine.run(f"rm -rf {HOME} /home/{ACCOUNT}/kept.ipynb")


def test_a_restart_finishes_a_save_beyond_the_time_that_the_unit_gives(slow: Service) -> None:
    machine, since = slow.machine, slow.now_usec()
    answers: list[subprocess.CompletedProcess[str]] = []
    save = (
        f"printf 'header = \"Authorization: token {TOKEN}\"' | curl --config - --insecure --silent --max-time 200"
        f" --request PUT --data {shlex.quote(json.dumps(NOTEBOOK))} --write-out '%{{http_code}}' --output /dev/null"
        " https://localhost:8888/api/contents/kept.ipynb"
    )
    saving = threading.Thread(target=lambda: answers.append(machine.attempt(save, timeout_s=240)), daemon=True)
    saving.start()
    eventually(lambda: machine.attempt(f"test -e {HOME}/begun").returncode == 0, "the save has begun", 60)
    machine.run(f"systemctl restart --no-block {UNIT}")
    began = time.monotonic()
    slow.wait_text("Stopping: the server is busy with PUT /api/contents/kept.ipynb", 60)
    eventually(lambda: time.monotonic() > began + 2 * STOP_S, "systemd would have killed it", 60)
    assert slow.show("ActiveState") == "deactivating" and not answers
    machine.run(f"touch {HOME}/go", account=ACCOUNT)
    saving.join(120)
    assert answers and answers[0].stdout == "201", answers
    slow.wait_active(120)
    saved = next(iter(machine.run(f"find /home/{ACCOUNT} -name kept.ipynb").splitlines()))
    assert json.loads(machine.run(f"cat {saved}"))["nbformat"] == 4
    told = [each["MESSAGE"] for each in slow.events("server-busy", since)]
    assert any("PUT /api/contents/kept.ipynb" in each for each in told), told
    assert not slow.events("server-cut", since)
    assert slow.show("NRestarts") == "0", "nothing failed"
