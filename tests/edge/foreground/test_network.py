"""What is printed is what answers: real interfaces, and a real other program on the port, in a network namespace."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.network import no_trust
from support.network_namespace import INTERFACE, Namespace, network_namespace
from support.served import Served, served
from support.waiting import eventually

PATIENCE_S = 30.0


@pytest.fixture
def network() -> Iterator[Namespace]:
    with network_namespace() as made:
        yield made


@pytest.fixture
def serve(network: Namespace) -> Iterator[Callable[..., Served]]:
    with ExitStack() as started:

        def begin(*options: str, port: int | None = None) -> Served:
            return network.inside(lambda: started.enter_context(served(*options, port=port)))

        yield begin


def until(server: Served, enough: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    def status() -> dict[str, Any] | None:
        found = server.status()
        return found if enough(found) else None

    return eventually(status, what, PATIENCE_S)


def test_a_port_that_somebody_else_has_on_one_family_is_in_no_link(
    network: Namespace, serve: Callable[..., Served]
) -> None:
    thief = network.inside(lambda: socket.create_server(("127.0.0.1", 0)))  # root's, which the account cannot inspect
    port = thief.getsockname()[1]
    with thief:
        server = serve("--ip", "localhost", port=port)
        assert server.link.startswith(f"https://[::1]:{port}/login#token=")
        tunnel = f"-L {port}:[::1]:{port}"
        eventually(lambda: tunnel in server.said, "the whole banner", PATIENCE_S)
        status = until(server, lambda status: bool(status["items"]), "a problem")
        assert status["urls"] == [f"https://[::1]:{port}/"]
        assert [each["url"] for each in status["addresses"]] == [f"https://[::1]:{port}/"]
        assert [each["text"] for each in status["items"]] == [f"127.0.0.1:{port} is in use by a process of user root"]
        said = server.verb("token").stdout
        assert f"https://[::1]:{port}/login#token=" in said
        for text in (server.said, said, status["status"]):
            assert f"localhost:{port}/login" not in text and f"https://127.0.0.1:{port}" not in text
    # Given back, it is ours within seconds, and the name is shown.
    until(server, lambda status: status["urls"] == [f"https://localhost:{port}/"], "localhost again")
    assert server.verb("token").stdout.count(f"https://localhost:{port}/login#token=") == 1


def test_an_address_that_comes_and_goes_is_noticed_served_and_named(
    network: Namespace, serve: Callable[..., Served]
) -> None:
    server = serve("--ip", "*")
    here = f"https://10.1.2.3:{server.port}/"
    before = until(server, lambda status: status["state"] == "serving", "a server")
    assert here not in before["urls"]
    network.ip("link", "set", INTERFACE, "up")
    network.ip("address", "add", "10.1.2.3/24", "dev", INTERFACE)
    status = until(server, lambda status: status["urls"][:1] == [here], "the new address, best of all")
    assert {each["url"]: each["ok"] for each in status["addresses"]}[here]
    assert "10.1.2.3" in status["certificate"]["names"]
    assert f"{here}login#token=" in server.verb("token").stdout
    assert served_at(network, "10.1.2.3", server.port) == status["certificate"]["sha256"]
    assert status["restarts"] == 0 and status["server"] == before["server"]  # nobody was disturbed
    network.ip("address", "del", "10.1.2.3/24", "dev", INTERFACE)
    status = until(server, lambda status: here not in [each["url"] for each in status["addresses"]], "it to go")
    assert status["urls"] == before["urls"]
    assert (status["items"], status["restarts"]) == ([], 0)
    assert status["certificate"]["names"].count("10.1.2.3") == 1  # who comes back finds the same certificate
    assert "10.1.2.3 is new" in server.said and "10.1.2.3 is gone" in server.said


def served_at(network: Namespace, address: str, port: int) -> str:
    """SHA-256 of the certificate that clients get there."""

    def shake() -> bytes:
        with no_trust().wrap_socket(socket.create_connection((address, port), 20)) as tls:
            return tls.getpeercert(binary_form=True) or b""

    return hashlib.sha256(network.inside(shake)).hexdigest()
