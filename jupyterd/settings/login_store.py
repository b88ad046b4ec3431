"""login.json: the password that a person set, and the hashes of the one-time token and of lasting tokens for programs.
The only reader and writer.

Used by the `token` and `password` verbs and by the login page inside Jupyter; each change happens under one lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from jupyterd.linux import files, kept
from jupyterd.linux.kept import Tell
from jupyterd.protocol import documents

FORMAT = 1
PASSWORD_LEAST, PASSWORD_MOST = 8, 1024
"""Characters; argon2 reads all of them."""
LOCK_TIMEOUT_S = 5.0
"""The lock is held for one read and one rename; a longer wait means that the machine is in trouble."""

LASTING_MOST = 100
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
"""Of a lasting token."""
_ID_DIGITS = 12
_USES = "token-uses.json"

PasswordVerdict = Literal["fresh", "used", "wrong"]


@dataclass(frozen=True, slots=True)
class LastingToken:
    """A token for programs, valid until it is revoked; `created` in Unix seconds."""

    name: str
    sha256: str
    created: float

    @property
    def id(self) -> str:
        """Names it where its hash need not be told: in logins made with it, and in the file of last uses."""
        return self.sha256[:_ID_DIGITS]


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """Holds hashes only. "" means none; times are Unix seconds, 0 means never."""

    password_hash: str = ""
    password_set: float = 0.0
    token_sha256: str = ""
    """Of the one-time token that nobody has used yet."""
    token_created: float = 0.0
    used_sha256: str = ""
    """Hash of the last one-time token that was used, to answer "already used" rather than "wrong"."""
    used: float = 0.0
    lasting: tuple[LastingToken, ...] = ()


def read(path: Path) -> StoredLogin:
    """The stored login; an empty one without a file. ValueError says what is wrong with the file; OSError."""
    data = files.read_private(path)
    if data is None:
        return StoredLogin()
    document = documents.document(data)
    if document.get("format") != FORMAT:
        raise ValueError("it is not a login of this version")
    return documents.structured(document, StoredLogin)


def read_or_set_aside(path: Path, tell: Tell = kept.say) -> StoredLogin:
    """The stored login; an empty one without a file, or where it was damaged and set aside. OSError."""
    try:
        return read(path)
    except ValueError:
        with _locked(path, tell):
            return _current(path, tell)


def has_password(path: Path) -> bool:
    """Whether a password was set, in the browser or by the `password` verb."""
    return bool(read(path).password_hash)


def issue_token(path: Path, tell: Tell = kept.say) -> str:
    """Make a new one-time token, which invalidates the one before. Only its hash is stored. A damaged file is set aside
    and told, here and below. OSError.
    """
    token = secrets.token_urlsafe(24)
    with _locked(path, tell):
        _write(path, replace(_current(path, tell), token_sha256=_sha256(token), token_created=time.time()), tell)
    return token


def add_lasting(path: Path, name: str, tell: Tell = kept.say) -> str:
    """Make a lasting token with this name. Only its hash is stored. ValueError says why the name cannot be used;
    OSError.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a token: allowed are up to 40 letters, digits and . _ -")
    token = secrets.token_urlsafe(32)
    with _locked(path, tell):
        login = _current(path, tell)
        if any(each.name == name for each in login.lasting):
            raise ValueError(f"there is a token {name!r} already. To revoke it: jupyterd token --revoke {name}")
        if len(login.lasting) >= LASTING_MOST:
            raise ValueError(f"there are {LASTING_MOST} tokens: revoke those that are not used any more")
        made = LastingToken(name, _sha256(token), time.time())
        _write(path, replace(login, lasting=(*login.lasting, made)), tell)
    return token


def revoke_lasting(path: Path, name: str, tell: Tell = kept.say) -> bool:
    """Revoke the token with this name; False if there is none. OSError."""
    with _locked(path, tell):
        login = _current(path, tell)
        left = tuple(each for each in login.lasting if each.name != name)
        if left != login.lasting:
            _write(path, replace(login, lasting=left), tell)
    return left != login.lasting


