"""Why a kernel ended, as one phrase for the journal, for `status` and for the notebook. Pure."""

from __future__ import annotations

from jupyterd.launch.words import ExitStatus

_CRASHED = "crashed ({}) in compiled code that the notebook called"
_SIGNALS = {
    "SIGKILL": "killed ({}), by a person or a program of this account or by root",
    **dict.fromkeys(("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"), _CRASHED),
}
_CODES = {
    0: "it ended by itself (exit code 0)",
    127: "its program could not be started (exit code 127); its own words are in its log",
}


def cause(ending: ExitStatus, *, oom: bool | None, why: str = "") -> str:
    """One phrase. `oom`: the machine killed something for lack of memory while this kernel ended, None: nobody looked;
    `why`: who stopped it on purpose, if anybody.
    """
    if why:
        return why
    if ending.result == "oom-kill" or (ending.signal == "SIGKILL" and oom):
        return "out of memory: it was killed for using more than the machine or its own limit allows"
    if ending.signal == "SIGKILL" and oom is None and not ending.result:
        return "killed (SIGKILL), for lack of memory or by somebody: no server was there to see it"
    if ending.signal is not None:
        told = _SIGNALS.get(ending.signal, "ended by a signal ({})")
        return told.format(ending.signal)
    if ending.code is not None:
        told = _CODES.get(ending.code, "it ended by itself with exit code {}")
        return told.format(ending.code)
    return "its end was not seen by anyone"
