"""Reads PEM files that somebody else made, without trust: never blocks, and says what keeps a file from being read."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

from jupyterd.tls.key_pair import PairProblem

LARGEST_BYTES = 1 << 20
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_DER_SEQUENCE = 0x30
_CERTIFICATES = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})


@dataclass(frozen=True, slots=True)
class Block:
    """One PEM block: its label ("CERTIFICATE", "PRIVATE KEY") and its whole text, BEGIN and END lines included."""

    label: str
    text: str

    @property
    def is_key(self) -> bool:
        """Whether it is a private key of any kind."""
        return self.label.endswith("PRIVATE KEY")

    @property
    def is_encrypted(self) -> bool:
        """Whether a key needs a passphrase, in PKCS #8 or in OpenSSL's older form."""
        return self.label.startswith("ENCRYPTED") or "Proc-Type: 4,ENCRYPTED" in self.text


@dataclass(frozen=True, slots=True)
class PemFile:
    """A file as it was when it was opened: every check looks at this, and never opens the path again."""

    path: Path
    status: os.stat_result
    blocks: tuple[Block, ...]

    @property
    def certificates(self) -> list[Block]:
        """Its certificates, in the order of the file."""
        return [each for each in self.blocks if each.label in _CERTIFICATES]

    @property
    def keys(self) -> list[Block]:
        """Its private keys, encrypted and SSH keys included."""
        return [each for each in self.blocks if each.is_key]


def read(path: Path) -> PemFile | PairProblem:
    """The PEM blocks of the file. A FIFO, a device or a directory is refused before anything could block on it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        return _not_opened(path, error)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return PairProblem(f"{path} is {_kind(status.st_mode)}, not a PEM file", f"ls -ld {quoted(path)}")
        with os.fdopen(os.dup(fd), "rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        return PairProblem(f"{path} cannot be read: {error.strerror}", f"cat {quoted(path)}")
    finally:
        os.close(fd)
    if not data.strip():
        return PairProblem(f"{path} is empty", f"ls -l {quoted(path)}")
    if len(data) > LARGEST_BYTES:
        return PairProblem(f"{path} is too large for a PEM file", f"ls -l {quoted(path)}")
    return _parsed(path, status, data)


def account() -> str:
    """The name of the account that this process runs as; its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def quoted(path: Path) -> str:
    """For a line that a person types."""
    return shlex.quote(str(path))


def _parsed(path: Path, status: os.stat_result, data: bytes) -> PemFile | PairProblem:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if data[0] == _DER_SEQUENCE:
            return PairProblem(
                f"{path} is binary (DER or PKCS #12), not PEM",
                f"openssl x509 -inform der -in {quoted(path)} -out {quoted(path.with_suffix('.pem'))}"
                f"  (PKCS #12: openssl pkcs12 -in {quoted(path)} -nodes -out {quoted(path.with_suffix('.pem'))})",
            )
        return PairProblem(f"{path} is not text, so not a PEM file", f"file {quoted(path)}")
    found = blocks(text)
    if not found:
        return PairProblem(f"{path} is not a PEM file: it has no -----BEGIN ...----- block", f"head -3 {quoted(path)}")
    return PemFile(path, status, found)


def blocks(text: str) -> tuple[Block, ...]:
    """The PEM blocks in the text, in order; whatever stands between them is ignored."""
    return tuple(Block(found[1], found[0] + "\n") for found in _BLOCK.finditer(text))


def _not_opened(path: Path, error: OSError) -> PairProblem:
    if isinstance(error, PermissionError):
        return _denied(path)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if path.is_symlink():
            return PairProblem(
                f"{path} is a link to {path.readlink()}, which does not exist", f"ls -l {quoted(path)}", missing=True
            )
        return PairProblem(f"{path} does not exist", f"ls -ld {quoted(_deepest(path))}", missing=True)
    return PairProblem(f"{path} cannot be opened: {error.strerror}", f"ls -l {quoted(path)}")


def _denied(path: Path) -> PairProblem:
    """Name the directory that is closed, when it is not the file itself: the usual case with /etc/letsencrypt/live."""
    who = account()
    own = next((each for each in reversed((path, *path.parents)) if _is_own_link(each)), None)
    if own is not None:  # nobody should open a directory because a link of the account's leads into it
        return PairProblem(f"{path} cannot be read: {own} is a link to what is closed to {who}", f"ls -l {quoted(own)}")
    for place in (path, Path(os.path.realpath(path))):
        for directory in reversed(place.parents):
            if not os.access(directory, os.X_OK, effective_ids=True):
                return PairProblem(
                    f"{path} cannot be read as account {who}: the directory {directory} is closed to it",
                    f"sudo chgrp {who} {quoted(directory)} && sudo chmod g+x {quoted(directory)}",
                )
    real = Path(os.path.realpath(path))
    return PairProblem(
        f"{path} cannot be read as account {who}",
        f"sudo chgrp {who} {quoted(real)} && sudo chmod g+r {quoted(real)}",
    )


def _is_own_link(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid()


def _deepest(path: Path) -> Path:
    return next((each for each in path.parents if os.path.lexists(each)), Path("/"))


def _kind(mode: int) -> str:
    for is_kind, name in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if is_kind(mode):
            return name
    return "no regular file"
