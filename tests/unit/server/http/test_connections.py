from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

import pytest

from jupyterd.server.http.connections import Connections
from jupyterd.server.http.timeouts import HERE, Connection, Limits, Phase, place

LIMITS = Limits(connections_max=8, address_share=4)
LAN = ("192.168.1.7", 50000)
LOOPBACK = ("127.0.0.1", 50000)


@dataclass(order=True)
class Alarm:
    at: float
    callback: Any = field(compare=False)
    off: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.off = True

    def when(self) -> float:
        return self.at


class Clock:
    """An event loop whose time passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alarms: list[Alarm] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Any) -> Alarm:
        alarm = Alarm(when, callback)
        heapq.heappush(self.alarms, alarm)
        return alarm

    def pass_(self, seconds: float) -> None:
        until = self.now + seconds
        while self.alarms and self.alarms[0].at <= until:
            alarm = heapq.heappop(self.alarms)
            self.now = alarm.at
            if not alarm.off:
                alarm.callback()
        self.now = until


class World:
    def __init__(self, limits: Limits = LIMITS) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.closed: list[Connection] = []
        self.connections = Connections(limits, self.clock, self.said.append)

    def come(self, address: Any = LAN, phase: Phase | None = None, *, known: bool = False) -> Connection:
        connection = self.connections.admit(address, lambda: None)
        connection.close = lambda: self.closed.append(connection)
        if known:
            self.connections.recognise(connection)
        if phase is not None:
            self.connections.enter(connection, phase)
        return connection


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("phase", "known", "seconds"),
    [
        (Phase.SILENT, False, LIMITS.handshake_s),
        (Phase.HANDSHAKE, False, LIMITS.handshake_s),
        (Phase.HEADER, False, LIMITS.header_s),
        (Phase.BODY, False, LIMITS.body_window_s),
        (Phase.BODY, True, LIMITS.body_window_known_s),
        (Phase.KEEP_ALIVE, False, LIMITS.keep_alive_s),
        (Phase.KEEP_ALIVE, True, LIMITS.keep_alive_known_s),
        (Phase.OPEN, False, LIMITS.unread_s),
    ],
)
def test_each_silence_has_its_end(world, phase, known, seconds):
    connection = world.come(phase=phase, known=known)
    world.clock.pass_(seconds - 0.1)
    assert world.closed == []
    world.clock.pass_(0.2)
    assert world.closed == [connection]


def test_every_silence_without_a_login_ends_within_a_minute():
    assert max(LIMITS.handshake_s + LIMITS.header_s, LIMITS.keep_alive_s, LIMITS.body_window_s, LIMITS.unread_s) <= 60


def test_a_slow_handshake_does_not_begin_its_time_anew(world):
    connection = world.come()
    world.clock.pass_(LIMITS.handshake_s - 1)
    world.connections.handshake_began(connection)
    world.clock.pass_(1.5)
    assert world.closed == [connection]


def test_a_header_that_drips_is_late(world):
    connection = world.come()
    for _ in range(30):
        world.connections.transferred(connection, 1, incoming=True)
        world.clock.pass_(1)
    assert world.closed == [connection]


def test_a_body_may_take_for_ever_while_it_comes(world):
    connection = world.come(phase=Phase.BODY)
    for _ in range(3600):
        world.connections.transferred(connection, 256, incoming=True)
        world.clock.pass_(1)
    assert world.closed == []
    for _ in range(60):
        world.connections.transferred(connection, 1, incoming=True)
        world.clock.pass_(1)
    assert world.closed == [connection]


def test_with_a_login_a_few_bytes_a_minute_are_enough(world):
    world.come(phase=Phase.BODY, known=True)
    (connection,) = world.connections.known
    for _ in range(60):
        world.connections.transferred(connection, 1, incoming=True)
        world.clock.pass_(50)
    assert world.closed == []


def test_a_request_may_be_worked_at_for_ever(world):
    world.come(phase=Phase.WAITING)
    world.clock.pass_(3600)
    assert world.closed == []


@pytest.mark.parametrize(("known", "seconds"), [(False, LIMITS.unread_s), (True, 5 * LIMITS.unread_s)])
def test_an_answer_that_nobody_takes_has_an_end(world, known, seconds):
    connection = world.come(phase=Phase.WAITING, known=known)
    connection.unread = lambda: True
    for _ in range(5):
        world.connections.transferred(connection, 1, incoming=False)
        world.clock.pass_(seconds - 1)
    assert world.closed == []
    world.clock.pass_(2 * seconds)
    assert world.closed == [connection]


def test_a_websocket_with_a_login_stays_for_days(world):
    world.come(phase=Phase.OPEN, known=True)
    world.clock.pass_(864000)
    assert world.closed == []


def test_one_that_left_has_no_timer(world):
    connection = world.come()
    world.connections.leave(connection)
    world.clock.pass_(3600)
    assert world.closed == []
    assert world.connections.strangers == {}
    world.connections.enter(connection, Phase.HEADER)
    assert connection.timer is None


def test_one_address_has_its_share_and_the_new_one_stays(world):
    old = [world.come() for _ in range(2)]
    world.clock.pass_(1)
    third = world.come()
    assert world.closed == [old[0]] or world.closed == [old[1]]
    assert third.there
    assert len(world.connections.strangers["192.168.1.7"]) == 2
    other = world.come(("192.168.1.8", 1))
    assert other.there and len(world.closed) == 1
    assert "192.168.1.7" in world.said[0]


def test_it_is_told_once(world):
    for _ in range(50):
        world.come()
    assert len(world.said) == 1
    world.clock.pass_(LIMITS.say_every_s + 1)
    for _ in range(5):
        world.come()
    assert len(world.said) == 2


def test_many_addresses_share_what_is_for_elsewhere(world):
    for number in range(40):
        world.clock.pass_(0.01)
        newest = world.come((f"10.0.0.{number}", 1))
    assert newest.there
    assert world.connections.elsewhere == LIMITS.connections_max


def test_this_machine_and_logged_in_ones_have_their_own(world):
    mine = world.come(LOOPBACK)
    world.clock.pass_(0.01)
    tab = world.come(LAN, Phase.KEEP_ALIVE, known=True)
    for number in range(100):
        world.come((f"10.0.{number}.1", 1))
        world.come(LAN)
    assert mine.there and tab.there
    for _ in range(100):
        world.come(LOOPBACK)
    assert not mine.there and tab.there
    assert len(world.connections.strangers[HERE]) == LIMITS.connections_max


def test_the_longest_silent_one_goes_but_filling_up_does_not_shut_out_newcomers():
    world = World(Limits(connections_max=40))
    idle = [world.come(phase=Phase.KEEP_ALIVE) for _ in range(10)]
    world.clock.pass_(3)
    silent = world.come()
    assert len(world.closed) == 1 and world.closed[0] in idle
    world.clock.pass_(0.2)
    world.come()
    assert silent.there  # 0.2 s x 4 < 3.2 s x 1
    world.clock.pass_(2)
    world.come()
    assert not silent.there  # 2.2 s x 4 > 5.2 s x 1


def test_too_many_with_a_login_lose_idle_ones_only(world):
    open_ = [world.come(LAN, Phase.OPEN, known=True) for _ in range(LIMITS.connections_max)]
    idle = world.come(LAN, Phase.KEEP_ALIVE, known=True)
    assert idle.there
    last = world.come(LAN, known=True)
    assert last.there and not idle.there
    assert all(each.there for each in open_)


def test_shedding_takes_strangers_first(world):
    idle, busy = world.come(phase=Phase.KEEP_ALIVE, known=True), world.come(phase=Phase.WAITING, known=True)
    stranger = world.come()
    world.clock.pass_(1)
    assert world.connections.shed(1) == 1
    assert not stranger.there and idle.there
    assert world.connections.shed(5) == 1
    assert not idle.there and busy.there


def test_strangers_together_hold_no_more_than_their_bound():
    world = World(Limits(connections_max=1000, strangers_bytes=1 << 20))
    crowd = [world.come((f"10.0.{number}.1", 1), Phase.BODY) for number in range(40)]
    small, owner = world.come(LAN, Phase.BODY), world.come(LAN, Phase.BODY, known=True)
    world.connections.transferred(small, 300, incoming=True)
    world.connections.transferred(owner, 300 << 20, incoming=True)
    for each in crowd:
        world.connections.transferred(each, 50 << 10, incoming=True)
        assert world.connections.held <= 1 << 20
    assert len(world.closed) == 40 - (1 << 20) // (50 << 10)
    assert small.there and owner.there
    assert len(world.said) == 1


def test_what_a_request_held_is_given_back():
    world = World()
    connection, open_ = world.come(phase=Phase.HEADER), world.come(phase=Phase.HEADER)
    world.connections.transferred(connection, 5000, incoming=True)
    world.connections.transferred(connection, 5000, incoming=False)
    world.connections.transferred(open_, 1000, incoming=True)
    assert world.connections.held == 6000
    connection.buffered = lambda: 70  # a part of the next request has come with it
    world.connections.request_ended(connection)
    world.connections.enter(open_, Phase.OPEN)
    world.connections.transferred(open_, 1000, incoming=True)
    assert world.connections.held == 70
    world.connections.recognise(connection)
    assert world.connections.held == 0
    world.connections.transferred(open_, 5, incoming=True)
    for each in (connection, open_):
        world.connections.leave(each)
    assert world.connections.held == 0


def test_whose_connection_it_is():
    for address, expected in (
        (LOOPBACK, HERE), (("127.8.0.1", 1), HERE), (("::1", 1, 0, 0), HERE), (("::ffff:127.0.0.1", 1, 0, 0), HERE),
        ("", HERE), (None, HERE), (LAN, "192.168.1.7"), (("::ffff:192.168.1.7", 1, 0, 0), "192.168.1.7"),
        (("2001:db8:1:2:3::9", 1, 0, 0), "2001:db8:1:2::/64"), (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
    ):  # fmt: skip
        assert place(address) == expected
