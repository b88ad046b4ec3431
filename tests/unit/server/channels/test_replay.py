"""The merge of spool and live stream, as values: order, exactly once, gaps, replies, questions, falling behind."""

from __future__ import annotations

import json
import random

import pytest

from jupyterd.protocol import spool
from jupyterd.protocol.cursors import Cursor
from jupyterd.protocol.spool import IOPUB, NOTE, REPLY, SHELL, STDIN, Spooled
from jupyterd.server.channels import replay, replay_state
from jupyterd.server.channels.replay_state import (
    PAUSE_S,
    Deliver,
    Leaving,
    Live,
    PassOn,
    Reached,
    Reading,
    ReadOn,
    ReadSpool,
    SayGap,
    SayKernelEnded,
    is_in,
    remember,
)

MINE, OTHER = spool.tag("tab"), spool.tag("another tab")


def head(name, kind="stream", at=0):
    date = f"2026-01-01T00:00:00.{at:06d}Z"
    return json.dumps({"msg_id": name, "msg_type": kind, "date": date}).encode()


def live(name, kind="stream", parent="cell", content=b"{}", at=0):
    return [b"identity", b"<IDS|MSG>", b"signature", head(name, kind, at), head(parent), b"{}", content]


def record(number, name, kind=IOPUB, message="stream", **other):
    header = head(name, message, other.get("at", 0))
    frames = (b"signature", header, head(other.get("parent", "cell")), b"{}", other.get("content", b"{}"))
    before, tag = other.get("before", number * 100), other.get("tag", spool.NOBODY)
    return Spooled(kind, number, before, spool.digest(header), tag, frames, 100)


def reply(number, name, kind=REPLY, message="execute_reply", **other):
    return record(number, name, kind, message, **{"tag": MINE, **other})


def question(number, name="question", **other):
    return record(number, name, STDIN, "input_request", **{"tag": MINE, **other})


def idle(number, parent="cell"):
    return record(number, f"idle{number}", IOPUB, "status", parent=parent, content=b'{"execution_state": "idle"}')


def end(number):
    return record(number, f"end{number}", spool.END, "jupyterd_end")


def names(outputs):
    """msg_ids in the order in which the browser gets them."""
    found = []
    for each in outputs:
        if isinstance(each, Deliver):
            found.append(json.loads(each.frames[1])["msg_id"])
        elif isinstance(each, PassOn):
            found += [json.loads(replay.header_and_parent(message)[0])["msg_id"] for message in each.messages]
    return found


class Run:
    """Feeds inputs and keeps all outputs; each test says which inputs in which order."""

    def __init__(self, cursor=None, others=()):
        self.state, self.outputs = replay.begin("tab", cursor or Cursor(), others)
        self.first = self.outputs

    def take(self, step):
        self.state, outputs = step
        self.outputs += outputs
        return outputs

    def arrive(self, *messages, channel="iopub"):
        return [out for each in messages for out in self.take(replay.arrived(self.state, channel, each))]

    def spool(self, *records, now=0.0):
        return self.take(replay.read(self.state, records)) + self.take(replay.written(self.state, now))

    @property
    def got(self):
        return names(self.outputs)


def held(run):
    """msg_ids of the live messages that are held."""
    return [json.loads(message[3])["msg_id"] for part in run.state.phase.held for _, message in part]


def test_a_tab_begins_by_reading_behind_its_cursor():
    cursor = Cursor(b"d" * 16, b"date", b"r" * 8)
    run = Run(cursor)
    assert run.first == (ReadSpool(cursor, paced=False),)
    assert isinstance(run.state.phase, Reading)


