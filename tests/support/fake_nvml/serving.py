"""`jupyterd run` of an ordinary account beside a fake driver that lies in its home."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from support import fake_nvml
from support.served import UID, Served

TOKEN = "a-lasting-token-for-this-test"


class WithGpu(Served):
    """`jupyterd run` of an ordinary account beside a fake driver in its home."""

    def account(self) -> dict[str, Any]:
        own = super().account()
        driver = fake_nvml.environment(self.home / "driver")
        return {**own, "env": {**own["env"], "JUPYTERD_LOGIN_TOKEN": TOKEN, **driver}}

    def ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        assert answer.status < 400, text
        return json.loads(text) if text else None

    def notebook(self, name: str) -> str:
        """Open it, as a tab would; its kernel's id."""
        asked = {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
        return str(self.ask("POST", "/api/sessions", asked)["kernel"]["id"])

    def pid(self, kernel: str) -> int:
        every = json.loads(self.verb("kernels", "list", "--json").stdout)
        return next(int(each["pid"]) for each in every if each["id"] == kernel)

    def driver_says(self, processes: str, utilisation: int = 0) -> None:
        own = fake_nvml.gpu(0, processes=processes, process_util="", utilisation=utilisation, samples=utilisation)
        fake_nvml.write(self.home / "driver", {"count": 1, **own})


@contextmanager
def served_with_gpu(*options: str, gpus: int = 1) -> Iterator[WithGpu]:
    """Over plain HTTP, with GPUs that are asked each second."""
    fake_nvml.need_compiler()
    home = Path(tempfile.mkdtemp(prefix="jupyterd-gpu-"))
    fake_nvml.build(home / "driver")
    lines = {name: value for index in range(gpus) for name, value in fake_nvml.gpu(index).items()}
    fake_nvml.write(home / "driver", {"count": gpus, **lines})
    if os.geteuid() == 0:
        for each in (home, *home.rglob("*")):
            os.chown(each, UID, UID)
    asked = ("--gpu-sample-every", "1", "--gpu-details-every", "1", "--gpu-log-every", "1", "--gpu-history-every", "2")
    here = WithGpu(home, "--no-tls", "--kernels-environment", sys.prefix, *asked, *options)
    try:
        yield here
    finally:
        here.stop()
        shutil.rmtree(home, ignore_errors=True)
