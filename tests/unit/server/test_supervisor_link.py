"""What the server inherits from the supervisor."""

from __future__ import annotations

import asyncio
import socket

import pytest
from support.waiting import GUARD_S

from jupyterd.protocol import server_channel
from jupyterd.protocol.server_channel import Go, Notice, Reload
from jupyterd.server import live_settings, supervisor_link
from jupyterd.server.supervisor_link import SupervisorLink


def test_started_by_hand_it_says_how_it_is_started():
    with pytest.raises(ValueError, match="jupyterd run"):
        live_settings.paths_of({})
    with pytest.raises(ValueError, match="jupyterd run"):
        supervisor_link.take({})


def test_what_follows_the_message_that_a_spare_waited_for_is_heard():
    ours, theirs = socket.socketpair()
    link = SupervisorLink(theirs)
    rest = (Notice("to all pages"), Reload("key"))
    ours.sendall(b"".join(map(server_channel.encode, (Go(), *rest))))
    assert link.hear_one() == Go()

    async def story():
        heard, done, gone = [], asyncio.Event(), asyncio.Event()
        await link.attach(lambda message: (heard.append(message), len(heard) == len(rest) and done.set()), gone.set)
        await asyncio.wait_for(done.wait(), GUARD_S)
        ours.close()
        await asyncio.wait_for(gone.wait(), GUARD_S)
        return tuple(heard)

    assert asyncio.run(story()) == rest


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
