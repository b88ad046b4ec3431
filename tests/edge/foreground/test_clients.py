"""The clients of docs/clients.md, each through a kill -9 of the server: a websocket of either protocol with a lasting
token, jupyter_client over the kernel's own sockets, and another Jupyter with --gateway-url, which trusts our authority.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import find_connection_file
from support.network import free_port
from support.served import Served, served
from support.tab import JSON, V1, Tab
from support.waiting import eventually

SLOW = "import time\nfor each in range(12): print(each, flush=True); time.sleep(0.25)"
SAID = "".join(f"{each}\n" for each in range(12))


@pytest.fixture(scope="module")
def here() -> Iterator[Served]:
    """A server that serves, with an authority of its own."""
    with served("--allow-root") as one:
        eventually(lambda: one.status().get("state") == "serving", "it serves")
        assert one.verb("cert", "new").returncode == 0
        yield one


@pytest.fixture(scope="module")
def token(here: Served) -> str:
    """A lasting token."""
    done = here.verb("token", "--lasting", "tests")
    assert "shown only now" in done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def authority(here: Served) -> Path:
    """The certificate of the authority, as one copies it to a client."""
    file = here.home / "ca.pem"
    file.write_text(here.verb("cert", "show", "--authority").stdout)
    file.chmod(0o644)
    return file


def ask(url: str, token: str, authority: Path | None, method: str = "GET", body: object = None) -> Any:
    """JSON of the REST API; the certificate is verified."""
    headers = {"Authorization": f"token {token}"}
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - our own addresses
    data = None if body is None else json.dumps(body).encode()
    context = None if authority is None else ssl.create_default_context(cafile=str(authority))
    with urllib.request.urlopen(request, data, timeout=60, context=context) as answer:  # noqa: S310 - as above
        return json.loads(answer.read() or b"null")


def start_kernel(here: Served, token: str, authority: Path) -> str:
    """Its id."""
    url = f"https://localhost:{here.port}/api/kernels"
    return str(ask(url, token, authority, "POST", {"name": "python3"})["id"])


def kill_server(here: Served) -> None:
    """SIGKILL; returns when the next one serves."""
    pid = here.status()["server"]["pid"]
    os.kill(pid, signal.SIGKILL)

    def next_one() -> bool:
        told = here.status()
        return told["state"] == "serving" and told["server"]["pid"] != pid

    eventually(next_one, "the next server serves")


@pytest.mark.parametrize("protocol", [V1, JSON], ids=["v1", "older"])
def test_a_websocket_with_a_lasting_token(here: Served, token: str, authority: Path, protocol: str | None) -> None:
    kernel = start_kernel(here, token, authority)

    async def story() -> None:
        tab = Tab(kernel, protocol, scheme="wss", token=token)
        await tab.connect(here.port)
        cell = await tab.run(SLOW)
        await tab.until(lambda: tab.text(cell))
        await asyncio.to_thread(kill_server, here)
        await tab.lost()
        await tab.connect(here.port)
        await tab.until(lambda: tab.done(cell), 60)
        assert tab.shown(cell) == SAID
        await tab.close()

    asyncio.run(story())
    listed = here.verb("token", "--list").stdout
    assert listed.startswith("tests ") and "last used " in listed, listed


def test_jupyter_client_by_the_kernels_id(here: Served, token: str, authority: Path) -> None:
    kernel = start_kernel(here, token, authority)
    runtime = here.home / ".local/share/jupyter/runtime"
    file = eventually(lambda: find_connection_file(kernel, path=[str(runtime)]), "the connection file")
    client = BlockingKernelClient(connection_file=file)
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        client.execute_interactive("x = 41", timeout=60)
        kill_server(here)
        said: list[str] = []
        client.execute_interactive(
            "print(x + 1)", timeout=60, output_hook=lambda each: said.append(each["content"].get("text", ""))
        )
        assert "".join(said) == "42\n"
    finally:
        client.stop_channels()


def test_jupyter_execute_with_the_servers_kernelspec(here: Served) -> None:
    book = here.home / "job.ipynb"
    cell = {"cell_type": "code", "id": "a", "source": "print(6 * 7)", "metadata": {}, "outputs": []}
    document = {"cells": [cell | {"execution_count": None}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    book.write_text(json.dumps(document))
    os.chown(book, here.uid, -1)
    given = here.account()
    given["env"] |= {"JUPYTER_PATH": str(here.home / ".local/state/jupyterd/share")}
    tool = Path(sys.executable).with_name("jupyter-execute")
    running = subprocess.Popen([tool, "--inplace", "--kernel_name=python3", book], stderr=subprocess.PIPE, **given)
    kill_server(here)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    (done,) = json.loads(book.read_text())["cells"]
    assert done["outputs"][0]["text"] in ("42\n", ["42\n"])


@contextmanager
def front(here: Served, token: str, authority: Path) -> Iterator[str]:
    """Another, stock Jupyter server whose kernels are ours; its address."""
    port = free_port()
    argv = [Path(sys.executable).with_name("jupyter-server"), f"--gateway-url=https://localhost:{here.port}"]
    argv += [f"--port={port}", "--no-browser", "--IdentityProvider.token=front", "--ServerApp.open_browser=False"]
    given = here.account()
    given["env"] |= {"JUPYTER_GATEWAY_AUTH_TOKEN": token, "SSL_CERT_FILE": str(authority)}
    with (here.home / "front.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **given)
    url = f"http://localhost:{port}"
    try:
        eventually(lambda: ask(f"{url}/api", "front", None), "the other Jupyter serves")
        yield url
    finally:
        process.terminate()
        process.wait(60)


def test_another_jupyter_with_gateway_url(here: Served, token: str, authority: Path) -> None:
    with front(here, token, authority) as url:
        kernel = ask(f"{url}/api/kernels", "front", None, "POST", {"name": "python3"})["id"]

        async def story() -> None:
            tab = Tab(kernel, JSON, token="front")
            await tab.connect(int(url.rpartition(":")[2]))
            cell = await tab.run("x = 41")
            await tab.until(lambda: tab.done(cell), 60)
            await asyncio.to_thread(kill_server, here)
            await tab.close()
            again = Tab(kernel, JSON, token="front")
            await again.connect(int(url.rpartition(":")[2]))
            cell = await again.run("print(x + 1)")
            await again.until(lambda: again.done(cell), 60)
            assert again.text(cell) == "42\n"
            await again.close()

        asyncio.run(story())
