"""Why a child ends or has ended: a closed set, with its text for people and whether it counts as a failure."""

from __future__ import annotations

from typing import assert_never

from jupyterd.protocol.value import value


@value
class ServiceStops:
    """The whole service stops; `at_once`: somebody asked a second time, so nothing is waited for."""

    at_once: bool = False


@value
class SettingsChanged:
    """The plan asks for another program, environment or start setting."""


@value
class AddressesChanged:
    """Other sockets are open than the server has inherited."""


@value
class SpareMisfit:
    """The spare was started for settings that have changed since."""


@value
class ProcessStopped:
    """The server's process is in state T (SIGSTOP, a debugger)."""


@value
class Unresponsive:
    """The server hangs: no address answered. `problem`: what the last probe of the first address saw."""

    problem: str


@value
class StartTimeout:
    """The server did not begin to serve in time. `ready`: it said Ready, and then did not answer every probe."""

    after_s: float
    ready: bool


@value
class HelperTimeout:
    """A helper ran past its deadline, or the sampler relay sent no frame in time."""


@value
class Exited:
    """The process ended by itself."""

    code: int


@value
class Signalled:
    """A signal that the supervisor did not send ended the process. `signal`: "SIGKILL" and so on."""

    signal: str


@value
class NotStarted:
    """There was no process. `problem`: the system's own words."""

    problem: str


StopReason = (
    ServiceStops
    | SettingsChanged
    | AddressesChanged
    | SpareMisfit
    | ProcessStopped
    | Unresponsive
    | StartTimeout
    | HelperTimeout
)
"""Why the supervisor ends a child."""

ExitReason = StopReason | Exited | Signalled | NotStarted
"""Why a child is not there: the supervisor ended it, or it ended without being asked."""


def counts_as_failure(reason: ExitReason) -> bool:
    """Whether it adds to the failure score and calls for a back-off: all but what the supervisor itself wanted."""
    return not isinstance(reason, ServiceStops | SettingsChanged | AddressesChanged | SpareMisfit)


def text(reason: ExitReason) -> str:  # noqa: C901, PLR0911 - one line a reason
    """The rest of a sentence whose subject is the process: "the server " + "was ended by SIGKILL"."""
    match reason:
        case ServiceStops(at_once):
            return "was stopped at once" if at_once else "was stopped"
        case SettingsChanged():
            return "was restarted for changed settings"
        case AddressesChanged():
            return "was restarted for changed addresses"
        case SpareMisfit():
            return "does not fit the settings any more"
        case ProcessStopped():
            return "was replaced because it was stopped (state T)"
        case Unresponsive(problem):
            return f"was replaced because it answered on no address ({problem})"
        case StartTimeout(after_s, ready):
            missing = "answered on every address" if ready else "said that it is ready"
            return f"had not {missing} after {after_s:.0f} s"
        case HelperTimeout():
            return "was silent for too long"
        case Exited(code):
            return f"ended by itself with exit code {code}"
        case Signalled(signal):
            return f"was ended by {signal}"
        case NotStarted(problem):
            return f"could not be started: {problem}"
        case _:
            assert_never(reason)
