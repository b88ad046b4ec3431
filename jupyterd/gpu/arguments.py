"""The sampler's arguments, both ways."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyterd.protocol import sampler_lock
from jupyterd.protocol.sampler_lock import SamplerPaths


@dataclass(frozen=True, slots=True)
class SamplerArguments:
    """What a sampler is to do: how often, where kernels and notebooks are looked up, where readers find it (None: on
    standard output). `version` is only there to be another one after an upgrade.
    """

    every_s: float
    details_every_s: float = 60.0
    records: Path | None = None
    sessions: Path | None = None
    notebooks: Path = Path("/")
    places: SamplerPaths | None = None
    version: str = ""
    history: Path | None = None
    history_every_s: int = 60
    loads: bool = False
    """Processor time of kernels that hold GPU memory is wanted: for culling."""


def words(asked: SamplerArguments) -> tuple[str, ...]:
    """As arguments."""
    optional = (("--records", asked.records), ("--sessions", asked.sessions))
    return (
        "--every", f"{asked.every_s:g}", "--details-every", f"{asked.details_every_s:g}",
        *(word for name, path in optional if path is not None for word in (name, str(path))),
        "--notebooks", str(asked.notebooks),
        *(() if asked.places is None else sampler_lock.arguments(asked.places, asked.version)),
        *(() if asked.history is None else ("--history", str(asked.history))),
        "--history-every", str(asked.history_every_s), *(("--loads", "yes") if asked.loads else ()),
    )  # fmt: skip


def parse(arguments: Sequence[str]) -> SamplerArguments:
    """Back; ValueError for anything else (argparse would cost the sampler a megabyte)."""
    if len(arguments) % 2:
        raise ValueError("an argument without its value")
    pairs = dict(zip(arguments[::2], arguments[1::2], strict=True))
    every_s, details_every_s = _seconds(pairs.pop("--every", "")), _seconds(pairs.pop("--details-every", "60"))
    records, sessions = pairs.pop("--records", None), pairs.pop("--sessions", None)
    notebooks = Path(pairs.pop("--notebooks", "/"))
    lock, socket, version = pairs.pop("--lock", ""), pairs.pop("--socket", ""), pairs.pop("--version", "")
    places = SamplerPaths(Path(lock), Path(socket)) if lock and socket else None
    history, history_every_s = pairs.pop("--history", None), int(pairs.pop("--history-every", "60"))
    loads = pairs.pop("--loads", "no") == "yes"
    if history_every_s <= 0:
        raise ValueError(f"not a time: {history_every_s}")
    if pairs:
        raise ValueError(f"unknown: {', '.join(pairs)}")
    return SamplerArguments(
        every_s=every_s,
        details_every_s=details_every_s,
        records=_path(records),
        sessions=_path(sessions),
        notebooks=notebooks,
        places=places,
        version=version,
        history=_path(history),
        history_every_s=history_every_s,
        loads=loads,
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError(f"not a time: {text}")
    return seconds


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