@pytest.mark.parametrize(
    ("steps", "got"),
    [
        # (live messages, records of one read), in order, until the tab is live
        ([((), "ab"), ("c", "cd")], "abc"),  # the spool reaches the held message: it comes from the live stream
        ([("c", "ab"), ("d", "bcd")], "abbcd"),
        ([("ab", "ab")], "ab"),  # the first record is held already
        ([("cd", "ab"), ((), "c")], "abcd"),
        ([("cde", "abc"), ((), "")], "abcde"),
        ([("b", "a"), ((), "bcd"), ("cd", "")], "abcd"),  # live again behind the held ones
    ],
)
def test_live_messages_are_held_until_the_spool_has_reached_the_first_of_them(steps, got):
    run, number = Run(), 0
    for messages, records in steps:
        run.arrive(*(live(each) for each in messages))
        read = [record(number + index, each) for index, each in enumerate(records)]
        number += len(records)
        run.spool(*read)
    assert "".join(run.got) == got


def test_nothing_live_overtakes_the_spool():
    run = Run()
    run.arrive(live("c"))
    assert run.got == []
    assert [type(each) for each in run.spool(record(0, "a"), record(1, "b"))] == [Deliver, Deliver, ReadOn]
    run.arrive(live("d"))
    run.spool(record(2, "c"), record(3, "d"))
    assert run.got == ["a", "b", "c", "d"] and isinstance(run.state.phase, Live)


def test_what_was_read_and_arrives_live_afterwards_is_dropped_up_to_the_first_new_message():
    run = Run()
    run.arrive(live("b"))
    run.take(replay.wait_for(run.state, spool.digest(head("c")), Cursor()))
    run.spool(*(record(number, name) for number, name in enumerate("abcd")))
    assert is_in(spool.digest(head("d")), run.state.phase.seen)
    run.arrive(live("c"), live("d"), live("e"), live("c", at=7))
    assert run.got == ["a", "b", "c", "d", "e", "c"]
    assert run.state.phase == Live()


@pytest.mark.parametrize(
    ("records", "now", "live_then"),
    [
        ((), 2.0, False),
        ((), 2.1, True),
        ((end(1),), 2.1, False),  # its successor is awaited
        ((end(1),), 30.1, True),
        ((end(1), record(2, "b")), 2.1, True),
    ],
)
def test_a_quiet_kernel_ends_the_reading(records, now, live_then):
    run = Run()
    run.spool(record(0, "a"), *records, now=0.0)
    run.spool(now=0.0)
    run.spool(now=now)
    assert isinstance(run.state.phase, Live) is live_then


def test_held_messages_that_the_spool_never_gets_are_passed_on_after_a_second():
    run = Run()
    run.spool(now=0.0)
    run.arrive(live("a"), live("b"))
    assert run.spool(now=1.0)[-1] == ReadOn(PAUSE_S * 2)
    run.spool(now=1.1)
    assert run.got == ["a", "b"] and isinstance(run.state.phase, Live)


def test_pauses_between_looks_at_an_exhausted_spool_double_up_to_a_bound_and_begin_again_with_news():
    run = Run()
    pauses = [run.spool(now=0.0)[-1].after_s for _ in range(7)]
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.2, 0.2]
    assert run.spool(record(0, "a"))[-1] == ReadOn(0.0)
    assert run.spool(now=0.0)[-1] == ReadOn(0.01)


def test_a_gap_is_told_with_its_number_and_size_at_its_place():
    run = Run()
    outputs = run.spool(record(5, "a", before=500), record(9, "b", before=3600, parent="the cell"))
    assert outputs[1] == SayGap(3, 3000, head("the cell"), recorded=True)
    assert names(outputs[:1]) == ["a"] and names(outputs[2:3]) == ["b"]
    assert not [each for each in run.spool(record(10, "c", before=3700)) if isinstance(each, SayGap)]


def test_a_gap_between_two_reads_is_told_too_and_the_first_record_tells_none():
    run = Run()
    run.spool(record(7, "a"))
    run.spool(record(9, "b"))
    assert [each.count for each in run.outputs if isinstance(each, SayGap)] == [1]


