"""The result of checking a key pair: the pair's facts, or one problem with advice what to type."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jupyterd.protocol import plan

Validity = Literal["valid", "expired", "not yet valid"]


@dataclass(frozen=True, slots=True)
class PairProblem:
    """Why a pair cannot be served. `text` names the file, `advice` is what to type."""

    text: str
    advice: str
    missing: bool = False
    """A file is not there (yet): on a machine that boots, its disk may be late."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and key that belong together. Times are Unix seconds; one file may be both."""

    certificate_file: Path
    key_file: Path
    sha256: str
    """Lower-case hex of the leaf's DER."""
    not_before: float
    not_after: float
    names: tuple[str, ...]
    """Host names and addresses, as the certificate has them; () if it has none, and then no browser takes it."""
    self_signed: bool
    validity: Validity
    remarks: tuple[PairProblem, ...]
    """Why some clients may refuse it, although it can be served."""
    pem: bytes = field(repr=False)
    """Key and certificates in one, exactly as they were checked."""

    @property
    def certificate(self) -> plan.Certificate:
        """For the plan."""
        return plan.Certificate(
            file=str(self.certificate_file),
            sha256=self.sha256,
            not_before=self.not_before,
            not_after=self.not_after,
            names=self.names,
            self_signed=self.self_signed,
        )
