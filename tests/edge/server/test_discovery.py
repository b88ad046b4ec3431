"""Jupyter's own tools find the server and its kernels, and nothing there logs anybody in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from jupyter_client.connect import find_connection_file
from support.waiting import eventually

TOKEN = "a-lasting-token-0123456789"


def listed(served) -> list[dict[str, object]]:
    """What `jupyter server list` shows to the account."""
    environ = {"HOME": str(served.home), "PATH": os.environ["PATH"]}
    tool = Path(sys.executable).with_name("jupyter-server")
    done = subprocess.run(
        [tool, "list", "--jsonlist"], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def test_the_server_is_listed_without_a_secret_and_kernels_are_found(serve, place):
    spec = place / "home" / ".local/share/jupyter/kernels/mute"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": ["/bin/sleep", "600"], "display_name": "Mute", "language": "x"})
    )
    served = serve(login={"token": TOKEN})
    served.own(place / "home")
    served.end()
    served.start()
    runtime = place / "home" / ".local/share/jupyter/runtime"
    (found,) = eventually(lambda: listed(served), "the server is listed")
    assert found["url"] == f"https://localhost:{served.port}/"
    assert (found["token"], found["password"], found["secure"]) == ("", True, True)
    assert found["pid"] == served.process.pid and found["root_dir"] == str(place / "home")
    (file,) = runtime.glob("jpserver-*.json")
    assert file.stat().st_mode & 0o777 == 0o600 and TOKEN not in file.read_text()

    browser, mine = served.browser(), {"Authorization": f"token {TOKEN}"}
    kernel = json.loads(browser.request("POST", "/api/kernels", json.dumps({"name": "mute"}), **mine).text)["id"]
    link = Path(find_connection_file(kernel, path=[str(runtime)]))
    assert link.name == f"kernel-{kernel}.json"
    assert json.loads(link.read_text())["transport"] == "ipc"
    assert link.stat().st_mode & 0o777 == 0o600

    served.process.send_signal(signal.SIGKILL)
    served.process.wait(30)
    served.end()
    served.start()
    (found,) = eventually(lambda: [each for each in listed(served) if each["pid"] == served.process.pid])
    assert len(list(runtime.glob("jpserver-*.json"))) == 1, "that of the one that was killed is gone"
    assert link.exists(), "the next server has the same kernel"
    assert browser.request("DELETE", f"/api/kernels/{kernel}", **mine).status == 204
    eventually(lambda: not os.path.lexists(link), "the link of a kernel that has ended is gone")
    served.end()
    assert not list(runtime.glob("jpserver-*.json"))
