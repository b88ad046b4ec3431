"""What the server inherits from the supervisor."""

from __future__ import annotations

import socket

import pytest

from jupyterd.protocol import server_channel
from jupyterd.server import live_settings, supervisor_link


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
        server_channel.PROBLEMS: "1",
        "HOME": "/",
    }
    made, sockets = supervisor_link.take(environ)
    assert environ == {"HOME": "/"}
    assert made.hears_problems
    assert len(sockets) == 1
    assert not sockets[0].get_inheritable()
    made.say(server_channel.Ready())
    assert server_channel.decode(ours.recv(100).strip()) == server_channel.Ready()
    ours.close()
    made.say(server_channel.Ready())  # nobody there: no error
    sockets[0].close()
    made.close()
