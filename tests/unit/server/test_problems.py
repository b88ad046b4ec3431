"""What the server says is wrong: all of it, at each change and then only."""

from __future__ import annotations

from jupyterd.protocol import server_channel
from jupyterd.server.problems import ProblemReporter


def test_all_is_said_at_once_at_each_change_and_then_only():
    said: list[tuple] = []
    problems = ProblemReporter()
    problems.put("user-manager", "it ended", "type this")
    problems.report_to(lambda message: said.append(message.problems))
    problems.put("user-manager", "it ended", "type this")
    problems.put("output-not-kept", "no recorder", "look", about="k1")
    problems.put("user-manager", "it was killed", "type this")
    problems.clear("user-manager", about="k1")
    problems.clear("user-manager")
    problems.clear("user-manager")
    problems.report_to(None)
    problems.clear("output-not-kept", about="k1")
    manager, killed = ("user-manager", "", "it ended", "type this"), ("user-manager", "", "it was killed", "type this")
    recorder = ("output-not-kept", "k1", "no recorder", "look")
    assert said == [(manager,), (manager, recorder), (killed, recorder), (recorder,)]


def test_the_problems_of_one_code_are_replaced_together():
    said: list[tuple] = []
    problems = ProblemReporter()
    problems.report_to(lambda message: said.append(message.problems))
    problems.put("user-manager", "it ended", "type this", about="alice")
    problems.put("output-not-kept", "no recorder", "look")
    for found in ({"full": ("of a.ipynb", "df")}, {"full": ("of a.ipynb", "df")}, {"broken": ("of b.ipynb", "df")}, {}):
        problems.replace("output-not-kept", found)
    others = (("user-manager", "alice", "it ended", "type this"), ("output-not-kept", "", "no recorder", "look"))
    full, broken = (("output-not-kept", why, f"of {of}.ipynb", "df") for why, of in (("full", "a"), ("broken", "b")))
    assert said[3:] == [(*others, full), (*others, broken), others]


def test_a_server_without_problems_says_so():
    said: list[server_channel.Problems] = []
    ProblemReporter().report_to(said.append)
    assert [server_channel.decode(server_channel.encode(each).strip()) for each in said] == [
        server_channel.Problems(())
    ]
