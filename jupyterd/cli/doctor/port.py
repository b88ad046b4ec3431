"""Who holds the port, by proof only: the process that has the listening socket open, its program, user and unit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jupyterd.cli.doctor.facts import ServerFacts
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.linux import port_owner, proc, systemd
from jupyterd.linux.port_owner import PortHolder
from jupyterd.text import bracketed

SUBJECT = "port"
_FREE_FROM = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def examine(base: ServerFacts) -> Iterator[Verdict]:
    """Of every address that the server listens on, or would."""
    found = {host: port_owner.find(host, base.port, first=base.pids) for host in base.hosts}
    others: dict[PortHolder, list[str]] = {}
    for host, holder in found.items():
        if holder is not None and holder.pid not in base.pids and not _may_be_ours(holder, base):
            others.setdefault(holder, []).append(f"{bracketed(host)}:{base.port}")
    for holder, where in others.items():
        yield _taken(" and ".join(where), base, holder)
    if base.pids and not any(found.values()):
        yield Verdict(
            SUBJECT, "wrong", f"nothing listens on port {base.port}, although a server runs", ("jupyterd status",)
        )
    elif base.pids:
        holder = next(each for each in found.values() if each is not None)
        pid = holder.pid or base.pids[0]
        yield Verdict(SUBJECT, "good", f"{base.port} is held by jupyterd (pid {pid}{_in_unit(pid)})")
    elif not others:
        yield Verdict(SUBJECT, "good", f"{base.port} is free")
        if base.uid != 0 and base.mode != "service" and base.port < _free_from():
            text = f"an ordinary account may not listen on port {base.port}"
            yield Verdict(SUBJECT, "wrong", text, ("set [server] port to 1024 or more, or type: sudo jupyterd setup",))


def _taken(where: str, base: ServerFacts, holder: PortHolder) -> Verdict:
    is_are = "are" if " and " in where else "is"
    if holder.pid is None:
        see = f"sudo ss -ltnp 'sport = :{base.port}'"
        return Verdict(SUBJECT, "wrong", f"{where} {is_are} held by {holder}, which only root may see", (see,))
    if holder.pid == port_owner.INIT:
        text = f"{where} {is_are} held by systemd for another unit (user {holder.user})"
        stop = "stop the socket unit that names this port: sudo systemctl stop NAME.socket"
        return Verdict(SUBJECT, "wrong", text, ("systemctl list-sockets", stop))
    unit = systemd.own_unit(proc.text(holder.pid, "cgroup"))
    is_service = unit is not None and not unit.of_user
    end = f"sudo systemctl stop {unit.name}" if unit is not None and is_service else f"kill {holder.pid}"
    text = f"{where} {is_are} held by {holder}{_in_unit(holder.pid)}"
    return Verdict(SUBJECT, "wrong", text, (end, "or choose another port: [server] port in the settings"))


def _may_be_ours(holder: PortHolder, base: ServerFacts) -> bool:
    """A server that runs as the account holds the port while nobody may look into its process."""
    return bool(base.pids) and holder.pid is None and holder.user == base.account


def _in_unit(pid: int) -> str:
    unit = systemd.own_unit(proc.text(pid, "cgroup"))
    return "" if unit is None else f", {unit.name}"


def _free_from() -> int:
    try:
        return int(_FREE_FROM.read_text())
    except (OSError, ValueError):
        return 1024
