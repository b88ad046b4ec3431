"""Every kind of problem, declared once: stable code, severity, how long before it shows, what explains it.

What is wrong now is computed from the world each time (conditions.py) and never stored; what is stored is since when it
holds and whether it was announced. A condition becomes visible after `visible_after_s`, is announced once unless a
visible one of its `hidden_by` explains it, and stays announced until it is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from jupyterd.protocol import server_channel
from jupyterd.protocol.value import value

Severity = Literal["error", "warning"]


@value
class HealthKind:
    """`hidden_by` names codes that explain this one: while they are visible, this one is not shown."""

    code: str
    severity: Severity
    visible_after_s: float = 0.0
    hidden_by: tuple[str, ...] = ()


SERVER_DOWN = HealthKind("server-down", "error", visible_after_s=5.0, hidden_by=("waiting",))
"""The server does not serve."""
CANNOT_START = HealthKind("server-cannot-start", "error")
"""The server says why it cannot start."""
WAITING = HealthKind("waiting", "error", visible_after_s=1.0)
"""The machine is not ready for the server."""
PORT = HealthKind("listen", "error", visible_after_s=1.0)
"""An address cannot be listened on."""
ADDRESS_UNREACHABLE = HealthKind(
    "address-unreachable", "warning", visible_after_s=10.0, hidden_by=("server-down", "waiting")
)
"""An address does not answer."""
CERTIFICATE_DIFFERS = HealthKind("certificate-differs", "warning", visible_after_s=10.0)
"""Another certificate is served than the one on disk."""
CERTIFICATE_EXPIRED = HealthKind("certificate-expired", "error")
"""The certificate has expired."""
CERTIFICATE_EARLY = HealthKind("certificate-not-yet-valid", "error")
"""The certificate is not valid yet."""
CERTIFICATE_ENDS = HealthKind("certificate-ends", "warning")
"""The certificate ends soon."""
CERTIFICATE_ALMOST_OVER = HealthKind("certificate-almost-over", "error")
"""Nobody has renewed the certificate."""
SETTINGS_REFUSED = HealthKind("settings-refused", "warning")
"""The settings on disk are refused; older ones are in force."""
LIVE_REFUSED = HealthKind("live-refused", "warning")
"""The running server refused a changed setting."""
SERVER_BUSY = HealthKind("server-busy", "warning")
"""An earlier server still works on a request, or waits for a disk, while another one serves."""
USER_MANAGER = HealthKind(server_channel.USER_MANAGER, "error")
"""The account's user manager, in which kernels, terminals, recorder and sampler live, does not run."""
NOT_RECORDED = HealthKind(server_channel.NOT_RECORDED, "warning", visible_after_s=3.0, hidden_by=("user-manager",))
"""No recorder listens to the kernels."""
RECORDER_ENDS = HealthKind(server_channel.RECORDER_ENDS, "warning", hidden_by=("user-manager", "output-not-kept"))
"""The recorder ends again and again."""
WEDGED = HealthKind("wedged", "error")
"""A process does not end even after SIGKILL."""
WEDGED_RELAY = HealthKind("wedged-sampler-relay", "error")
"""The same for the sampler relay, which explains SAMPLER. People see the code "wedged"."""
SAMPLER = HealthKind("gpu-sampler", "warning", hidden_by=("wedged-sampler-relay", "user-manager"))
"""The GPU sampler does not work."""
GPU = HealthKind("gpu", "error")
"""A GPU or its driver is in trouble."""
GPU_ERROR = HealthKind("gpu-error", "error")
"""A GPU has reported an error that needs attention."""
GPU_XID = HealthKind("gpu-xid", "warning")
"""A GPU has reported an error."""
GPU_SLOWED = HealthKind("gpu-slowed", "warning", visible_after_s=90.0)
"""A GPU is slowed down, in two readings a minute apart."""
GPU_FULL = HealthKind("gpu-memory-full", "warning", visible_after_s=30.0)
"""A GPU's memory is nearly full."""
GPU_HELD = HealthKind("gpu-memory-held", "warning", visible_after_s=3600.0)
"""A GPU does nothing and its memory is held."""
GPU_DRIVER_CHANGED = HealthKind("gpu-driver-changed", "warning")
"""The GPU driver on disk is not the one that runs."""
CULL_SOON = HealthKind("gpu-cull-soon", "warning")
"""A kernel is ended soon to free a GPU."""
ADVISED = HealthKind("advised", "warning")
"""The settings work, but the planner recommends a change."""

_OF_SERVER = {each.code: each for each in (USER_MANAGER, NOT_RECORDED, RECORDER_ENDS)}


def of_server(code: str) -> HealthKind:
    """The kind of a problem that the server reports. A server of a later version may know more of them."""
    return _OF_SERVER.get(code) or HealthKind(code, "warning")


@value
class Condition:
    """Something is wrong now. Two with the same kind and `about` are the same problem, whatever the text says."""

    kind: HealthKind
    about: str
    text: str
    advice: str
    code: str = ""
    """A more exact code than the kind's, where somebody else (the planner) has named it."""

    @property
    def named(self) -> str:
        """The code that people see."""
        return self.code or self.kind.code


@value
class ActiveCondition:
    """A condition, since when it holds, whether that is long enough to show it, and whether it has been announced
    (a visible one is not while another explains it).
    """

    condition: Condition
    since: float
    visible: bool
    announced: bool


def update(
    held: Sequence[ActiveCondition], conditions: Iterable[Condition], now: float
) -> tuple[tuple[ActiveCondition, ...], tuple[Condition, ...], tuple[ActiveCondition, ...]]:
    """Compare the conditions of this moment with those held before; `now` is monotonic.

    Returns (what holds now, the conditions to announce, the announced ones that are over).
    """
    before = {(each.condition.kind.code, each.condition.about): each for each in held}
    seen: dict[tuple[str, str], ActiveCondition] = {}
    for condition in conditions:
        key = (condition.kind.code, condition.about)
        old = before.get(key)
        since = now if old is None else old.since
        visible = now >= since + condition.kind.visible_after_s
        seen[key] = ActiveCondition(condition, since, visible, announced=old is not None and old.announced)
    explained = {each.condition.kind.code for each in seen.values() if each.visible}
    after, raised = [], []
    for each in seen.values():
        shows = each.visible and not explained.intersection(each.condition.kind.hidden_by)
        if shows and not each.announced:
            raised.append(each.condition)
        after.append(replace(each, announced=each.announced or shows))
    cleared = tuple(each for key, each in before.items() if each.announced and key not in seen)
    return tuple(after), tuple(raised), cleared


def deadline(held: Sequence[ActiveCondition]) -> float | None:
    """The monotonic time at which the next condition becomes visible; None when all are."""
    return min((each.since + each.condition.kind.visible_after_s for each in held if not each.visible), default=None)
