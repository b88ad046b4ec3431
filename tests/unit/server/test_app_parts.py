from __future__ import annotations

import json
import logging
import socket

import pytest
from traitlets import TraitError

from jupyterd.protocol import server_channel
from jupyterd.server import live_settings, logs, start_errors, supervisor_link
from jupyterd.server.http.server import host_name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"), ("GPU.lan:8888", "gpu.lan"), ("gpu.lan.", "gpu.lan"), ("[::1]:8888", "::1"),
        ("[2001:DB8::1]", "2001:db8::1"), ("10.0.0.1:1", "10.0.0.1"), ("", ""), (":80", ""),
    ],
)  # fmt: skip
def test_host_name(header, name):
    assert host_name(header) == name


def _record(level: int, text: str, name: str = logs.OWN) -> logging.LogRecord:
    return logging.LogRecord(name, level, "x.py", 1, text, (), None)


def test_each_line_of_a_message_carries_its_level():
    shown = logs.JournalFormatter().format(_record(logging.WARNING, "one\ntwo", "LabApp"))
    assert shown == "<4>LabApp: one\n<4>two"
    assert logs.JournalFormatter().format(_record(logging.INFO, "")) == "<6>"


def test_a_terminal_shows_time_and_level():
    shown = logs.TerminalFormatter().format(_record(logging.ERROR, "no disk"))
    assert shown[8:] == " error no disk"


def test_the_cause_of_a_failed_start_names_its_file(tmp_path):
    broken = tmp_path / "jupyter_server_config.py"
    broken.write_text("\nraise KeyError('x')\n")
    with pytest.raises(KeyError) as caught:
        exec(compile(broken.read_text(), str(broken), "exec"), {})  # noqa: S102 - as traitlets does
    assert start_errors.sentence(caught.value, [str(tmp_path)]) == f"{broken}:2: KeyError: 'x'"
    assert start_errors.sentence(TraitError("bad port"), [str(tmp_path)]).endswith("is wrong: bad port")
    assert (
        start_errors.sentence(OSError(28, "No space left on device"), [])
        == "OSError: [Errno 28] No space left on device"
    )
    assert start_errors.sentence(start_errors.StartFailed("so it is"), []) == "so it is"


def test_started_by_hand_it_says_how_it_is_started():
    with pytest.raises(ValueError, match="jupyterd run"):
        live_settings.paths_of({})
    with pytest.raises(ValueError, match="jupyterd run"):
        supervisor_link.take({})


def test_what_was_inherited_is_taken_once_and_not_passed_on():
    ours, theirs = socket.socketpair()
    listening = socket.create_server(("127.0.0.1", 0))
    environ = {
        server_channel.CHANNEL: str(theirs.detach()),
        server_channel.LISTEN: str(listening.detach()),
        "HOME": "/",
    }
    made, sockets = supervisor_link.take(environ)
    assert environ == {"HOME": "/"}
    assert len(sockets) == 1
    assert not sockets[0].get_inheritable()
    made.say(server_channel.Ready())
    assert server_channel.decode(ours.recv(100).strip()) == server_channel.Ready()
    ours.close()
    made.say(server_channel.Ready())  # nobody there: no error
    sockets[0].close()
    made.close()


def test_live_settings_show_no_secret_when_printed(tmp_path):
    path = tmp_path / "live.json"
    document = {
        "format": 1, "certificate": None, "key": None, "sha256": None, "names": ["localhost"],
        "password_hash": "secret-1", "token": "secret-2", "allow_password_change": True,
        "authority": None, "watched": {}, "renew_at": None, "trusted_proxies": ["10.0.0.1"],
    }  # fmt: skip
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    read = live_settings.read(path)
    assert read.token == "secret-2"
    assert "secret" not in repr(read)
    path.write_text(json.dumps({**document, "token": 1, "else": "secret"}))
    with pytest.raises(ValueError, match="not of this version") as caught:
        live_settings.read(path)
    assert "secret" not in str(caught.value)
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        live_settings.read(path)
