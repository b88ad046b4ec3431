"""jupyterd.service inside the machine: what a test does to it, and what systemd and the journal then say."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from support.waiting import eventually
from system.machine import ACCOUNT, SOURCE, Machine

TOKEN = "made-up-token-for-programs-0123456789"
SETTINGS = "/etc/jupyterd/jupyterd.toml"
DROP_INS = "/etc/jupyterd/jupyterd.toml.d"
UNIT = "jupyterd.service"


@dataclass(slots=True)
class Service:
    """`machine` has or will have it."""

    machine: Machine
    pristine: str = ""
    """The settings file as ./install wrote it."""

    def install(self, *more: str, environ: str = "") -> str:
        """./install; what it printed. `environ`: NAME=VALUE."""
        said = self.machine.run(
            f"{environ} {SOURCE}/install --yes --account {ACCOUNT} {shlex.join(more)} 2>&1", timeout_s=400, both=True
        )
        if not self.pristine:
            self.pristine = self.machine.run(f"cat {SETTINGS}")
        return said

    def reset(self) -> None:
        """Back to the settings of the install plus a token for programs, and serving, with no kernels."""
        self.machine.run(f"rm -rf {DROP_INS}/* /etc/systemd/system/jupyterd.service.d/test-*.conf")
        self.machine.write(SETTINGS, self.pristine, mode=0o640, group=ACCOUNT)
        self.settings(f'[login]\ntoken = "{TOKEN}"\n', name="token")
        self.machine.run(
            f"systemctl daemon-reload; systemctl stop {UNIT}; systemctl reset-failed {UNIT}; systemctl start {UNIT}",
            timeout_s=120,
        )

    def settings(self, text: str, name: str = "test") -> None:
        """One drop-in for the settings; "" takes it away."""
        path = f"{DROP_INS}/{name}.toml"
        if text:
            self.machine.write(path, text, mode=0o640, group=ACCOUNT)
        else:
            self.machine.run(f"rm -f {path}")

    def show(self, name: str) -> str:
        """One property of the unit."""
        return self.machine.run(f"systemctl show --property={name} --value {UNIT}").strip()

    def is_active(self) -> bool:
        return self.show("ActiveState") == "active"

    def wait_active(self, deadline_s: float = 60.0) -> None:
        eventually(self.is_active, "the unit is active", deadline_s)

    def wait_text(self, word: str, deadline_s: float = 30.0) -> str:
        """Until STATUS= contains `word` (a regular expression)."""

        def text() -> str:
            now = self.show("StatusText")
            return now if re.search(word, now) else ""

        return eventually(text, f"a status line with {word!r} (now: {self.show('StatusText')!r})", deadline_s)

    def pids(self) -> dict[str, int]:
        """server, supervisor and, where there is one, sampler: from `jupyterd status --json`."""
        status = self.status()
        return {name: status[name]["pid"] for name in ("supervisor", "server", "sampler") if status.get(name)}

    def status(self) -> dict[str, Any]:
        """`jupyterd status --json` as root."""
        document: dict[str, Any] = json.loads(self.machine.attempt("jupyterd status --json").stdout)
        return document

    def wait_server(self, other_than: int, deadline_s: float = 30.0) -> int:
        """Until a new server serves; its pid."""

        def new() -> int:
            status = self.status()
            pid = (status.get("server") or {}).get("pid", 0)
            return pid if status.get("state") == "serving" and pid != other_than else 0

        return eventually(new, "another server that serves", deadline_s)

    def http(self, path: str, *, method: str = "GET", port: int = 8888, body: object = None, token: str = TOKEN) -> int:
        """The HTTP status over TLS; 0 where nothing answered."""
        return self.request(path, method=method, port=port, body=body, token=token)[0]

    def request(
        self, path: str, *, method: str = "GET", port: int = 8888, body: object = None, token: str = TOKEN
    ) -> tuple[int, str]:
        """HTTP status and body. The token goes in by a file: argv is public."""
        data = "" if body is None else f"--data {shlex.quote(json.dumps(body))}"
        done = self.machine.attempt(
            f"printf 'header = \"Authorization: token {token}\"' |"
            f" curl --config - --insecure --silent --max-time 20 --request {method} {data}"
            f" --write-out '\\n%{{http_code}}' https://localhost:{port}{path}"
        )
        answer, _, code = done.stdout.rpartition("\n")
        return int(code or 0), answer

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Records of this boot as `journalctl -o json` gives them."""
        out = self.machine.run(f"journalctl --boot --output json --no-pager {shlex.join(matches)}")
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def events(self, event: str, since_usec: int = 0) -> list[dict[str, Any]]:
        """The supervisor's records of one kind."""
        found = self.journal(f"--unit={UNIT}", f"JUPYTERD_EVENT={event}")
        return [each for each in found if int(each["__REALTIME_TIMESTAMP"]) >= since_usec]

    def now_usec(self) -> int:
        return int(self.machine.run("date +%s%6N"))

    def start_kernel(self, port: int = 8888) -> str:
        """Over the REST API; its id."""
        code, answer = self.request("/api/kernels", method="POST", body={"name": "python3"}, port=port)
        assert code == 201, answer
        kernel: str = json.loads(answer)["id"]
        return kernel

    def evaluate(self, kernel: str, code: str) -> str:
        """Runs code in the kernel over its own connection file, as the account; what it wrote to standard output."""
        script = _EVALUATE.format(kernel=kernel, code=code)
        said = self.machine.run(
            f"/opt/jupyterd/current/bin/python -I -c {shlex.quote(script)}", account=ACCOUNT, timeout_s=90
        )
        return said.strip()

    def kernel_ids(self) -> list[str]:
        """Of the kernels that the server has, over the REST API."""
        return [each["id"] for each in json.loads(self.request("/api/kernels")[1])]

    def kernel_pids(self) -> list[int]:
        """Of every kernel process in the machine."""
        return [int(pid) for pid in self.machine.run("pgrep -f '[i]pykernel_launcher'", check=False).split()]


_EVALUATE = """
import glob, sys
from jupyter_client.blocking import BlockingKernelClient
(file,) = glob.glob("/run/jupyterd/k/*{kernel}*.json")
client = BlockingKernelClient(connection_file=file)
client.load_connection_file()
client.start_channels()
client.wait_for_ready(timeout=60)
def show(message):
    if message["msg_type"] == "stream":
        sys.stdout.write(message["content"]["text"])
    if message["msg_type"] == "error":
        sys.exit(message["content"]["evalue"])
client.execute_interactive({code!r}, timeout=60, output_hook=show)
client.stop_channels()
"""
