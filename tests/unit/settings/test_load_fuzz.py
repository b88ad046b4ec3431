"""Whatever the files and variables hold: Settings or Invalid, in no time, and never a secret."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from jupyterd.settings import load, sample, table
from jupyterd.settings.address_rules import advice, name_advice
from jupyterd.settings.lines import line_numbers
from jupyterd.settings.problems import Invalid

WORDS = [
    *table.SECTION_NAMES, *(row.key for row in table.SETTINGS.values()), "[", "]", "[[", "]]", "{", "}", "=",
    ".", ",", "\n",
    '"', "'", '"""', "'''", "#", " ", "\\", "\\u0000", "true", "1", "1e9", "nan", "1979-05-27", "*", "0.0.0.1",
    "~", "/", ":",
    "NotebookApp", "c.", "\r\n", "\x00", "é", "\u202e", "server.port = 1", "[server]\n", "[login]\n", "token = 'x'",
]  # fmt: skip


def survives(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    assert all(line.isprintable() for line in outcome(path, {"HOME": "/home/ada"}, {}))


def outcome(path: Path | None, environ: dict[str, str], overrides: dict[str, str | bool]) -> list[str]:
    try:
        load.load(load.sources("foreground", path, environ, overrides))
    except Invalid as invalid:
        return [str(each) for each in invalid.problems] or ["no problem is no reason"]
    return []


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        survives(chance.randbytes(chance.randrange(200)), tmp_path / "x")


@pytest.mark.parametrize("seed", range(8))
def test_random_words_of_toml(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        text = "".join(chance.choices(WORDS, k=chance.randrange(30)))
        line_numbers(text)
        survives(text.encode(), tmp_path / "x")


VALUES = [
    "1", "-1", "1.5", "nan", "true", '""', '"x"', '"*"', "[]", '["a", 1]', "[[]]", "{}", "{ a = 1 }",
    "1979-05-27", "07:32:00",
    '"\\u0000"', '"' + "x" * 5000 + '"', "[" + '"",' * 500 + "]", "9" * 300, '"~x"', '"${HOME}"',
    '"::ffff:1.2.3.4"', '"[::1"', '"a:b:c"',
    '"1.2.3.4.5"', '"٣.٣.٣.٣"', '"²"', '"http://[::1"',
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_known_settings_with_random_values(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for _ in range(20):
        text = "".join(
            f"[{section.name}]\n" + "".join(f"{row.key} = {chance.choice(VALUES)}\n" for row in section.settings)
            for section in table.SECTIONS
        )
        survives(text.encode(), tmp_path / "x")


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_sample(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    good = sample.text().replace("\n#", "\n").encode()
    for _ in range(10):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        survives(bytes(data), tmp_path / "x")


@pytest.mark.parametrize("seed", range(8))
def test_random_texts_in_the_environment_and_on_the_command_line(seed: int) -> None:
    chance = random.Random(seed)
    letters = [*"0123456789.:*[]/,- abclo%\n~$", "localhost", "::1", "é", "²", "\udcff", "http://"]
    for row in table.SETTINGS.values():
        for _ in range(10):
            text = "".join(chance.choices(letters, k=chance.randrange(12)))
            advice(text)
            name_advice(text)
            for environ, overrides in (({row.variable: text}, {}), ({}, {row.name: text})):
                lines = outcome(None, {"XDG_CONFIG_HOME": "/nowhere", **environ}, overrides)
                assert all(line.isprintable() for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_largest_file_is_read_in_time(tmp_path: Path) -> None:
    """A hostile text must not make the scanner of lines quadratic: that would take hours."""
    texts = [
        "[server]\nnames = [" + '"a",' * 200_000 + "]",
        "#\n" * 400_000,
        "\n".join(f"k{n} = 1" for n in range(20_000)),
    ]
    for text in texts:
        survives(text.encode()[: 1 << 20], tmp_path / "x")