def test_an_open_question_is_asked_again_once_and_last():
    run = Run()
    run.spool(question(0), record(1, "a"))
    assert "question" not in run.got
    run.spool(now=0.0)
    outputs = run.spool(now=3.0)
    assert outputs == (Deliver("stdin", question(0).frames),)  # the cursor does not move
    run.take(replay.fell_behind(run.state, Cursor()))
    run.spool(now=4.0)
    run.spool(now=9.0)
    assert run.got == ["a", "question"] and isinstance(run.state.phase, Live)


@pytest.mark.parametrize(
    ("records", "asked"),
    [
        ((question(0), idle(1)), False),  # its cell has ended
        ((question(0), idle(1, parent="another cell")), True),
        ((question(0), end(1)), False),
        ((question(0, tag=OTHER),), False),
        ((question(0, "first"), idle(1), question(2, parent="next")), True),
    ],
)
def test_a_question_is_asked_only_if_nobody_has_answered_it(records, asked):
    run = Run()
    run.spool(*records, now=0.0)
    run.spool(now=0.0)
    run.spool(now=40.0)
    assert ("question" in run.got) is asked


def test_a_question_to_a_page_that_is_gone_is_asked_in_the_one_that_shows_its_cells():
    run = Run(others=("another tab",))
    run.spool(question(0, tag=OTHER), reply(1, "not ours", SHELL, tag=OTHER), now=0.0)
    run.spool(now=40.0)
    assert run.got == ["question"]


def test_a_question_comes_before_what_was_held():
    run = Run()
    run.arrive(live("b"))
    run.spool(question(0), record(1, "a"), record(2, "b"))
    assert run.got == ["a", "question", "b"]


@pytest.mark.parametrize(
    ("records", "got"),
    [
        ((reply(0, "own", SHELL), reply(1, "made")), ["own"]),
        ((reply(0, "made"), reply(1, "own", SHELL)), ["made"]),
        ((reply(0, "made"),), ["made"]),
        ((reply(0, "made"), reply(1, "next", parent="next")), ["made", "next"]),
        ((reply(0, "other", tag=OTHER), reply(1, "made")), ["made"]),
        ((reply(0, "info", SHELL, message="kernel_info_reply"), reply(1, "made")), ["info", "made"]),
    ],
)
def test_a_made_reply_stands_in_only_where_the_kernels_own_is_not(records, got):
    run = Run()
    run.spool(*records)
    assert run.got == got


def test_a_reply_that_came_live_is_not_made_again_however_many_came_since():
    run = Run()
    run.arrive(*(live(f"own{cell}", "execute_reply", cell) for cell in ("one", "two", "three")), channel="shell")
    run.spool(*(reply(index, f"made{cell}", parent=cell) for index, cell in enumerate(("one", "two", "three", "four"))))
    assert run.got == ["ownone", "owntwo", "ownthree", "madefour"]


def test_a_reply_that_was_read_is_dropped_when_it_comes_live_and_the_cursor_remembers_the_last():
    run = Run(Cursor(replied=spool.tag("zero")))
    (first, *_) = run.spool(reply(0, "made", parent="one"))
    assert first.replied == spool.tag("one") and first.channel == "shell"
    for cell in ("zero", "one"):
        assert run.arrive(live("own", "execute_reply", cell), channel="shell") == []
    (passed,) = run.arrive(live("own", "execute_reply", "two"), channel="shell")
    assert passed.replied == spool.tag("two")


@pytest.mark.parametrize(
    ("channel", "kind"), [("stdin", "input_request"), ("control", "interrupt_reply"), ("shell", "")]
)
def test_other_channels_wait_for_nothing(channel, kind):
    run = Run()
    message = live("a", kind)
    assert run.arrive(message, channel=channel) == [PassOn(channel, (message,))]


