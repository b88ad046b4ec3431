"""The supervisor's child for GPU frames: makes sure that the one sampler runs, connects to it, and becomes `cat`.

`python -I -m jupyterd.launch.sampler_relay unit|detached ARGUMENTS`, the sampler's own as JSON. A driver that hangs
takes the sampler with it; this process can still be killed, and reports the hang in frames of its own.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from jupyterd.launch import sampler_process, user_manager
from jupyterd.launch.sampler_process import RunningSampler
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import proc
from jupyterd.protocol import gpu_frames, sampler_lock
from jupyterd.protocol.gpu_frames import Frame
from jupyterd.protocol.sampler_lock import SamplerArguments, SamplerPaths

_MODULE = "jupyterd.launch.sampler_relay"
_ANSWER_S = 15.0
"""For the running sampler: it sends every new reader the last frame at once, unless the driver hangs."""
_FRESH_S = 60.0
"""For a new sampler: waking eight GPUs may take half of it."""
_BORN_S = 10.0
"""From the sampler's start until it has written the lock file."""
_BEAT_S = 5.0
_LOOK_S = 0.1
_ATTEMPTS = 2
_SOON_S = 1.0
_AGAIN_S = 30.0
_WAITING = Frame((), None, None)
_USAGE = 2


@dataclass(frozen=True, slots=True)
class _Asked:
    as_unit: bool
    sampler: SamplerArguments
    paths: SamplerPaths


class _Beat:
    """Sends a frame each 5 s while the relay waits, so that the supervisor does not take the wait for a hang."""

    def __init__(self) -> None:
        self._at = 0.0
        self._said = _WAITING

    def say(self, said: Frame) -> None:
        """Send this frame now, and repeat it from now on."""
        self._said, self._at = said, 0.0
        self.tick()

    def tick(self) -> None:
        """Send the frame if it is due; call it often."""
        if time.monotonic() >= self._at:
            self._at = time.monotonic() + _BEAT_S
            os.write(1, gpu_frames.encode(self._said))


def argv(sampler: SamplerArguments, *, as_unit: bool) -> tuple[str, ...]:
    """The relay's command line for this sampler, which must have `paths`."""
    how = "unit" if as_unit else "detached"
    return (sys.executable, "-I", "-m", _MODULE, how, sampler_lock.encode_arguments(sampler))


def main(arguments: Sequence[str]) -> NoReturn:
    """Become cat on the sampler's socket once it has spoken. Exits with 2 for wrong arguments."""
    proc.die_with_parent()
    asked = _parsed(arguments)
    if asked is None:
        os.write(2, f"usage: python -I -m {_MODULE} unit|detached ARGUMENTS (SamplerArguments as JSON)\n".encode())
        sys.exit(_USAGE)
    beat = _Beat()
    while (link := _linked(asked, beat)) is None:
        pass
    os.dup2(link.fileno(), 0, inheritable=True)
    os.execvp("cat", ["cat"])  # noqa: S606 - 2 MB instead of 12 for as long as all is well


def _parsed(arguments: Sequence[str]) -> _Asked | None:
    match list(arguments):
        case ["unit" | "detached" as how, text]:
            with contextlib.suppress(ValueError):
                sampler = sampler_lock.decode_arguments(text)
                return None if sampler.paths is None else _Asked(how == "unit", sampler, sampler.paths)
    return None


def _linked(asked: _Asked, beat: _Beat) -> socket.socket | None:
    """A connection on which the sampler has sent a frame; None: try again."""
    found = sampler_process.find(asked.paths.lock)
    if found is None:
        return _launched(asked, beat)
    try:
        if found.owner.arguments != asked.sampler:
            if not sampler_process.stop(found.pidfd):
                _wait_for_stuck(found, beat)
            return None
        link = _spoken(asked, beat, _ANSWER_S)
        if link is None and not proc.has_exited(found.pidfd):
            if not sampler_process.stop(found.pidfd):
                _wait_for_stuck(found, beat)
            else:
                beat.say(Frame((), "the NVIDIA driver did not answer; the sampler is restarted", "nvidia-smi"))
        return link
    finally:
        os.close(found.pidfd)


def _launched(asked: _Asked, beat: _Beat) -> socket.socket | None:
    for attempt in range(_ATTEMPTS):
        try:
            sampler_process.launch(
                sampler_lock.program(asked.sampler), os.environ, asked.paths.lock, as_unit=asked.as_unit
            )
        except LaunchFailed as error:
            if attempt < _ATTEMPTS - 1:
                _pause(beat, _SOON_S)  # the unit of the one before may not be gone yet
            else:
                advice = f"{user_manager.advice()}; systemctl --user status"
                beat.say(Frame((), str(error), advice))
                _pause(beat, _AGAIN_S)
        else:
            if (link := _spoken(asked, beat, _FRESH_S)) is None and not _stands(asked.paths.lock):
                advice = "journalctl -t jupyterd-gpu -n 20" if asked.as_unit else "see its messages above"
                beat.say(Frame((), "the GPU sampler ends as soon as it is started", advice))
                _pause(beat, _AGAIN_S)
            return link
    return None


def _spoken(asked: _Asked, beat: _Beat, patience_s: float) -> socket.socket | None:
    """Connect and wait for the first byte, which stays in the socket for cat. None when it does not come in time."""
    begun = time.monotonic()
    until = begun + patience_s
    while time.monotonic() < until:
        beat.tick()
        if time.monotonic() > begun + _BORN_S and not _stands(asked.paths.lock):
            return None
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with contextlib.suppress(OSError):  # its socket is not there yet, or it has ended
            link.settimeout(_BEAT_S)
            link.connect(str(asked.paths.socket))
            if _speaks(link, until, beat):
                link.settimeout(None)
                return link
        link.close()
        time.sleep(_LOOK_S)
    return None


def _speaks(link: socket.socket, until: float, beat: _Beat) -> bool:
    while time.monotonic() < until:
        beat.tick()
        with contextlib.suppress(TimeoutError):
            return bool(link.recv(1, socket.MSG_PEEK))
    return False


def _stands(lock: Path) -> bool:
    found = sampler_process.find(lock)
    if found is None:
        return False
    os.close(found.pidfd)
    return True


def _wait_for_stuck(found: RunningSampler, beat: _Beat) -> None:
    """Wait until the sampler that cannot be killed has ended: a second one would hang as well."""
    pid = found.owner.pid
    text = f"the NVIDIA driver hangs: the GPU sampler (pid {pid}) waits in the kernel and cannot be killed"
    advice = f"sudo cat /proc/{pid}/stack; sudo dmesg | grep -i nvrm; only a reboot ends it if the driver does not"
    beat.say(Frame((), text, advice))
    while not proc.has_exited(found.pidfd, _BEAT_S):
        beat.tick()
    beat.say(_WAITING)


def _pause(beat: _Beat, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(_BEAT_S, seconds))
        beat.tick()


if __name__ == "__main__":
    main(sys.argv[1:])
