"""Same kernel, same session, same variables, whatever happens to the server."""

from __future__ import annotations

import os
import signal
import time

import pytest


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_id_session_and_variables_survive_the_server(place, notebook, eventually, signum):
    first = place.serve()
    session, kernel = first.new_session()
    notebook(kernel).run("x = 41")
    pid = place.pid(kernel)
    first.end(signum)
    second = place.serve()
    (model,) = second.get("/api/sessions")
    assert (model["id"], model["kernel"]["id"]) == (session, kernel)
    assert notebook(kernel).run("print(x + 1)") == "42"
    assert place.pid(kernel) == pid
    eventually(lambda: second.state_of(kernel) == "idle")