def test_falling_behind_reads_from_the_last_message_written_and_holds_nothing_until_the_spool_is_exhausted():
    run = Run()
    run.arrive(live("a"))
    run.spool(record(0, "a"))
    sent = Cursor(b"s" * 16)
    assert run.take(replay.fell_behind(run.state, sent)) == (ReadSpool(sent, paced=True),)
    assert run.take(replay.fell_behind(run.state, sent)) == ()
    run.arrive(live("b"), live("c"))
    run.spool(record(1, "b"), record(2, "c"))
    assert run.state.phase.held == ()
    run.spool()
    run.arrive(live("d"))
    run.spool(record(3, "d"))
    assert run.got == ["a", "b", "c", "d"] and isinstance(run.state.phase, Live)


def test_held_messages_are_bounded_in_number_and_size_and_come_from_the_spool_then():
    run = Run()
    run.arrive(*(live(f"m{number}") for number in range(replay.HELD_MAX_MESSAGES)))
    assert {len(part) for part in run.state.phase.held} == {512}
    assert len(held(run)) == replay.HELD_MAX_MESSAGES
    run.arrive(live("more"))
    assert run.state.phase.held == ()
    run.arrive(live("big", content=b"x" * ((1 << 23) + 1)), live("last"))
    assert held(run) == ["last"]


def test_two_messages_with_one_id_are_two_if_their_dates_differ():
    run = Run()
    run.arrive(live("same", at=2))
    run.spool(record(0, "same", at=1), record(1, "same", at=2))
    assert run.got == ["same", "same"]


def test_records_of_the_recorder_and_the_end_of_the_kernel_move_the_cursor():
    run = Run()
    note, ending = record(0, "note", NOTE), end(1)
    outputs = run.spool(note, ending)
    assert outputs[0] == Deliver("iopub", note.frames, note.frames[1])
    assert outputs[1] == SayKernelEnded(ending.digest, ending.frames[1])


def test_a_record_that_is_awaited_keeps_the_tab_reading_until_it_was_written():
    run = Run()
    run.arrive(live("a"))
    run.spool(record(0, "a"))
    ending = end(2)
    assert run.take(replay.wait_for(run.state, ending.digest, Cursor(b"s" * 16))) == (
        ReadSpool(Cursor(b"s" * 16), paced=False),
    )
    run.arrive(live("b"))
    run.spool(record(1, "b"))
    assert isinstance(run.state.phase, Reading)
    assert Reached(frozenset({ending.digest})) in run.spool(ending)
    assert isinstance(run.state.phase, Live) and run.got == ["a", "b"]


def test_a_record_awaited_at_the_moment_when_the_spool_meets_the_live_stream_is_not_left_out():
    run = Run()
    run.arrive(live("a"))
    ending = end(1)
    run.take(replay.read(run.state, (record(0, "a"), ending)))
    run.take(replay.wait_for(run.state, ending.digest, Cursor()))
    run.take(replay.written(run.state, 0.0))
    run.spool()
    assert [type(each) for each in run.outputs if isinstance(each, SayKernelEnded | Reached)] == [
        SayKernelEnded, Reached,
    ]  # fmt: skip
    assert run.got == ["a"]


def test_whoever_awaits_a_record_is_told_when_it_never_comes():
    for finish in (replay.give_up, replay.leave):
        run = Run()
        run.take(replay.wait_for(run.state, b"x", Cursor()))
        assert Reached(frozenset({b"x"})) in run.take(finish(run.state))


def test_a_spool_that_cannot_be_read_costs_no_live_message():
    run = Run()
    run.arrive(live("a"))
    run.take(replay.give_up(run.state))
    run.arrive(live("b"))
    assert run.got == ["a", "b"]


def test_a_leaving_server_writes_no_more_output_but_replies():
    run = Run()
    run.take(replay.leave(run.state))
    run.arrive(live("a"))
    run.spool(record(0, "a"))
    run.arrive(live("own", "execute_reply"), channel="shell")
    assert run.got == ["own"] and isinstance(run.state.phase, Leaving)


