"""The journal: fields, message ids with advice, and no secret in it nor in what others can see of processes."""

from __future__ import annotations

from system.service import TOKEN, UNIT, Service

from jupyterd.core import journal_kinds


def test_records_have_fields_and_an_id(service: Service) -> None:
    since = service.now_usec()
    server = service.pids()["server"]
    service.machine.run(f"kill -KILL {server}")
    service.wait_server(other_than=server)
    (exited,) = service.events("server-exited", since)
    assert exited["MESSAGE_ID"] == journal_kinds.SERVER_EXITED.message_id
    assert exited["PRIORITY"] == str(journal_kinds.SERVER_EXITED.priority)
    assert exited["SYSLOG_IDENTIFIER"] == "jupyterd"
    assert exited["_SYSTEMD_UNIT"] == UNIT
    assert str(server) in exited.values()


def test_the_catalog_gives_its_advice(service: Service) -> None:
    server = service.pids()["server"]
    service.machine.run(f"kill -KILL {server}")
    service.wait_server(other_than=server)
    told = service.machine.run(
        f"journalctl --catalog --no-pager --lines 30 MESSAGE_ID={journal_kinds.SERVER_EXITED.message_id}"
    )
    assert journal_kinds.SERVER_EXITED.subject in told
    assert journal_kinds.SERVER_EXITED.advice.splitlines()[0] in told


def test_jupyter_itself_writes_under_its_own_name(service: Service) -> None:
    assert service.journal(f"--unit={UNIT}", "--identifier=jupyterd-server")


def test_no_secret_is_in_the_journal_or_to_be_seen_of_processes(service: Service) -> None:
    hashed = "argon2:$argon2id$v=19$m=10240,t=10,p=8$bWFkZXVwc2FsdA$bWFkZXVwaGFzaG1hZGV1cGhhc2htYWRldXA"
    service.settings(f'[login]\ntoken = "{TOKEN}"\npassword_hash = "{hashed}"\n', name="token")
    service.machine.run(f"systemctl restart {UNIT}", timeout_s=120)
    service.start_kernel()
    assert service.http("/api/contents") == 200
    told = service.machine.run("jupyterd token", both=True)
    once = [word for word in told.replace("=", " ").split() if len(word) >= 32 and word.isalnum()]
    # The journal without what this test itself did: its own commands are root's, from outside of any unit.
    seen = service.machine.run(
        "journalctl --boot --output export _SYSTEMD_UNIT=jupyterd.service + _SYSTEMD_USER_UNIT=1"
    )
    seen += service.machine.run("journalctl --boot --no-pager")
    seen += service.machine.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", check=False)
    seen += service.machine.run(
        "for pid in $(pgrep -f 'jupyterd|ipykernel'); do cat /proc/$pid/environ | tr '\\0' '\\n'; done", check=False
    )
    for secret in (TOKEN, hashed, hashed.rpartition("$")[2], *once):
        assert secret not in seen
    where = "find /var/lib/jupyterd /run/jupyterd /etc/jupyterd -type f -perm /o+r"
    assert service.machine.run(f"{where} -exec grep -l -e {TOKEN} {{}} +", check=False) == ""
