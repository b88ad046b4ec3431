"""Whether an account's processes outlive its logins because of us: a mark beside what setup has made, so that
`jupyterd uninstall` takes back only what was not so before.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from jupyterd.launch.user_manager import LINGER
from jupyterd.linux import files

OF_THE_MACHINE = Path("/opt/jupyterd/lingering")
"""Root's: the names of the accounts for which ./install switched it on, one a line."""


def of_account(state: Path) -> Path:
    """The same for a server of one's own."""
    return state / "lingering"


def is_on(name: str) -> bool:
    """Whether logind keeps the account's user manager without a login."""
    return (LINGER / name).exists()


def remember(name: str, mark: Path) -> None:
    """Setup has switched it on, and it was off. OSError."""
    files.replace(mark, "".join(f"{each}\n" for each in sorted({*_names(mark), name})).encode(), mode=0o644)


def is_ours(name: str, mark: Path) -> bool:
    """Whether setup has switched it on, and it still is."""
    return name in _names(mark) and is_on(name)


def forget(name: str, mark: Path) -> None:
    """It is off again."""
    left = _names(mark) - {name}
    with contextlib.suppress(OSError):
        if left:
            files.replace(mark, "".join(f"{each}\n" for each in sorted(left)).encode(), mode=0o644)
        else:
            mark.unlink()


def _names(mark: Path) -> set[str]:
    try:
        return set(files.read_untrusted(mark).decode().split())
    except (OSError, ValueError):
        return set()
