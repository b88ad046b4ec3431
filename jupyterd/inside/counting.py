"""Counts kernels, and busy ones among them, and tells when a count changes. Nothing is polled.

Neighbour: manager.py, which starts, adopts and ends them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyterd.inside.manager import KernelManager


class CountingKernelManager(KernelManager):
    """Jupyter's hooks: a kernel is watched from its start or adoption on, and removed once."""

    _told: Callable[[int, int], None] | None = None
    _last: tuple[int, int] | None = None

    def tell(self, told: Callable[[int, int], None] | None) -> None:
        """From now on `told` gets (kernels, busy kernels): at once, then at each change; None: nobody does."""
        self._told, self._last = told, None
        self._changed()

    def start_watching_activity(self, kernel_id: str) -> None:
        """Jupyter's hook: a kernel is there."""
        super().start_watching_activity(kernel_id)
        self._kernels[kernel_id].observe(self._changed, "execution_state")
        self._changed()

    def remove_kernel(self, kernel_id: str) -> Any:  # noqa: ANN401 - Jupyter's own
        """Jupyter's hook: a kernel is gone, whatever the cause."""
        removed = super().remove_kernel(kernel_id)
        self._changed()
        return removed

    def counts(self) -> tuple[int, int]:
        """(kernels, busy kernels)."""
        states = [getattr(each, "execution_state", None) for each in self._kernels.values()]
        return len(states), sum(state in ("busy", "starting", "restarting") for state in states)

    def _changed(self, _change: object = None) -> None:
        counts = self.counts()
        if counts != self._last and self._told is not None:
            self._last = counts
            self._told(*counts)