def test_what_was_held_is_read_from_the_spool_if_it_is_let_go_of_while_the_outputs_are_written(monkeypatch):
    monkeypatch.setattr(replay, "HELD_MAX_MESSAGES", 3)
    run = Run()
    run.arrive(live("c"))
    run.take(replay.read(run.state, [record(number, name) for number, name in enumerate("abcdef")]))
    assert run.got == ["a", "b"]
    run.arrive(*(live(name) for name in "defghi"))  # "f" is one too many, then "g" to "i" are held
    assert run.take(replay.written(run.state, 0.0)) == (ReadOn(0.0),)
    run.spool(*(record(number, name) for number, name in enumerate("ghi", 6)))
    assert run.got == list("abcdefghi") and isinstance(run.state.phase, Live)


def test_a_spool_that_fails_behind_what_was_put_off_costs_only_what_it_says(monkeypatch):
    monkeypatch.setattr(replay, "HELD_MAX_MESSAGES", 2)
    run = Run()
    run.arrive(live("b"))
    run.take(replay.read(run.state, [record(number, name) for number, name in enumerate("abc")]))
    run.arrive(*(live(name, parent=f"cell of {name}") for name in "cdef"))
    run.take(replay.give_up(run.state))
    assert run.got == ["a", "b", "c", "e", "f"]
    assert [(each.count, each.recorded) for each in run.outputs if isinstance(each, SayGap)] == [(3, False)]


def test_messages_that_were_let_go_of_and_never_recorded_are_told_where_they_are_missing(monkeypatch):
    monkeypatch.setattr(replay, "HELD_MAX_MESSAGES", 2)
    run = Run()
    run.spool(now=0.0)
    run.arrive(*(live(name, parent=f"cell of {name}") for name in "abcdefgh"))
    outputs = run.spool(now=1.1)
    size = sum(map(len, live("a", parent="cell of a")))
    assert outputs[0] == SayGap(6, 6 * size, head("cell of a"), recorded=False)
    assert names(outputs) == ["g", "h"] and isinstance(run.state.phase, Live)


def test_messages_that_were_let_go_of_and_read_from_the_spool_are_not_missing(monkeypatch):
    monkeypatch.setattr(replay, "HELD_MAX_MESSAGES", 2)
    run = Run()
    run.arrive(*(live(name) for name in "abc"))
    run.spool(*(record(number, name) for number, name in enumerate("abc")), now=0.0)
    run.spool(now=0.0)
    run.spool(now=3.0)
    assert run.got == ["a", "b", "c"] and isinstance(run.state.phase, Live)
    assert not [each for each in run.outputs if isinstance(each, SayGap)]


def test_a_second_of_a_fast_kernels_smallest_messages_is_held():
    run = Run()
    for number in range(12_000):
        run.arrive(live(f"m{number}"))
    run.spool(now=0.0)
    run.spool(now=1.1)
    assert run.got == [f"m{number}" for number in range(12_000)]


