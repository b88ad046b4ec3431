from __future__ import annotations

from jupyterd.cli.doctor.page import Screen, page, summary
from jupyterd.cli.doctor.verdict import Verdict

LONG = "sudo nft insert rule inet filter input ip saddr 192.168.1.0/24 tcp dport 8888 accept"
VERDICTS = (
    Verdict(
        "port", "wrong", "0.0.0.0:8888 and [::]:8888 are held by nginx (pid 7, user www-data), nginx.service", (LONG,)
    ),
    Verdict("login", "good", "a password is set"),
    Verdict(
        "clock",
        "notice",
        "not set by the network",
        ("give the name to your router or to your own name server, or take it out",),
    ),
    Verdict("gpu", "unknown", "no answer within 6 s"),
)
SHOWN = """\
good     login          a password is set
unknown  gpu            no answer within 6 s
notice   clock          not set by the network
                        fix: give the name to your router or to your own name
                             server, or take it out
wrong    port           0.0.0.0:8888 and [::]:8888 are held by nginx (pid 7,
                        user www-data), nginx.service
                        type: sudo nft insert rule inet filter input ip saddr 192.168.1.0/24 tcp dport 8888 accept

1 wrong, 1 notice, 1 unknown, 1 good
"""


def test_what_is_wrong_stands_last_and_only_commands_are_wider_than_the_terminal() -> None:
    assert page(VERDICTS, Screen()) == SHOWN
    painted = page(VERDICTS, Screen(colour=True))
    assert "\x1b[31;1mwrong\x1b[0m    port" in painted
    for code in ("\x1b[31;1m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[0m"):
        painted = painted.replace(code, "")
    assert painted == SHOWN


def test_the_summary_of_a_well_machine() -> None:
    assert summary((VERDICTS[1],)) == "Nothing is wrong, 1 good"


def test_a_text_cannot_paint_the_terminal() -> None:
    assert "\x1b" not in page((Verdict("disk", "wrong", "\x1b[2J\r/x", ("\x1b]0;title\a",)),), Screen())
