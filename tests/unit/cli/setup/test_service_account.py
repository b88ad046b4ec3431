"""Whose service ./install makes, from facts about the machine."""

from __future__ import annotations

import io

import pytest

from jupyterd.cli.setup.service_account import PasswdEntry, Undecided, agreed, choose

ROOT = PasswdEntry("root", 0, "/bin/bash")
DAEMON = PasswdEntry("daemon", 1, "/usr/sbin/nologin")
ALICE = PasswdEntry("alice", 1000, "/bin/bash")
BOB = PasswdEntry("bob", 1001, "/usr/bin/fish")
ROBOT = PasswdEntry("robot", 1002, "/usr/sbin/nologin")
NOBODY = PasswdEntry("nobody", 65534, "/usr/sbin/nologin")


@pytest.mark.parametrize(
    ("named", "sudo_user", "accounts", "chosen"),
    [
        ("bob", "alice", (ROOT, ALICE, BOB), BOB),
        ("root", "alice", (ROOT, ALICE), ROOT),
        (None, "bob", (ROOT, ALICE, BOB), BOB),
        (None, "root", (ROOT, DAEMON, ALICE, ROBOT, NOBODY), ALICE),
        (None, "", (ROOT, ALICE), ALICE),
        (None, "gone", (ROOT, ALICE), ALICE),
    ],
)
def test_the_account_is_the_named_one_else_who_called_sudo_else_the_only_human(
    named: str | None, sudo_user: str, accounts: tuple[PasswdEntry, ...], chosen: PasswdEntry
) -> None:
    assert choose(named, {"SUDO_USER": sudo_user}, accounts) == chosen


@pytest.mark.parametrize(
    ("named", "accounts", "words"),
    [
        ("carol", (ROOT, ALICE), ("carol", "adduser carol")),
        (None, (ROOT, DAEMON, NOBODY), ("adduser", "--account root")),
        (None, (ROOT, ROBOT), ("adduser", "--account root")),
        (None, (ROOT, ALICE, BOB), ("--account NAME", "alice, bob")),
    ],
)
def test_nobody_or_several_is_an_error_that_says_what_to_type(
    named: str | None, accounts: tuple[PasswdEntry, ...], words: tuple[str, ...]
) -> None:
    answer = choose(named, {}, accounts)
    assert isinstance(answer, Undecided)
    assert all(word in answer.advice for word in words)


@pytest.mark.parametrize(
    ("typed", "yes"), [("\n", True), ("y\n", True), ("YES\n", True), ("n\n", False), ("what\n", False), ("", False)]
)
def test_enter_agrees_and_the_end_of_input_does_not(typed: str, yes: bool) -> None:  # noqa: FBT001 - a table's column
    questions = io.StringIO()
    assert agreed(ALICE, "/opt/jupyterd/1", io.StringIO(typed), questions) is yes
    assert "runs as alice" in questions.getvalue()
