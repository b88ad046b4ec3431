"""Same kernel, same session, same variables, whatever happens to the server; and Jupyter's deeds work on it as ever."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest
from support.waiting import eventually
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from jupyterd.launch import user_manager


def adopted(place, notebook, signum=signal.SIGKILL, *options):
    """A session whose kernel, with x = 41, has seen one server go and another come."""
    first = place.serve(*options)
    session, kernel = first.new_session()
    notebook(kernel).run("x = 41")
    first.end(signum)
    return place.serve(*options), session, kernel


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_id_session_and_variables_survive_the_server(place, notebook, signum):
    second, session, kernel = adopted(place, notebook, signum)
    pid = place.pid(kernel)
    (model,) = second.get("/api/sessions")
    assert (model["id"], model["kernel"]["id"]) == (session, kernel)
    assert notebook(kernel).run("print(x + 1)") == "42"
    assert place.pid(kernel) == pid
    eventually(lambda: second.state_of(kernel) == "idle")
    assert "closed stream" not in place.log()
    assert "Traceback" not in place.log()


def test_a_cell_goes_on_and_its_kernel_is_busy_until_it_says_otherwise(place, notebook):
    first = place.serve()
    _, kernel = first.new_session()
    book = notebook(kernel)
    book.start(until(place.state / "go"))
    eventually(lambda: first.state_of(kernel) == "busy")
    first.end(signal.SIGKILL)
    second = place.serve()
    assert second.state_of(kernel) == "busy"
    assert asyncio.run(_websocket_opens(second, kernel)), "a busy kernel must not hold a websocket back"
    assert second.state_of(kernel) == "busy"
    (place.state / "go").touch()
    eventually(lambda: second.state_of(kernel) == "idle")
    assert book.run("print('done', n)").endswith("done 7")


def until(file):
    return f"import os, time\nwhile not os.path.exists({str(file)!r}): time.sleep(0.1)\nn = 7"


async def _websocket_opens(server, kernel):
    url = f"ws://127.0.0.1:{server.port}/api/kernels/{kernel}/channels?token=t"
    connection = await websocket_connect(HTTPRequest(url, request_timeout=20))
    connection.close()
    while await connection.read_message() is not None:
        pass
    return True


def test_the_culler_runs_for_adopted_kernels_and_spares_the_busy_one(place, notebook):
    options = ("KernelManager.cull_idle_timeout=2", "KernelManager.cull_interval=1")
    first = place.serve()  # without a culler: the cell begins in its own time
    _, kernel = first.new_session()
    notebook(kernel).start(until(place.state / "go"))
    eventually(lambda: first.state_of(kernel) == "busy")
    first.end(signal.SIGKILL)
    second = place.serve(*options)
    _, other = second.new_session(name="other.ipynb")
    eventually(lambda: other not in {each["id"] for each in second.get("/api/kernels")}, "a younger idle one culled")
    assert second.state_of(kernel) == "busy"
    (place.state / "go").touch()
    eventually(lambda: second.get("/api/kernels") == [], "the idle kernel culled")
    eventually(lambda: not list(place.records.glob("*.json")), "no record of it left")


def test_interrupt_restart_and_delete_work_on_an_adopted_kernel(place, notebook):
    server, session, kernel = adopted(place, notebook)
    book = notebook(kernel)
    book.start("import time; time.sleep(60)")
    eventually(lambda: server.state_of(kernel) == "busy")
    assert server.ask("POST", f"/api/kernels/{kernel}/interrupt")[0] == 204
    eventually(lambda: server.state_of(kernel) == "idle")
    pid, ports = place.pid(kernel), (place.state / "k" / f"kernel-{kernel}.json").read_text()
    assert server.ask("POST", f"/api/kernels/{kernel}/restart")[0] == 200
    assert place.pid(kernel) != pid
    assert (place.state / "k" / f"kernel-{kernel}.json").read_text() == ports, "open websockets must not go deaf"
    assert notebook(kernel).run("print(x)") == "name 'x' is not defined"
    pid = place.pid(kernel)
    assert server.ask("DELETE", f"/api/sessions/{session}")[0] == 204
    assert not Path(f"/proc/{pid}").exists()
    left = {each.name for each in [*place.records.iterdir(), *(place.state / "k").iterdir()]}
    assert left == {"server.lock", "recorder"}  # which ends a while after the last kernel


def test_renaming_the_notebook_keeps_the_session(place, notebook):
    server, session, kernel = adopted(place, notebook)
    assert server.ask("PATCH", f"/api/sessions/{session}", {"path": "b.ipynb", "name": "b.ipynb"})[0] == 200
    server.end(signal.SIGKILL)
    (model,) = place.serve().get("/api/sessions")
    assert (model["id"], model["path"], model["kernel"]["id"]) == (session, "b.ipynb", kernel)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_killed_kernel_is_started_again_on_the_same_sockets_and_its_cause_told(place, notebook, transport):
    spec = place.state / "home/.local/share/jupyter/kernels/own/kernel.json"
    spec.parent.mkdir(parents=True)
    default = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    default[0] = os.path.realpath(sys.prefix) + "/bin/python"
    metadata = {"jupyterd": {"transport": transport}}
    spec.write_text(json.dumps({"argv": default, "display_name": "own", "language": "python", "metadata": metadata}))
    first = place.serve()
    _, kernel = first.new_session("own")
    file = place.state / "k" / f"kernel-{kernel}.json"
    ports = json.loads(file.read_text())
    assert ports["transport"] == transport
    first.end(signal.SIGKILL)
    second = place.serve()
    pid = place.pid(kernel)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: place.pid(kernel) != pid, "an automatic restart")
    assert json.loads(file.read_text()) == ports
    assert notebook(kernel).run("print(1 + 1)") == "2"
    assert second.get("/api/kernels")[0]["id"] == kernel
    assert "died: killed (SIGKILL)" in place.log()


def test_a_kernel_that_was_stopped_meanwhile_is_forgotten(place):
    first = place.serve()
    _, kernel = first.new_session()
    first.end(signal.SIGKILL)
    (place.records / f"{kernel}.why").write_text("stopped by a person")
    os.chown(place.records / f"{kernel}.why", place.uid, -1)
    pid = place.pid(kernel)
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "it has ended")
    assert place.serve().get("/api/sessions") == []
    assert f"Kernel {kernel} (python3) ended while no server ran: stopped by a person" in place.log()
    assert {each.name for each in place.records.iterdir()} == {"server.lock", "ended"}


def test_broken_and_stale_records_do_not_keep_the_server_from_starting(place):
    place.records.mkdir(mode=0o700)
    (place.records / "broken.json").write_text("{")
    (place.records / "other.json").write_text('{"format": 99}')
    os.mkfifo(place.records / "fifo.json")
    os.chown(place.records, place.uid, -1)
    for each in place.records.iterdir():
        os.chown(each, place.uid, -1)
    assert place.serve().get("/api/kernels") == []
    assert {each.suffix for each in place.records.iterdir()} == {".damaged", ".lock"}
    assert place.log().count("was set aside as") == 3


def test_nothing_of_the_server_reaches_a_kernel(place, notebook):
    place.env |= {"NOTIFY_SOCKET": "/x", "CREDENTIALS_DIRECTORY": "/x", "JUPYTER_TOKEN": "geheim", "MINE": "$kept `"}
    server = place.serve()
    _, kernel = server.new_session()
    told = json.loads(notebook(kernel).run("import os, json; print(json.dumps(dict(os.environ)))"))
    assert told["MINE"] == "$kept `"
    assert told["JPY_SESSION_NAME"].endswith("a.ipynb")
    bad = [name for name in told if name.startswith(("JUPYTER", "JPY_")) and name != "JPY_SESSION_NAME"]
    assert bad == []
    assert not {"NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY"} & set(told)
    score = notebook(kernel).run("print(open('/proc/self/oom_score_adj').read())")
    own = Path(f"/proc/{server.process.pid}/oom_score_adj").read_text()
    assert int(score) > int(own)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to act as another account")
def test_another_account_can_neither_read_nor_reach_a_kernel(place):
    server = place.serve()
    _, kernel = server.new_session()
    folder = place.state / "k"
    assert stat.S_IMODE(folder.stat().st_mode) & 0o777 == 0o700
    found = lambda: [each for each in folder.iterdir() if stat.S_ISSOCK(each.stat().st_mode)]  # noqa: E731
    eventually(lambda: len(found()) == 6)  # five of the kernel, one of the recorder
    sockets = found()
    place.uid += 1
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    for each in sockets:
        assert "PermissionError" in place.run(["/usr/bin/python3", "-c", script, str(each)]).stderr
    reading = place.run(["/bin/cat", str(folder / f"kernel-{kernel}.json"), str(place.records / f"{kernel}.env")])
    assert reading.returncode == 1
    assert reading.stderr.count("Permission denied") == 2


@pytest.mark.skipif(
    os.getuid() != 0 and user_manager.trouble() is None,
    reason="needs an account without a user manager: this one's is running, and only root can take another account",
)
def test_without_a_user_manager_a_service_says_what_to_type(place):
    server = place.serve(launcher="user-unit")
    body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    status, answer = server.ask("POST", "/api/sessions", body)
    assert status >= 500
    assert "sudo loginctl enable-linger" in answer["message"]
    assert {each.name for each in place.records.iterdir()} == {"server.lock"}


def test_a_kernelspec_whose_program_is_gone_says_so(place):
    spec = place.state / "home/.local/share/jupyter/kernels/gone/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["/nowhere/python", "{connection_file}"], "display_name": "gone"}))
    server = place.serve()
    body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "gone"}}
    status, answer = server.ask("POST", "/api/sessions", body)
    assert status >= 500
    assert "/nowhere/python is not there" in answer["message"]


def test_a_hundred_kernels_are_adopted(place):
    script = str(Path(__file__).with_name("adopt_many.py"))
    done = place.run([sys.executable, "-I", script, str(place.state), "100"], timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["adopted"] == 100, told
