"""Counts kernels, and busy ones among them, knows the idle ones, and tells when that changes. Nothing is polled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyterd.protocol.server_channel import KernelCounts
from jupyterd.server.kernels.manager import KernelManager


class CountingKernelManager(KernelManager):
    """Jupyter's hooks: a kernel is watched from its start or adoption on, and removed once."""

    _told: Callable[[KernelCounts], None] | None = None
    _last: KernelCounts | None = None

    def tell(self, told: Callable[[KernelCounts], None] | None) -> None:
        """From now on `told` gets them: at once, then at each change; None: nobody does."""
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

    def counts(self) -> KernelCounts:
        """A kernel whose state is not known, as one that was adopted a moment ago, is not idle."""
        states = {name: getattr(each, "execution_state", None) for name, each in self._kernels.items()}
        busy = sum(state in ("busy", "starting", "restarting") for state in states.values())
        return KernelCounts(len(states), busy, tuple(name for name, state in states.items() if state == "idle"))

    def _changed(self, _change: object = None) -> None:
        counts = self.counts()
        if counts != self._last and self._told is not None:
            self._last = counts
            self._told(counts)
