"""Why a child ends: what people read, and what counts as a failure. Every reason has a row."""

from __future__ import annotations

from typing import get_args

import pytest

from jupyterd.core import reasons
from jupyterd.core.reasons import (
    AddressesChanged,
    Exited,
    ExitReason,
    HelperTimeout,
    NotStarted,
    ProcessStopped,
    Retired,
    ServiceStops,
    SettingsChanged,
    Signalled,
    SpareMisfit,
    StartTimeout,
    Unfinished,
    Unresponsive,
)

ROWS: list[tuple[ExitReason, bool, str]] = [
    (ServiceStops(), False, "was stopped"),
    (ServiceStops(at_once=True), False, "was stopped at once"),
    (SettingsChanged(), False, "was restarted for changed settings"),
    (AddressesChanged(), False, "was restarted for changed addresses"),
    (SpareMisfit(), False, "no longer fits the settings"),
    (ProcessStopped(), True, "was replaced because it was stopped (state T)"),
    (Unresponsive("HTTP 500"), True, "was replaced because it did not answer on any address (HTTP 500)"),
    (Retired("it works"), True, "is busy with a request (it works)"),
    (Unfinished(1800.0), True, "has not finished its requests within 30 min"),
    (StartTimeout(90.0, ready=False), True, "did not report that it is ready within 90 s"),
    (StartTimeout(90.0, ready=True), True, "did not answer on every address within 90 s"),
    (HelperTimeout(), True, "did not respond in time"),
    (Exited(3), True, "ended by itself with exit code 3"),
    (Signalled("SIGSEGV"), True, "was ended by SIGSEGV"),
    (NotStarted("no memory"), True, "could not be started: no memory"),
]


@pytest.mark.parametrize(("reason", "failure", "text"), ROWS)
def test_reason(reason: ExitReason, *, failure: bool, text: str) -> None:
    assert (reasons.counts_as_failure(reason), reasons.text(reason)) == (failure, text)


def test_every_reason_has_a_row() -> None:
    assert {type(reason) for reason, _, _ in ROWS} == set(get_args(ExitReason))
