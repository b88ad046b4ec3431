"""Values are changed in a person's own file, and nothing else in it."""

from __future__ import annotations

import random
import tomllib

import pytest

from jupyterd.settings import sample
from jupyterd.settings.sample import edited

MINE = """\
# my machine
[server]
ip = ["127.0.0.1",  # here
      "192.168.1.7"]
port = 8888  # as ever

[login]
# token = "x"
"""


def test_a_value_is_replaced_and_its_comment_stays() -> None:
    assert edited(MINE, {"server.port": 9999}) == MINE.replace("port = 8888", "port = 9999")


def test_a_list_over_several_lines_becomes_one() -> None:
    after = edited(MINE, {"server.ip": ("*",)})
    assert after == MINE.replace('ip = ["127.0.0.1",  # here\n      "192.168.1.7"]', 'ip = ["*"]  # here')


def test_what_is_so_already_changes_nothing() -> None:
    assert edited(MINE, {"server.port": 8888, "server.ip": ("127.0.0.1", "192.168.1.7")}) == MINE


def test_a_new_key_goes_into_its_section_and_a_new_section_to_the_end() -> None:
    after = edited(MINE, {"server.root_dir": "/data", "tls.certificate": "/etc/a.pem"})
    assert after.startswith('# my machine\n[server]\nroot_dir = "/data"\nip = ')
    assert after.endswith('\n[tls]\ncertificate = "/etc/a.pem"\n')


def test_the_line_of_the_sample_is_used() -> None:
    before = sample.text({"server.ip": ["*"]})
    after = edited(before, {"server.port": 443, "login.token": 'with "quotes" \\ and more'})
    changed = [(a, b) for a, b in zip(before.split("\n"), after.split("\n"), strict=True) if a != b]
    assert changed == [("#port = 8888", "port = 443"), ('#token = ""', r'token = "with \"quotes\" \\ and more"')]


@pytest.mark.parametrize("text", ["server = {port = 1}\n", "server = 3\n", "not toml"])
def test_what_a_program_cannot_change_is_left_to_a_person(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - tomllib's and ours
        edited(text, {"server.port": 9999})


def test_dotted_keys_and_strange_files_come_out_as_meant() -> None:
    pieces = [
        "server.port = 1\n", '[tls]\n"certificate" = "/a"\n', "[gpu]\r\nenabled = true\r\n", "# [server]\n",
        '[login]\ntoken = """\na\nport = 5\n"""\n', "[kernels]\ncpu_weight = 7 # port = 3\n", "\n\n",
    ]  # fmt: skip
    wanted = {"server.port": 9999, "tls.certificate": "/b", "gpu.enabled": False, "kernels.cpu_weight": 8}
    for seed in range(300):
        dice = random.Random(seed)
        text = "".join(dice.sample(pieces[1:], dice.randint(0, 6)))
        text = pieces[0] + text if dice.random() < 0.5 else text
        before, after = tomllib.loads(text), tomllib.loads(edited(text, wanted))
        for name, value in wanted.items():
            section, key = name.split(".")
            assert after[section].pop(key) == value, seed
            before.get(section, {}).pop(key, None)
        assert {k: v for k, v in after.items() if v} == {k: v for k, v in before.items() if v}, seed
