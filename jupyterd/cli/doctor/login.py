"""Whether anybody can log in, and how."""

from __future__ import annotations

from collections.abc import Iterator

from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.settings import login_store

SUBJECT = "login"


def examine(what: Subject) -> Iterator[Verdict]:
    """By the settings and by what the browser or `jupyterd password` has set. Changes nothing: a damaged file stays."""
    login = what.settings.login
    if login.password_hash.startswith("sha1:"):
        text = "the password is kept as sha1, which is guessed quickly by whoever gets the settings file"
        yield Verdict(SUBJECT, "notice", text, ("delete password_hash from [login], then type: jupyterd password",))
    try:
        browsers = login_store.has_password(what.paths.login)
    except (OSError, ValueError) as error:
        yield Verdict(SUBJECT, "wrong", f"the password cannot be read: {error}", ("jupyterd password",))
        return
    if login.password_hash or browsers:
        where = "in the settings" if login.password_hash else "in the browser or by jupyterd password"
        yield Verdict(SUBJECT, "good", f"a password is set, {where}")
    elif login.token:
        yield Verdict(SUBJECT, "good", "by the token in the settings; there is no password")
    elif what.is_installed:
        yield Verdict(SUBJECT, "notice", "no password has been set yet", ("jupyterd token",))
    else:
        yield Verdict(SUBJECT, "good", "the first start prints a link with which to choose a password")
