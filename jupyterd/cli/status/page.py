"""The page of `jupyterd status` as text: pure, from a ServerStatus and the time of day."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import attrs

from jupyterd.cli.status.read import Seen, ServerStatus
from jupyterd.linux import local_time
from jupyterd.protocol import gpu_text
from jupyterd.protocol.plan import Certificate
from jupyterd.protocol.status import Address, Item
from jupyterd.text import expiry, fingerprint, size, span

LABEL = 13
"""Columns of the left edge."""
NAMES_SHOWN = 4
REFUSED = "settings-refused"
ENDED_SHOWN, ENDED_SHOWN_S = 5, 7 * 86400.0
"""How many kernels that died recently are shown, and for how long."""
LOGS = {
    "service": "journalctl -u jupyterd -e",
    "user": "journalctl --user -u jupyterd -e",
}


@attrs.frozen
class PageOptions:
    """How to paint: Unix seconds now, columns, and whether in colour."""

    now: float
    columns: int = 80
    colour: bool = False

    def ink(self, name: str, text: str) -> str:
        """The text in a colour of `_INKS`, or as it is."""
        return f"\N{ESCAPE}[{_INKS[name]}m{text}\N{ESCAPE}[0m" if self.colour else text


_INKS = {"good": "32", "warning": "33", "error": "31;1", "strong": "1", "dim": "2"}


def page(found: ServerStatus, look: PageOptions) -> str:
    """The whole page, newline at the end."""
    told = found.snapshot
    lines = [*_head(found, look), ""]
    widest = max((len(address.url) for address in told.addresses), default=0)
    for address in told.addresses:
        label = "Addresses" if address is told.addresses[0] else ""
        lines += _row(label, f"{address.url:<{widest}}  {_answer(address, look)}", look)
    if not told.addresses:
        lines += [line for url in told.urls[:1] for line in _row("Address", url, look)]
    lines += _processes(found, look)
    lines += _row("Kernels", _kernels(found), look)
    lines += _reach(found, look)
    lines += _ended(found, look)
    for number, each in enumerate(told.gpus):
        # "gpu0 NAME: figures"; two lines where one would break inside the figures.
        whole = gpu_text.line(each)
        fits = len(whole) <= look.columns - LABEL - 2
        for part, text in enumerate((whole,) if fits else whole.split(": ", 1)):
            lines += _row("" if number or part else "GPU", text if not part else f"  {text}", look)
    if told.certificate is not None:
        lines += _certificate(told.certificate, look)
    lines += _restarts(found, look)
    yet = "Freed GPUs"
    for past in reversed(told.culled):
        at = local_time.moment(past.at)
        lines += _row(yet, f"{at}  {past.cause}", look)
        yet = ""
    log = (
        LOGS.get(told.mode) or f"the terminal that the server runs in; once it is closed, {told.state_dir}/jupyterd.log"
    )
    lines += _row("Log", log, look)
    for item in told.items:
        lines += _item(item, look)
        if item.code == REFUSED and len(told.refused) > 1:
            lines += ["  all problems:", *(f"      {problem}" for problem in told.refused)]
    return "\n".join(lines) + "\n"


def _head(found: ServerStatus, look: PageOptions) -> Iterator[str]:
    told = found.snapshot
    if found.life == "halted":
        dot, what = (
            look.ink("error", "●"),
            f"suspended: process {found.supervisor.process.pid} was stopped (SIGSTOP)",
        )
    else:
        errors = any(item.severity == "error" for item in told.items)
        ink = "error" if errors or told.state == "stopped" else "good" if told.state == "serving" else "warning"
        dot, what = look.ink(ink, "●"), look.ink(ink, told.state)
    how = {"service": "", "user": ", user service", "foreground": ", foreground"}.get(told.mode, "")
    yield f"{dot} jupyterd {told.version}: {what}, account {told.account}{how}"
    # While it serves, the rest of the sentence (kernels, trouble) stands further down, in full.
    sentence = told.status.partition("; ")[0] if told.state == "serving" else told.status
    yield from textwrap.wrap(sentence, look.columns - 4, initial_indent="  ", subsequent_indent="  ")
    if found.life == "halted":
        yield "  Everything below dates from before that. To resume it:"
        yield f"      kill -CONT {found.supervisor.process.pid}"


def _answer(each: Address, look: PageOptions) -> str:
    if each.ok:
        return look.ink("good", "answers")
    return look.ink("error", each.detail or f"no answer for {span(look.now - each.since)}")


def _processes(found: ServerStatus, look: PageOptions) -> Iterator[str]:
    each: tuple[tuple[str, Seen | None], ...] = (
        ("Server", found.server), ("Spare server", found.spare), ("Supervisor", found.supervisor),
        ("GPU sampler", found.sampler),
    )  # fmt: skip
    for name, seen in each:
        if seen is not None:
            held = look.ink("error", "has ended") if seen.rss_bytes is None else f"{size(seen.rss_bytes):>9}"
            yield from _row(name, f"pid {seen.process.pid:<8}{held}", look)
        elif name == "Server":
            yield from _row(name, look.ink("warning", "not running"), look)


def _kernels(found: ServerStatus) -> str:
    """As the server counts them; without one, the processes that run."""
    total, busy, server = found.snapshot.kernels, found.snapshot.kernels_busy, found.server
    if total is None or server is None or server.rss_bytes is None:
        return f"{len(found.kernels)}, no server to say whether they are busy" if found.kernels else "none"
    return f"{total}, {busy or 'none'} busy" if total else "none"


def _reach(found: ServerStatus, look: PageOptions) -> Iterator[str]:
    """What is missing around the kernels: private sockets, and units of their own."""
    if over_tcp := sorted({each.name for each in found.kernels if each.tcp}):
        text = f"over TCP, where other accounts on this machine can reach them: {', '.join(over_tcp)}"
        yield from _row("", look.ink("warning", text) if len(text) < look.columns - LABEL - 2 else text, look)
    if any(each.detached for each in found.kernels):
        text = "detached: they outlive the server, but not this container, nor a logout that ends processes"
        yield from _row("", text, look)


def _ended(found: ServerStatus, look: PageOptions) -> Iterator[str]:
    lately = [each for each in reversed(found.ended) if 0 <= look.now - each.at < ENDED_SHOWN_S][:ENDED_SHOWN]
    for each in lately:
        at = local_time.moment(each.at)
        notebook = each.notebook.rpartition("/")[2] or each.kernel
        yield from _row("", f"{at}  {notebook} ({each.name}): {each.cause}", look)


def _certificate(pair: Certificate, look: PageOptions) -> Iterator[str]:
    more = len(pair.names) - NAMES_SHOWN
    names = ", ".join(pair.names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    yield from _row(
        "Certificate", f"{'self-signed, ' if pair.self_signed else ''}for {names or 'no name at all'}", look
    )
    left = pair.not_after - look.now
    validity = expiry(left, local_time.day(pair.not_after))
    yield from _row("", validity if left > 0 else look.ink("error", validity), look)
    for number, line in enumerate(fingerprint(pair.sha256)):
        yield from _row("", f"{'SHA-256' if not number else '':<9}{line}", look)


def _restarts(found: ServerStatus, look: PageOptions) -> Iterator[str]:
    told = found.snapshot
    yield from _row("Restarts", str(told.restarts) if told.restarts else "none", look)
    for each in reversed(told.recent):
        at = local_time.moment(each.at)
        yield from _row("", f"{look.ink('dim', at)}  {each.cause}", look)


def _item(item: Item, look: PageOptions) -> Iterator[str]:
    yield ""
    word = look.ink(item.severity if item.severity in _INKS else "error", item.severity)
    title = f"{item.severity} {item.code}, for {span(look.now - item.since)}"
    yield title.replace(item.severity, word, 1)
    yield from textwrap.wrap(item.text, look.columns - 4, initial_indent="  ", subsequent_indent="  ")
    if item.advice:
        yield look.ink("dim", "  what to do:")
        # Not wrapped: it may be a command to copy.
        yield f"      {item.advice}"


def _row(label: str, text: str, look: PageOptions) -> Iterator[str]:
    """A label and its text; long texts go on under themselves (escape sequences count as nothing)."""
    wide = look.columns - LABEL - 2
    lines = (
        textwrap.wrap(text, wide, break_long_words=False, break_on_hyphens=False)
        if len(text) > wide and "\N{ESCAPE}" not in text
        else [text]
    )
    yield f"  {look.ink('dim', f'{label:<{LABEL}}')}{lines[0]}" if lines else f"  {label}"
    for line in lines[1:]:
        yield f"  {'':<{LABEL}}{line}"
