"""A sampler's arguments and its lock file: what is written is read, and what another version wrote is no crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyterd.protocol import sampler_lock
from jupyterd.protocol.sampler_lock import LockOwner, SamplerArguments, SamplerPaths

FULL = SamplerArguments(
    2.5, 60.0, Path("/state/kernels"), Path("/state/sessions.db"), Path("/home/ada"),
    SamplerPaths(Path("/state/gpu.lock"), Path("/run/gpu.sock")), "1.0", Path("/state/gpu.db"), 30, cpu_time=True,
)  # fmt: skip


@pytest.mark.parametrize("arguments", [FULL, SamplerArguments(1.0)])
def test_both_ways(arguments: SamplerArguments) -> None:
    assert sampler_lock.decode_arguments(sampler_lock.encode_arguments(arguments)) == arguments
    owner = LockOwner(7, 99, arguments)
    assert sampler_lock.decode(sampler_lock.encode(owner)) == owner


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "[]", "1", "{}", '{"every_s": 0}', '{"every_s": -1}', '{"every_s": NaN}', '{"every_s": Infinity}',
        '{"every_s": "1"}', '{"every_s": 1, "colour": "red"}', '{"every_s": 1, "paths": {"lock": "/x"}}',
        '{"every_s": 1, "history_every_s": 0}', '{"every_s": 1, "details_every_s": null}',
    ],
)  # fmt: skip
def test_other_arguments_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        sampler_lock.decode_arguments(text)


@pytest.mark.parametrize(
    "document",
    [
        {"pid": 7, "started": 99, "words": ["--every", "10", "--version", "0.1"]},  # jupyterd 0.1
        {"pid": 7, "started": 99, "arguments": {"every_s": 1, "colour": "red"}},  # a later one
        {"pid": 7, "started": 99, "arguments": None},
    ],
)
def test_the_sampler_of_another_version_is_known_and_never_the_wanted_one(document: dict[str, object]) -> None:
    owner = sampler_lock.decode(json.dumps(document).encode())
    assert (owner.pid, owner.started, owner.arguments) == (7, 99, None)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"pid": 7}', b"\xff"])
def test_a_lock_without_a_process(data: bytes) -> None:
    with pytest.raises(ValueError, match="does not name a sampler"):
        sampler_lock.decode(data)
