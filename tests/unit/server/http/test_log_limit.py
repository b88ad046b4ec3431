from __future__ import annotations

from jupyterd.server.http.log_limit import LINES, PERIOD_S, LogLimit


def test_lines_beyond_the_budget_are_counted_and_told_in_one():
    now, said = [0.0], []
    budget = LogLimit(said.append, "guests", clock=lambda: now[0])
    assert sum(budget.take() for _ in range(1000)) == LINES
    assert said == []
    now[0] = PERIOD_S + 1
    assert budget.take()
    assert said == ["940 more guests in the last 61 s"]
    now[0] *= 3
    assert budget.take()
    assert len(said) == 1
