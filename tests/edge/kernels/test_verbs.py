"""`jupyterd kernels` and `jupyterd kernel-env`, on real kernels, as an ordinary account."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from support.waiting import eventually

from jupyterd.launch.kernel_environment import MADE, MAKING


def verb(place, *words, timeout=60):
    state = ("--state", str(place.state)) if words[0] == "kernels" else ()
    return place.run([sys.executable, "-I", "-m", "jupyterd", *words, *state], timeout=timeout)


def test_list_interrupt_restart_and_stop_while_no_server_runs(place, notebook):
    first = place.serve()
    _, kernel = first.new_session()
    book = notebook(kernel)
    book.run("x = 41")
    first.end(signal.SIGKILL)
    (shown,) = json.loads(verb(place, "kernels", "list", "--json").stdout)
    assert (shown["id"], shown["pid"], shown["name"]) == (kernel, place.pid(kernel), "python3")
    assert shown["notebook"].endswith("a.ipynb")
    assert kernel in verb(place, "kernels", "list").stdout
    begun = place.state / "home/begun"
    book.start(f"import time\ntry: open({str(begun)!r}, 'w').close(); time.sleep(60)\nexcept KeyboardInterrupt: x = 42")
    eventually(begun.exists, "the cell is within its try")
    assert verb(place, "kernels", "interrupt", kernel[:8]).returncode == 0
    assert book.run("print(x)").endswith("42")
    pid = place.pid(kernel)
    done = verb(place, "kernels", "restart", kernel)
    assert done.returncode == 0, done.stderr
    assert place.pid(kernel) != pid
    assert notebook(kernel).run("print(x)") == "name 'x' is not defined"
    second = place.serve()
    assert second.get("/api/sessions")[0]["kernel"]["id"] == kernel
    second.end()
    pid = place.pid(kernel)
    done = verb(place, "kernels", "stop", "--all")
    assert (done.returncode, done.stdout) == (0, "ended 1 of 1 kernel\n")
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    left = {each.name for each in [*place.records.iterdir(), *(place.state / "k").iterdir()]}
    assert left == {"server.lock"}
    assert place.serve().get("/api/sessions") == []


def test_a_kernel_is_named_after_its_notebook_of_now_and_after_a_console_that_has_no_file(place):
    server = place.serve()
    session, kernel = server.new_session()
    renamed = {"path": "renamed/b.ipynb", "name": "b.ipynb", "type": "notebook"}
    assert server.ask("PATCH", f"/api/sessions/{session}", renamed)[0] == 200
    console = {"path": "console-1-x", "name": "Console 1", "type": "console", "kernel": {"name": "python3"}}
    other = server.ask("POST", "/api/sessions", console)[1]["kernel"]["id"]
    shown = {each["id"]: each["notebook"] for each in json.loads(verb(place, "kernels", "list", "--json").stdout)}
    assert shown[kernel].endswith("renamed/b.ipynb")
    assert shown[other] == "Console 1"
    server.end(signal.SIGKILL)
    assert "renamed/b.ipynb" in verb(place, "kernels", "list").stdout
    assert verb(place, "kernels", "stop", "--all").returncode == 0


def test_a_running_server_notices_what_the_verb_did(place):
    server = place.serve()
    _, kernel = server.new_session()
    pid = place.pid(kernel)
    done = verb(place, "kernels", "restart", kernel)
    assert "the running server has restarted kernel" in done.stdout, done.stderr
    assert place.pid(kernel) != pid
    assert [each["id"] for each in server.get("/api/kernels")] == [kernel]
    assert verb(place, "kernels", "stop", kernel).returncode == 0
    eventually(lambda: server.get("/api/kernels") == [])
    eventually(lambda: {each.name for each in place.records.iterdir()} == {"server.lock", "ended"})
    assert "stopped with `jupyterd kernels stop`" in place.log()


def test_stubborn_kernels_end_together_within_the_grace(place, notebook):
    server = place.serve()
    stubborn = (
        "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n"
        "open({!r}, 'w').close()\nwhile True: time.sleep(1)"
    )
    begun = [place.state / "home/a", place.state / "home/b"]
    for name, file in zip("ab", begun, strict=True):
        _, kernel = server.new_session(name=f"{name}.ipynb")
        notebook(kernel).start("import subprocess; subprocess.Popen(['sleep', '1234'], start_new_session=False)")
        notebook(kernel).start(stubborn.format(str(file)))
    eventually(lambda: all(each.exists() for each in begun), "both ignore signals")
    server.end()
    pids = [place.pid(each.stem) for each in place.records.glob("*.json")]
    begin = time.monotonic()
    done = verb(place, "kernels", "stop", "--all", "--grace", "20", timeout=39)  # one after the other would take 40 s
    assert (done.returncode, done.stdout) == (0, "ended 2 of 2 kernels\n")
    assert time.monotonic() - begin >= 20, "they had less than the grace"
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(session_of(each) in pids for each in Path("/proc").iterdir() if each.name.isdigit())


def session_of(process):
    """0 for one that is gone, or whose zombie nobody has reaped."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[3])


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_root_acts_as_the_account_not_as_root(place):
    server = place.serve()
    _, kernel = server.new_session()
    server.end()
    for file in place.records.glob("*.env"):
        file.unlink()
        file.symlink_to("/etc/shadow")  # what the account could lay there for root to read
    place.uid, theirs = 0, place.uid
    done = verb(place, "kernels", "list", "--json")
    stopped = verb(place, "kernels", "stop", kernel)
    place.uid = theirs
    (shown,) = json.loads(done.stdout)
    assert (shown["id"], shown["notebook"]) == (kernel, "a.ipynb"), "which does not come from the file"
    assert stopped.stdout == "ended 1 of 1 kernel\n"


@pytest.mark.slow
def test_the_environment_is_made_on_first_use_and_pip_cannot_break_the_server(place, notebook):
    environment = place.state / "python"
    environment.mkdir()
    (environment / MAKING).touch()  # left half-made by a power cut
    (environment / "half").touch()
    os.chown(environment, place.uid, -1)
    server = place.serve(f"KernelSpecManager.environment={environment}")
    assert server.get("/api/kernelspecs")["kernelspecs"]["python3"]["spec"]["display_name"] == "Python 3 (ipykernel)"
    body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    status, answer = server.ask("POST", "/api/sessions", body, timeout=400)
    assert status == 201, answer
    book = notebook(answer["kernel"]["id"])
    assert book.run("import sys; print(sys.prefix)") == str(environment)
    assert book.run("!which pip python").split() == [f"{environment}/bin/pip", f"{environment}/bin/python"]
    book.run("%pip install --quiet tinynetrc", 120)
    assert (environment / MADE).exists()
    assert not (environment / "half").exists()
    assert list(environment.glob("lib/python*/site-packages/tinynetrc*"))
    assert verb(place, "kernel-env", "--environment", str(environment)).stdout == ""
