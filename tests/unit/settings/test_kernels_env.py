"""[kernels.env]: a section or a list of NAME=VALUE, from every layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyterd.settings import load
from jupyterd.settings.problems import Invalid


def loaded(tmp_path: Path, text: str, environ: dict[str, str] | None = None, **options: str) -> tuple[str, ...]:
    file = tmp_path / "jupyterd.toml"
    file.write_text(text)
    file.chmod(0o600)
    overrides = {name.replace("_", ".", 1): value for name, value in options.items()}
    return load.load(load.sources("foreground", file, environ or {}, overrides)).settings.kernels.env


def refused(tmp_path: Path, text: str, **options: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        loaded(tmp_path, text, **options)
    return [str(each).removeprefix(str(tmp_path)) for each in caught.value.problems]


def test_a_section_and_a_list_are_the_same(tmp_path: Path) -> None:
    section = '[kernels.env]\nA = "1"\nB = "x=y,z:${A}"\nEMPTY = ""\n'
    listed = '[kernels]\nenv = ["A=1", "B=x=y,z:${A}", "EMPTY="]\n'
    assert loaded(tmp_path, section) == loaded(tmp_path, listed) == ("A=1", "B=x=y,z:${A}", "EMPTY=")
    assert loaded(tmp_path, "", {"JUPYTERD_KERNELS_ENV": "A=1,B=2"}) == ("A=1", "B=2")
    assert loaded(tmp_path, section, kernels_env="C=3") == ("C=3",)  # a later layer wins, as with every list


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[kernels.env]\nTHREADS = 4\n", "kernels.env.THREADS is 4"),
        ('[kernels.env]\n"A B" = "1"\n', 'kernels.env holds "A B=1"'),
        ('[kernels.env]\nA = "1\\n2"\n', "kernels.env holds control characters"),
        ('[kernels]\nenv = ["A=1", "A=2"]\n', "kernels.env sets A twice"),
        ('[kernels]\nenv = ["A"]\n', 'kernels.env holds "A"'),
        ("[kernels]\nenv = 3\n", "kernels.env is 3"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, problem: str) -> None:
    (said,) = refused(tmp_path, text)
    assert problem in said


def test_a_comma_on_the_command_line_is_explained(tmp_path: Path) -> None:
    (said,) = refused(tmp_path, "", kernels_env="CUDA_VISIBLE_DEVICES=0,1")
    assert "can only be written in a file" in said
