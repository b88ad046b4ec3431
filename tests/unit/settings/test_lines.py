"""Line numbers of keys: the scanner against TOML that is hard to read, and against tomllib itself."""

from __future__ import annotations

import random
import string
import tomllib

import pytest

from jupyterd.settings.lines import line_numbers, line_of

TEXT = '''\
# a comment with [server] and port = 1
top = 1

[server] # = [x]
ip = [ # "one
  "a#]", 'b"',

  """c
  ]""",
  ["n", { deep = 1 }],
]
port = 8888
"quoted.key" = 1
a . b.'c d' = "x = 1"
text = """
[tls]
port = 9
\\""" x"""""
raw = \'\'\'
key = \'\'\'\'
inline = { x = 1, y.z = "}", w = [1, 2] }
empty = ""
after = \'\'

[[list]]
x = 1
[[list]]
x = 2
[  tls . more  ]
last = 1979-05-27 07:32:00'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("server",), 4),
        (("server", "ip"), 5),
        (("server", "ip", 0), 6),
        (("server", "ip", 1), 6),
        (("server", "ip", 2), 8),
        (("server", "ip", 3), 10),
        (("server", "ip", 3, 1, "deep"), 10),
        (("server", "port"), 12),
        (("server", "quoted.key"), 13),
        (("server", "a", "b", "c d"), 14),
        (("server", "text"), 15),
        (("server", "raw"), 19),
        (("server", "inline", "y", "z"), 21),
        (("server", "empty"), 22),
        (("server", "after"), 23),
        (("list",), 25),
        (("list", 1, "x"), 28),
        (("tls", "more", "last"), 30),
    ],
)
def test_a_key_has_the_line_that_it_stands_on(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)
    assert line_numbers(TEXT).get(path) == line


def test_a_key_without_a_line_has_the_one_of_what_contains_it() -> None:
    found = {("server",): 3}
    assert line_of(found, ("server", "ip", 4)) == 3
    assert line_of(found, ("tls",)) is None


def test_windows_line_ends_count_once() -> None:
    assert line_numbers("[server]\r\n\r\nport = 1\r\nlab = true\r\n")["server", "lab"] == 4


def paths_of(value: object, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path} | {deep for key, inner in items for deep in paths_of(inner, (*path, key))} - {()}


def written(value: object, chance: random.Random) -> str:
    gap = chance.choice(["", " ", "\n", "# x = ]\n"])
    match value:
        case dict():
            return "{" + ", ".join(f'"{key}" = {written(inner, chance)}' for key, inner in value.items()) + "}"
        case list():
            return f"[{gap}" + f",{gap}".join(written(inner, chance) for inner in value) + f"{gap}]"
        case str():
            quote = chance.choice(['"', "'", '"""', "'''"])
            return quote + value + quote
        case _:
            return str(value)


def made(chance: random.Random, depth: int) -> object:
    kind = chance.randrange(4 if depth else 2)
    word = "".join(chance.choices(string.ascii_letters + "#[]{}=,. ", k=chance.randrange(6)))
    match kind:
        case 0:
            return chance.randrange(1000)
        case 1:
            return word
        case 2:
            return [made(chance, depth - 1) for _ in range(chance.randrange(4))]
        case _:
            return {word + str(index): made(chance, depth - 1) for index in range(chance.randrange(4))}


def one_line(text: str) -> str:
    return text.replace("# x = ]\n", "").replace("\n", "")


@pytest.mark.parametrize("seed", range(300))
def test_every_key_and_item_that_tomllib_sees_has_a_line(seed: int) -> None:
    chance = random.Random(seed)
    lines, expected = [], {}
    for index in range(8):
        key = f"key{index}"
        value = made(chance, 3)
        in_table = isinstance(value, dict)
        text = one_line(written(value, chance)) if in_table else written(value, chance)
        if "\n" in text and "{" in text:
            text = one_line(text)  # an inline table stays on one line
        expected[key] = 1 + sum(line.count("\n") + 1 for line in lines)
        lines.append(f"{key} = {text}")
    text = "\n".join(lines)
    document = tomllib.loads(text)
    found = line_numbers(text)
    assert paths_of(document) - {()} <= set(found)
    assert {key: found[key,] for key in expected} == expected
