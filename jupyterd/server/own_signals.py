"""The signals by which supervisor and terminal talk to the server stay its own, whatever an extension installs."""

from __future__ import annotations

import signal
from collections.abc import Collection
from typing import Any


def keep(numbers: Collection[int]) -> None:
    """From now on signal.signal() changes nothing for these signals; it answers as if it had. simpervisor, which
    jupyter-server-proxy uses, installs a SIGTERM handler that leaves at once: answers in progress would be cut off.
    """
    change = signal.signal

    def guarded(number: int, handler: Any) -> Any:  # noqa: ANN401 - signal.signal's own types
        return signal.getsignal(number) if number in numbers else change(number, handler)

    signal.signal = guarded  # type: ignore[assignment]  # typeshed has more exact types
