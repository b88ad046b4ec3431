"""protocol.status: a snapshot that is read back is the one that was written, and what does not fit is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyterd.protocol import status
from jupyterd.protocol.gpu_frames import Gpu, GpuProcess
from jupyterd.protocol.plan import Certificate
from jupyterd.protocol.status import Address, Item, ProcessIdentity, Restart, Snapshot

SNAPSHOT = Snapshot(
    version="1", mode="service", account="ada", state="serving", status="Serving", since=1.5,
    supervisor=ProcessIdentity(10, 100), server=ProcessIdentity(11, 110), spare=None, sampler=None,
    urls=("https://a:8888/",), addresses=(Address("a", "https://a:8888/", ok=True, since=2.0, detail=""),),
    certificate=Certificate("/c.pem", "ab", 0.0, 9.0, ("a", "b"), self_signed=True), kernels=2, kernels_busy=None,
    reloads=0, restarts=1, recent=(Restart(3.0, "killed"),), items=(Item("disk", "error", "full", "df", 4.0),),
    gpus=(Gpu(0, "GPU-1", "RTX", 50.0, None, 1, 2, 3, 4.0, None, throttle=("thermal",),
              processes=(GpuProcess(1, None, None, "ada", None, None, None),)),),
    state_dir="/s",
)  # fmt: skip


def document(**changed: Any) -> dict[str, Any]:
    return {**status.decode(status.encode(SNAPSHOT)), **changed}


def test_what_was_written_is_read_back() -> None:
    assert status.structured(document()) == SNAPSHOT


def test_fields_of_a_later_version_are_ignored_and_absent_ones_have_their_default() -> None:
    later = document(more=1)
    del later["culled"]
    assert status.structured(later) == SNAPSHOT


def test_whole_numbers_are_dates_too() -> None:
    assert status.structured(document(since=2)).since == 2


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"since": "now"}, "since"),
        ({"since": True}, "since"),
        ({"reloads": 1.5}, "reloads"),
        ({"version": None}, "version"),
        ({"supervisor": None}, "supervisor"),
        ({"supervisor": {"pid": 1}}, "supervisor.started"),
        ({"supervisor": 3}, "supervisor"),
        ({"urls": "a"}, "urls"),
        ({"urls": ["a", 1]}, r"urls\[1\]"),
        ({"items": [{"code": 1}]}, r"items\[0\].code"),
        ({"kernels": [2]}, "kernels"),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f": {named} is "):
        status.structured(document(**changed))


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", str(1 << 63), "9" * 400])
def test_a_number_that_is_no_date_is_refused(number: str) -> None:
    text = json.dumps(document()).replace('"since": 1.5', f'"since": {number}')
    with pytest.raises(ValueError, match="holds the number"):
        status.decode(text.encode())
