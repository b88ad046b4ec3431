"""etc/jupyterd.toml is the sample, and every line of it works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from jupyterd.settings import load, sample, table

ROOT = Path(__file__).parents[3]
HOME = Path("/home/ada")


def loaded(text: str, path: Path) -> load.Loaded:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return load.load(load.sources("foreground", path, {"HOME": str(HOME)}, {}))


def test_the_file_in_the_repository_is_the_sample() -> None:
    """To generate it again: python -m jupyterd config sample > etc/jupyterd.toml."""
    assert (ROOT / "etc/jupyterd.toml").read_text(encoding="utf-8") == sample.text()


def test_every_commented_line_is_a_default(tmp_path: Path) -> None:
    text = re.sub(r"^#(?=[a-z_]+ = )", "", sample.text(), flags=re.MULTILINE)
    found = loaded(text, tmp_path / "x.toml")
    assert found.settings == loaded("", tmp_path / "y.toml").settings
    assert {origin.place for origin in found.origins.values()} == {str(tmp_path / "x.toml")}
    lines = text.splitlines()
    assert all(lines[(origin.line or 0) - 1].startswith(name.split(".")[-1]) for name, origin in found.origins.items())


def test_every_example_works(tmp_path: Path) -> None:
    text = re.sub(r"^# Example: ", "", sample.text(), flags=re.MULTILINE)
    found = loaded(text, tmp_path / "x.toml")
    named = [row for row in table.SETTINGS.values() if row.example is not None]
    assert len(named) > 5
    assert all(found.origins[row.name].place == str(tmp_path / "x.toml") for row in named)


def test_as_it_is_it_changes_nothing(tmp_path: Path) -> None:
    sections: dict[str, object] = {section.name: {} for section in table.SECTIONS if "." not in section.name}
    sections |= {"kernels": {"gpu": {}}, "gpu": {"cull": {}}}
    assert tomllib.loads(sample.text()) == sections
    assert loaded(sample.text(), tmp_path / "x.toml").settings == loaded("", tmp_path / "y.toml").settings


def test_chosen_values_are_set_in_it() -> None:
    text = sample.text({"server.ip": ["*"], "server.allow_root": True})
    assert tomllib.loads(text)["server"] == {"ip": ["*"], "allow_root": True}
    assert len(text.splitlines()) == len(sample.text().splitlines())


def test_it_is_plain_and_narrow() -> None:
    assert sample.text().isascii()
    assert max(map(len, sample.text().splitlines())) <= 120
    assert sample.text().endswith("\n")


def test_every_row_of_the_table_agrees_with_its_annotation() -> None:
    kinds = {"bool": bool, "int": int, "float": float, "str": str, "list": tuple}
    assert all(type(row.default) is kinds[row.kind] for row in table.SETTINGS.values())
    settings = table.build({})
    annotations = {
        (section.name, key): annotation
        for section in table.SECTIONS
        for key, annotation in type(getattr(settings, section.name.replace(".", "_"))).__annotations__.items()
    }
    words = {"list": "tuple[str, ...]"}
    assert annotations == {(row.section, row.key): words.get(row.kind, row.kind) for row in table.SETTINGS.values()}


def test_every_default_is_allowed_and_says_what_it_is() -> None:
    for row in table.SETTINGS.values():
        assert row.doc.endswith("."), row.name
        assert "\n" not in row.doc
        assert (row.least is None) == (row.most is None)
        if isinstance(row.default, int | float) and row.least is not None and row.most is not None:
            assert row.least <= row.default <= row.most
        assert not row.choices or row.default in row.choices


def test_names_are_used_once() -> None:
    rows = table.SETTINGS.values()
    for names in ([row.flag for row in rows], [row.variable for row in rows]):
        assert len(names) == len(set(names))