def lasting(login: StoredLogin, token: str) -> LastingToken | None:
    """The lasting token that this text is; None if it is none."""
    found = _sha256(token)
    return next((each for each in login.lasting if hmac.compare_digest(found, each.sha256)), None)


def uses(path: Path) -> dict[str, float]:
    """When each lasting token was used last, by its id, in Unix seconds. What is damaged says nothing."""
    with suppress(OSError, ValueError):
        document = documents.document(files.read_private(path.with_name(_USES)) or b"{}")
        return {name: float(at) for name, at in document.items() if isinstance(at, int | float)}
    return {}


def note_use(path: Path, of: LastingToken, login: StoredLogin) -> None:
    """Keep the time of this use, and of those of the other tokens that there are. OSError."""
    known = {each.id for each in login.lasting}
    kept_uses = {name: at for name, at in uses(path).items() if name in known}
    kept.write(path.with_name(_USES), json.dumps(kept_uses | {of.id: time.time()}).encode())


def set_password(path: Path, password_hash: str, tell: Tell = kept.say) -> None:
    """Store this password hash ("" for none) and invalidate an unused one-time token."""
    now = time.time()
    with _locked(path, tell):
        login = _current(path, tell)
        _write(
            path,
            replace(
                login, password_hash=password_hash, password_set=now, token_sha256="",
                used_sha256=login.token_sha256 or login.used_sha256,
            ),
            tell,
        )  # fmt: skip


def password_fault(password: str) -> str:
    """Why this cannot be a password, as a sentence that does not show it; "" if it can."""
    if len(password) < PASSWORD_LEAST:
        return f"A password has at least {PASSWORD_LEAST} characters."
    if len(password) > PASSWORD_MOST:
        return f"A password has at most {PASSWORD_MOST} characters."
    if "\0" in password or any("\ud800" <= each <= "\udfff" for each in password):
        return "A password is text: this one holds what no keyboard types."
    return ""


def judge(login: StoredLogin, token: str) -> PasswordVerdict:
    """Whether the one-time token is valid, already used or wrong, in constant time for a given length."""
    found = _sha256(token)
    if login.token_sha256 and hmac.compare_digest(found, login.token_sha256):
        return "fresh"
    if login.used_sha256 and hmac.compare_digest(found, login.used_sha256):
        return "used"
    return "wrong"


def consume(path: Path, token: str, password_hash: str | None = None, tell: Tell = kept.say) -> PasswordVerdict:
    """Mark the token as used and set the password, in one step. Only the first caller gets "fresh"."""
    with _locked(path, tell):
        login = _current(path, tell)
        verdict = judge(login, token)
        if verdict == "fresh":
            now = time.time()
            spent = replace(login, token_sha256="", used_sha256=login.token_sha256, used=now)
            if password_hash is not None:
                spent = replace(spent, password_hash=password_hash, password_set=now)
            _write(path, spent, tell)
        return verdict


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _current(path: Path, tell: Tell) -> StoredLogin:
    """Call it under the lock: nothing but a damaged file is ever set aside."""
    try:
        return read(path)
    except ValueError as error:
        kept.set_aside(path, error, tell)
        return StoredLogin()


def _write(path: Path, login: StoredLogin, tell: Tell) -> None:
    kept.write(path, json.dumps({"format": FORMAT, **asdict(login)}, indent=1).encode() + b"\n", tell)


@contextmanager
def _locked(path: Path, tell: Tell) -> Iterator[None]:
    """Hold <path>.lock. The file itself cannot be locked: it is replaced."""
    files.private_directory(path.parent)
    lock = path.with_name(path.name + ".lock")
    fd = kept.open_own(lock, tell)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"{lock} has been locked for {LOCK_TIMEOUT_S:.0f} s: see `fuser {lock}`"
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(fd)
