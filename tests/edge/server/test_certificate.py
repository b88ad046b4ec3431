"""While it serves: originals that change are noticed, the authority is handed out, and swaps drop nobody."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from support.network import no_trust
from support.waiting import eventually

from jupyterd.linux.files import ABSENT, stat_mark
from jupyterd.planner import jupyter_config
from jupyterd.protocol import server_channel
from jupyterd.server.http import certificate
from jupyterd.server.live_settings import LiveSettings
from jupyterd.settings import schema

CLIENTS = 4


def live(watched: dict[str, str], renew_at: float | None = None) -> LiveSettings:
    pair = jupyter_config.PairFiles("/c", "/c", "aa", watched=watched, renew_at=renew_at)
    document = json.loads(json.dumps(jupyter_config.live(schema.Settings(), pair)))
    del document["format"]
    return LiveSettings(**document)


def test_a_file_that_was_replaced_written_or_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "pair.pem"
    assert certificate.due(live({str(file): ABSENT}), 0.0)[0] == ""
    file.write_bytes(b"1")
    assert "pair.pem changed" in certificate.due(live({str(file): ABSENT}), 0.0)[0]
    before = {str(file): stat_mark(str(file))}
    assert certificate.due(live(before), 0.0) == ("", before)
    file.write_bytes(b"22")
    assert certificate.due(live(before), 0.0)[0]
    file.unlink()
    assert certificate.due(live(before), 0.0)[0]


def test_the_day_of_renewal() -> None:
    assert certificate.due(live({}, renew_at=100.0), 99.0)[0] == ""
    assert "due for renewal" in certificate.due(live({}, renew_at=100.0), 100.0)[0]


def test_it_asks_at_once_and_then_ever_more_seldom(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(certificate, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(certificate, "ASK_AGAIN_S", 0.1)
    asked: list[float] = []
    file = tmp_path / "x"
    settings = live({str(file): ABSENT})
    certificate.Watcher(lambda: settings, lambda _: asked.append(time.monotonic()))
    file.write_bytes(b"1")
    eventually(lambda: len(asked) >= 4)
    assert all(
        later - earlier >= pause for earlier, later, pause in zip(asked, asked[1:], (0.1, 0.2, 0.4), strict=False)
    )


def test_it_asks_at_once_for_another_change_and_no_more_when_it_is_served(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(certificate, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(certificate, "ASK_AGAIN_S", 3600.0)
    asked: list[str] = []
    looks = 0
    file = tmp_path / "x"
    settings = live({str(file): ABSENT})

    def give() -> LiveSettings:
        nonlocal looks
        looks += 1
        return settings

    certificate.Watcher(give, asked.append)
    for number, data in enumerate((b"1", b"22"), 1):
        (tmp_path / "new").write_bytes(data)
        (tmp_path / "new").rename(file)  # in one step: it looks meanwhile
        eventually(lambda number=number: len(asked) == number)
    settings = live({str(file): stat_mark(str(file))})
    before = looks
    eventually(lambda: looks > before + 20, "it has looked often")
    assert len(asked) == 2


@pytest.mark.slow
def test_the_server_says_that_an_original_has_changed(prepare) -> None:
    served = prepare()
    original = served.home.parent / "original.pem"
    served.pair = jupyter_config.PairFiles(
        served.pair.certificate, served.pair.key, served.pair.sha256, watched={str(original): ABSENT}
    )
    served.start()
    original.write_bytes(b"x")
    assert "original.pem changed" in served.hear(server_channel.LookAgain).why


def test_the_authority_is_given_to_everybody_and_nothing_else_is(prepare) -> None:
    served = prepare(server={"base_url": "/lab1/"})
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    own = served.pair
    served.pair = jupyter_config.PairFiles(own.certificate, own.key, own.sha256, authority=pem)
    served.start()
    answer = served.browser().get("/lab1/jupyterd/ca.crt")
    assert (answer.status, answer.text) == (200, pem)
    assert answer.headers["Content-Type"] == "application/x-x509-ca-cert"
    assert served.browser().get("/lab1/jupyterd/other").status in (302, 403, 404)
    served.pair = own
    assert served.reload().problem is None
    assert served.browser().get("/lab1/jupyterd/ca.crt").status == 404


class Client(threading.Thread):
    """Shakes hands and asks, one connection after the other; anything but 200 is a failure."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.good, self.seen = port, 0, set[str]()
        self.failures: list[str] = []
        self.over = threading.Event()
        self.context = no_trust()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self.ask()
            except OSError as error:
                self.failures.append(repr(error))

    def ask(self) -> None:
        with (
            socket.create_connection(("127.0.0.1", self.port), 20) as plain,
            self.context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            self.seen.add(hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest())
            tls.sendall(b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = tls.recv(4096)
            if b" 200 " in answer.partition(b"\r\n")[0]:
                self.good += 1
            else:
                self.failures.append(repr(answer[:80]))


@pytest.mark.parametrize("swaps", [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_swaps_under_load_fail_no_handshake(serve, make_pair, swaps: int) -> None:
    served = serve()
    pairs = [make_pair(), make_pair(kind="rsa"), make_pair()]
    clients = [Client(served.port) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    for number in range(swaps):
        served.store_pair(*pairs[number % len(pairs)])
        assert served.reload().problem is None
    for each in clients:
        each.over.set()
    for each in clients:
        each.join(30)
    assert [failure for each in clients for failure in each.failures] == []
    assert set.union(*(each.seen for each in clients)) >= {sha256 for _, _, sha256 in pairs}
    good = sum(each.good for each in clients)
    assert good >= swaps, f"{good} handshakes are too few to mean something"
    os.kill(served.process.pid, 0)
