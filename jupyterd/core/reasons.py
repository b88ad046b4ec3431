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
    """The open sockets are no longer those that the server inherited."""


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
class Retired:
    """The server was busy with one request, so that another one took over. `doing`: a phrase; `request`: which one,
    "" if that is unknown.
    """

    doing: str
    request: str = ""


@value
class Unfinished:
    """A retired server did not finish its requests in time."""

    after_s: float


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
    """The process could not be started. `problem`: the operating system's message."""

    problem: str


StopReason = (
    ServiceStops
    | SettingsChanged
    | AddressesChanged
    | SpareMisfit
    | ProcessStopped
    | Unresponsive
    | Retired
    | Unfinished
    | StartTimeout
    | HelperTimeout
)
"""Why the supervisor ends a child."""

ExitReason = StopReason | Exited | Signalled | NotStarted
"""Why a child is not there: the supervisor ended it, or it ended by itself."""


def counts_as_failure(reason: ExitReason) -> bool:
    """Whether it adds to the failure score and calls for a back-off: all but what the supervisor itself intended."""
    return not isinstance(reason, ServiceStops | SettingsChanged | AddressesChanged | SpareMisfit)


def text(reason: ExitReason) -> str:  # noqa: C901, PLR0911, PLR0912 - one line a reason
    """The rest of a sentence whose subject is the process: "the server " + "was ended by SIGKILL"."""
    match reason:
        case ServiceStops(at_once):
            return "was stopped at once" if at_once else "was stopped"
        case SettingsChanged():
            return "was restarted for changed settings"
        case AddressesChanged():
            return "was restarted for changed addresses"
        case SpareMisfit():
            return "no longer fits the settings"
        case ProcessStopped():
            return "was replaced because it was stopped (state T)"
        case Unresponsive(problem):
            return f"was replaced because it did not answer on any address ({problem})"
        case Retired(doing, request):
            return f"is busy with {request or 'a request'} ({doing})"
        case Unfinished(after_s):
            return f"has not finished its requests within {after_s / 60:.0f} min"
        case StartTimeout(after_s, ready):
            missing = "answer on every address" if ready else "report that it is ready"
            return f"did not {missing} within {after_s:.0f} s"
        case HelperTimeout():
            return "did not respond in time"
        case Exited(code):
            return f"ended by itself with exit code {code}"
        case Signalled(signal):
            return f"was ended by {signal}"
        case NotStarted(problem):
            return f"could not be started: {problem}"
        case _:
            assert_never(reason)
