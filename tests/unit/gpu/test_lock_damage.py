"""Every damage of the GPU sampler's lock: nobody is stopped by it, and the next sampler takes it."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path

import pytest
from support import damage

from jupyterd.gpu.frame_server import Readers
from jupyterd.launch import sampler_process
from jupyterd.linux import files, proc
from jupyterd.protocol.sampler_lock import SamplerArguments, SamplerPaths

ARGUMENTS = SamplerArguments(10.0)


@pytest.fixture
def places(tmp_path: Path) -> SamplerPaths:
    return SamplerPaths(tmp_path / "gpu.lock", tmp_path / "gpu.sock")


def written(places: SamplerPaths) -> bytes:
    """What a sampler writes; it has let go of the lock since."""
    Readers(places, ARGUMENTS).close()
    return places.lock.read_bytes()


def test_a_damaged_lock_names_nobody_and_is_taken_by_the_next_sampler(places: SamplerPaths) -> None:
    good = written(places)
    for name, spoil in [
        *damage.written(damage.contents(good, 40)), *damage.written(damage.values(good)), *damage.others()
    ]:  # fmt: skip
        damage.remove(places.lock)
        spoil(places.lock)
        assert sampler_process.find(places.lock) is None, name
        with closing(Readers(places, ARGUMENTS)):
            assert files.is_locked(places.lock), name
            found = sampler_process.find(places.lock)
            assert found is not None and found.owner.pid == os.getpid(), name
            os.close(found.pidfd)


def test_a_lock_that_is_held_and_damaged_stops_nobody(places: SamplerPaths) -> None:
    with closing(Readers(places, ARGUMENTS)):
        good = places.lock.read_bytes()
        for name, data in [*damage.contents(good, 40), *damage.values(good)]:
            places.lock.write_bytes(data)
            found = sampler_process.find(places.lock)
            if found is not None:  # a flipped bit may name a process that began in the same hundredth of a second
                assert found.owner.started == proc.started(os.getpid()), name
                os.close(found.pidfd)


@pytest.mark.parametrize("spoil", [name for name, _ in damage.others()])
def test_a_sampler_whose_lock_is_gone_ends_so_that_there_are_not_two(places: SamplerPaths, spoil: str) -> None:
    with closing(Readers(places, ARGUMENTS)) as readers:
        assert readers.send(b"{}\n")
        damage.remove(places.lock)
        dict(damage.others())[spoil](places.lock)
        assert not readers.send(b"{}\n")


@pytest.mark.parametrize("spoil", [name for name, _ in damage.others()])
def test_something_else_in_the_place_of_the_socket(places: SamplerPaths, spoil: str) -> None:
    dict(damage.others())[spoil](places.socket)
    with closing(Readers(places, ARGUMENTS)):
        assert stat.S_ISSOCK(places.socket.lstat().st_mode)
