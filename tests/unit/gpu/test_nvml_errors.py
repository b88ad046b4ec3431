"""Each error code becomes a sentence, something to type, and a time to look again."""

from __future__ import annotations

import pytest

from jupyterd.gpu import nvml_errors


@pytest.mark.parametrize("code", [1, 4, 9, 12, 13, 15, 16, 18, 28, 999, 12345])
def test_every_driver_trouble_says_what_and_what_to_type(code: int) -> None:
    found = nvml_errors.of_driver(code, "its own word")
    assert found.text
    assert found.advice
    assert "{" not in found.text
    assert 10 <= found.again_s <= found.at_most_s <= 3600


@pytest.mark.parametrize("code", [12, 13, 999, 12345])
def test_what_we_do_not_understand_is_quoted(code: int) -> None:
    assert "its {own} word" in nvml_errors.of_driver(code, "its {own} word").text


def test_only_a_changed_library_needs_a_new_process() -> None:
    assert [code for code in range(1000) if nvml_errors.of_driver(code, "").fresh] == [13, 18]


def test_gpu_troubles_are_phrases() -> None:
    assert "lost" in nvml_errors.of_gpu(15, "")
    assert "reset" in nvml_errors.of_gpu(16, "")
    assert "999" in nvml_errors.of_gpu(999, "Unknown Error")