@pytest.mark.parametrize("late", ["", "d", "cd", "bcd"])
@pytest.mark.parametrize("again", ["wait_for", "fell_behind"])
def test_late_live_copies_are_dropped_although_the_spool_was_opened_again(late, again):
    run, ending = Run(), end(4)
    run.spool(*(record(number, name) for number, name in enumerate("abcd")), now=0.0)
    run.spool(now=0.0)
    run.spool(now=3.0)
    assert isinstance(run.state.phase, Live)
    if again == "wait_for":
        run.take(replay.wait_for(run.state, ending.digest, Cursor()))
    else:
        run.take(replay.fell_behind(run.state, Cursor()))
    run.spool(now=3.1)  # from here on messages are held in either case
    before = late[: len(late) // 2]
    run.arrive(*(live(name) for name in before))
    assert run.state.phase.held == ()
    run.spool(ending, now=3.1)
    for now in (3.2, 40.0):
        run.spool(now=now)
    assert isinstance(run.state.phase, Live)
    run.arrive(*(live(name) for name in late[len(before) :]), live("e"))
    assert run.got == ["a", "b", "c", "d", "e"]


def test_of_what_was_read_only_the_newest_is_remembered_and_one_more_copies_a_small_part(monkeypatch):
    monkeypatch.setattr(replay_state, "SEEN_MIN", 2000)
    every = [index.to_bytes(16) for index in range(6000)]
    seen = ()
    for each in every:
        before, seen = seen, remember(seen, frozenset({each}))
        assert {id(part) for part in seen[:-1]} <= {id(part) for part in before}
    assert all(is_in(each, seen) for each in every[-2000:])
    assert 2000 <= sum(map(len, seen)) <= 2512
    assert max(map(len, seen)) == 512
    assert remember(seen, frozenset()) is seen
    uneven = ()
    for begin, size in ((0, 1000), (1000, 1500), (2500, 1200)):
        uneven = remember(uneven, frozenset(every[begin : begin + size]))
    assert [len(part) for part in uneven] == [1500, 1200]
    batch = remember(seen, frozenset(every))
    assert all(is_in(each, batch) for each in every) and len(batch) <= 2


class Kernel:
    """Says messages; the spool has each a little later, the live stream of a connection a little later too."""

    def __init__(self):
        self.log, self.silent = [], False

    def say(self):
        if self.silent:
            return
        number = len(self.log)
        self.log.append((record(number, f"m{number}", at=number), live(f"m{number}", at=number)))


class Page:
    """A browser tab over several connections, and a server that carries the outputs out as websocket.py does."""

    def __init__(self, kernel, chance):
        self.kernel, self.chance = kernel, chance
        self.got, self.acknowledged, self.first, self.now, self.gaps = [], 0, 0, 0.0, 0
        self.connect()

    def connect(self):
        self.run = Run(Cursor(bytes([self.acknowledged % 256]) * 16))
        self.read_from = self.sent = self.acknowledged
        self.live_from = len(self.kernel.log) if self.chance.random() < 0.5 else self.acknowledged
        self.reading, self.unwritten, self.limit = True, [], 0

    def write(self, number):
        self.got.append(number)
        self.sent = number + 1

    def carry_out(self, outputs):
        for each in outputs:
            match each:
                case Deliver(frames=frames):
                    self.write(int(json.loads(frames[1])["msg_id"][1:]))
                case PassOn(messages=messages):
                    for message in messages:
                        if self.limit and self.chance.random() < 0.3:
                            self.limit -= 1
                            self.carry_out(self.run.take(replay.fell_behind(self.run.state, Cursor())))
                            break
                        self.write(int(json.loads(message[3])["msg_id"][1:]))
                case ReadSpool():
                    self.reading, self.read_from, self.unwritten = True, self.sent, []
                case ReadOn(after_s=after_s):
                    self.now += after_s
                case SayGap():
                    self.gaps += 1

    def step(self, slow=1):
        """`slow`: one of so many writes is done."""
        self.now += 0.001
        match self.chance.randrange(6):
            case 0:
                self.kernel.say()
            case 1 if self.live_from < len(self.kernel.log):
                message = self.kernel.log[self.live_from][1]
                self.live_from += 1
                self.carry_out(self.run.arrive(message))
            case 2 if self.reading and not self.unwritten:
                upto = self.chance.randint(self.read_from, len(self.kernel.log))
                batch = [spooled for spooled, _ in self.kernel.log[self.read_from : upto]]
                self.read_from = upto
                self.unwritten = [*self.run.take(replay.read(self.run.state, batch)), None]
            case 3 if self.unwritten and self.chance.random() * slow < 1:
                each = self.unwritten.pop(0)
                if each is not None:
                    self.carry_out([each])
                else:
                    outputs = self.run.take(replay.written(self.run.state, self.now))
                    self.reading = any(isinstance(output, ReadOn) for output in outputs)
                    self.carry_out(outputs)
            case 4:
                self.acknowledged = self.chance.randint(self.acknowledged, max(self.sent, self.acknowledged))
            case 5 if self.chance.random() < 0.02:
                self.lose()

    def lose(self):
        """The connection breaks: what was written and not acknowledged may be written again, and nothing else."""
        assert self.got == list(range(self.first, self.sent)), self.got
        self.connect()
        self.got, self.first = [], self.acknowledged


@pytest.mark.parametrize("seed", range(200))
def test_whatever_the_interleaving_each_message_comes_once_and_in_order(seed):
    chance = random.Random(seed)
    page = Page(Kernel(), chance)
    page.limit = chance.randrange(3)
    for _ in range(600):
        page.step()
    page.kernel.silent = True
    for _ in range(20_000):
        page.step()
        if page.sent == page.live_from == len(page.kernel.log):
            break
    assert page.got == list(range(page.first, len(page.kernel.log))), f"seed {seed}"


@pytest.mark.parametrize("seed", range(200))
def test_a_slow_browser_gets_each_message_once_and_in_order_although_more_arrives_than_is_held(seed, monkeypatch):
    chance = random.Random(seed)
    monkeypatch.setattr(replay, "HELD_MAX_MESSAGES", chance.randint(1, 6))
    page = Page(Kernel(), chance)
    page.limit = chance.randrange(3)
    for _ in range(600):
        page.step(slow=30)
    page.kernel.silent = True
    for _ in range(20_000):
        page.step()
        if page.sent == page.live_from == len(page.kernel.log):
            break
    assert page.got == list(range(page.first, len(page.kernel.log))), f"seed {seed}"
    assert page.gaps == 0, "nothing is missing where there is a recorder"


def test_each_output_names_its_channel_and_the_header_behind_which_the_cursor_stands():
    run = Run()
    first = record(0, "a")
    assert run.spool(first)[0] == Deliver("iopub", first.frames, first.frames[1])
    own = reply(1, "info", SHELL, message="kernel_info_reply")
    assert run.spool(own)[0] == Deliver("shell", own.frames, own.frames[1])
    held = live("held")
    run.arrive(held)
    assert run.take(replay.give_up(run.state)) == (PassOn("iopub", (held,)),)
    message = live("b")
    (passed,) = run.arrive(message)
    assert (passed.channel, passed.messages, passed.replied) == ("iopub", (message,), None)


def test_what_is_put_off_is_merged_once_however_long_the_awaited_record_takes():
    run = Run()
    run.arrive(live("b"))
    run.take(replay.read(run.state, (record(0, "a"), record(1, "b"), record(2, "c"))))
    run.take(replay.wait_for(run.state, b"never", Cursor()))
    run.take(replay.written(run.state, 0.0))
    for now in (0.1, 0.2, 0.3):
        run.spool(now=now)
    assert run.got == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("parent", "name"),
    [(b'{"msg_id": "x"}', "x"), (b"{}", ""), (b"", ""), (b"[]", ""), (b"\xff", ""), (b'{"msg_id": 7}', "7")],
)
def test_the_id_in_a_header(parent, name):
    assert spool.message_id(parent) == name


def test_what_is_held_is_counted_together():
    run = Run()
    third = b"x" * (3 << 20)
    run.arrive(live("a", content=third), live("b", content=third))
    assert held(run) == ["a", "b"]
    run.arrive(live("c", content=third))
    assert run.state.phase.held == () and run.state.phase.held_bytes == 0


def test_whoever_awaits_a_record_of_a_server_that_leaves_is_told_at_once():
    run = Run()
    run.take(replay.leave(run.state))
    assert run.take(replay.wait_for(run.state, b"x", Cursor())) == (Reached(frozenset({b"x"})),)


def test_a_live_reply_keeps_its_channel():
    run = Run()
    own = live("own", "execute_reply", "one")
    assert run.arrive(own, channel="shell") == [PassOn("shell", (own,), spool.tag("one"))]
