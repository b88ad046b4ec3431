"""Who gets in and what others see, on a real systemd: as root, as another account, and from another host."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from system.client import play
from system.machine import ACCOUNT, Machine
from system.service import TOKEN, Service

STATE = "/var/lib/jupyterd"
HERE, AWAY, AWAY_TOO = "10.77.0.1", "10.77.0.2", "10.77.0.3"
FIRST, SECOND = "first-4f1c9e0b-horse", "second-77a0d2c3-battery"


def one_time_token(service: Service) -> str:
    return service.machine.run("jupyterd token").partition("#token=")[2].split()[0]


def without_password(service: Service) -> Machine:
    service.machine.run(f"rm -f {STATE}/login.json")
    return service.machine


def test_a_password_set_in_the_browser_and_changed_by_root(service: Service) -> None:
    machine = without_password(service)
    token = one_time_token(service)
    script = """
one, other = Browser(), Browser()
found = {"token": one.login(given["token"], given["first"]), "again": other.login(given["token"])}
socket = one.websocket("/api/events/subscribe")
socket.settimeout(60)
done = subprocess.run(["jupyterd", "password", "--stdin"], input=given["second"] + chr(10), text=True,
                      capture_output=True, timeout=60)
found["verb"], found["said"] = done.returncode, done.stdout + done.stderr
try:
    while socket.recv(4096): pass
    found["websocket"] = "closed"
except TimeoutError:
    found["websocket"] = "open"
found["cookie"] = one.ask("GET", "/api/contents")
found["old"], found["new"] = other.login(given["first"]), other.login(given["second"])
tell(found)
"""
    found = play(machine, script, token=token, first=FIRST, second=SECOND)
    said = found.pop("said")
    assert SECOND not in said and "every browser has to log in again" in said
    assert found == {
        "token": 302, "again": 401, "verb": 0, "websocket": "closed", "cookie": 403, "old": 401, "new": 302,
    }  # fmt: skip
    assert machine.run(f"stat -c '%U %a' {STATE}/login.json").split() == [ACCOUNT, "600"]
    machine.reboot()
    service.wait_active(deadline_s=120)
    script = "tell([Browser().login(given[each]) for each in ('second', 'first', 'token')])"
    assert play(machine, script, token=token, first=FIRST, second=SECOND) == [302, 401, 401]


def test_the_settings_may_forbid_it(service: Service) -> None:
    machine = without_password(service)
    service.settings("[login]\nallow_password_change = false\n")
    machine.run("systemctl reload jupyterd", timeout_s=90)
    token = one_time_token(service)
    script = "b = Browser(); tell([b.login(given['token'], given['first']), b.text, b.login(given['token'])])"
    refused, page, alone = play(machine, script, token=token, first=FIRST)
    assert (refused, alone) == (401, 302)
    assert "do not allow it" in page


@pytest.fixture
def away(service: Service) -> Iterator[str]:
    """What goes before a command so that it runs on another host: two addresses, one cable to the machine."""
    machine = service.machine
    pid = machine.run("unshare --net sleep 600 >/dev/null 2>&1 & echo $!").strip()
    inside = f"nsenter --target {pid} --net"
    machine.run(
        f"for i in $(seq 50); do [ $(readlink /proc/{pid}/ns/net) != $(readlink /proc/1/ns/net) ] && exit; done"
    )
    machine.run(
        f"ip link add here type veth peer name away netns {pid} && ip address add {HERE}/24 dev here &&"
        f" ip link set here up && {inside} ip address add {AWAY}/24 dev away &&"
        f" {inside} ip address add {AWAY_TOO}/24 dev away && {inside} ip link set away up"
    )
    yield inside
    machine.run(f"kill {pid}; ip link delete here", check=False)


def test_from_another_host(service: Service, away: str) -> None:
    machine = without_password(service)
    play(machine, "tell(Browser().login(given['token'], given['first']))", token=one_time_token(service), first=FIRST)
    since = service.now_usec()
    script = """
b = Browser(given["away"])
found = {"good": b.ask("GET", "/api"), "rebound": b.ask("GET", "/api", Host="evil.example:8888"),
         "anybody": b.ask("GET", "/api/contents")}
found["careful"] = b.ask("GET", "/login") and b.headers
plain = http.client.HTTPConnection(given["host"], given["port"], timeout=30, source_address=(given["away"], 0))
plain.request("GET", "/lab?a=b")
answer = plain.getresponse()
found["plain"] = [answer.status, answer.getheader("Location")]
owner = Browser(given["away"])
found["owner"] = owner.login(given["first"])
guesses = []
def guess():
    guesses.append(Browser(given["away"]).login("wrong " + os.urandom(4).hex()))
for _ in range(12):  # four at a time: a line of hashes that is full answers 503, and that is no guess
    four = [threading.Thread(target=guess) for _ in range(4)]
    [each.start() for each in four]
    [each.join() for each in four]
    if guesses.count(401) >= 10 and 429 in guesses:
        break
found["looked at"], found["refused"] = guesses.count(401), guesses.count(429) > 0
found["locked"] = Browser(given["away"]).login(given["first"])
found["owner's cookie"] = owner.ask("GET", "/api/contents")
known = Browser(given["away"])  # logged out, and still the browser that was logged in before
known.cookies = {name: value for name, value in owner.cookies.items() if name.startswith("known")}
found["owner's browser"] = known.login(given["first"])
found["another address"] = Browser(given["too"]).login(given["first"])
tell(found)
"""
    found = play(machine, script, within=away, host=HERE, away=AWAY, too=AWAY_TOO, first=FIRST)
    headers = found.pop("careful")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert found == {
        "good": 200, "rebound": 403, "anybody": 403, "plain": [307, f"https://{HERE}:8888/lab?a=b"], "owner": 302,
        "looked at": 10, "refused": True, "locked": 429, "owner's cookie": 200, "owner's browser": 302,
        "another address": 302,
    }  # fmt: skip
    told = [str(each["MESSAGE"]) for each in service.journal("--unit=jupyterd.service", f"--since=@{since // 10**6}")]
    assert len([each for each in told if f"login failed from {AWAY} (password)" in each]) == 10
    assert not [each for each in told if f"login failed from {AWAY_TOO}" in each]


def test_no_secret_is_where_another_account_could_find_it(service: Service) -> None:
    machine = without_password(service)
    machine.run("getent passwd mallory || useradd --create-home mallory")
    token = one_time_token(service)
    script = """
b = Browser()
assert b.login(given["token"], given["first"]) == 302
b.post("/api/kernels", {"name": "python3"})
b.post("/api/terminals", {})
tell({name: value for name, value in b.cookies.items() if name != "_xsrf"})
"""
    cookies = play(machine, script, token=token, first=FIRST)
    program = _SEARCH.format(state=STATE, account=ACCOUNT)
    machine.write("/root/search.py", program, mode=0o600)
    held = {"the one-time token": token, "the password": FIRST, "the lasting token": TOKEN, **cookies}
    machine.write("/root/held.json", json.dumps(held), mode=0o600)
    found = json.loads(machine.run("python3 -I /root/search.py </root/held.json; rm /root/held.json", timeout_s=120))
    assert found["secrets"] >= len(held) + 5, found  # hash, secret of the cookies, TLS key, keys of kernels
    assert found["looked"] > 200 and found["environments"] >= 2, found
    assert found["found"] == []


_SEARCH = """
import json, os, re, subprocess, sys
from pathlib import Path
held = {{name: value.encode() for name, value in json.load(sys.stdin).items()}}
state, uid = Path("{state}"), int(subprocess.check_output(["id", "-u", "{account}"]))
held["hash"] = json.loads((state / "login.json").read_text())["password_hash"].encode()
held["secret of the cookies"] = (state / "cookie_secret").read_bytes()
for file in state.glob("tls/*.pem"):
    for number, key in enumerate(re.findall("BEGIN [A-Z ]*PRIVATE KEY-----\\\\n(\\\\S+)", file.read_text())):
        held[f"key {{number}} of {{file.name}}"] = key.encode()
for file in Path("/run/jupyterd/k").glob("*.json"):
    held[f"key of {{file.name}}"] = json.loads(file.read_text())["key"].encode()
found, looked, environments = [], 0, 0
def look(data, where):
    found.extend(f"{{name}} in {{where}}" for name, secret in held.items() if secret in data)
# As root: what everybody may read of every process, and what kernels and terminals are given.
for each in Path("/proc").glob("[0-9]*"):
    try:
        look((each / "cmdline").read_bytes(), f"argv of {{each.name}}")
        if "jupyterd.slice" in (each / "cgroup").read_text():
            look((each / "environ").read_bytes(), f"environment of {{each.name}}: {{(each / 'cmdline').read_bytes()}}")
            environments += 1
    except OSError:
        pass
look(subprocess.check_output(["journalctl", "--all", "--output=export", "--no-pager"]), "the journal")
for unit in subprocess.check_output(["systemctl", "show", "jupyterd.service"]).splitlines():
    look(unit, "properties of the unit")
# As another account: every file that it can read.
reader, writer = os.pipe()
if os.fork() == 0:
    mallory = __import__("pwd").getpwnam("mallory")
    os.setgroups([]); os.setgid(mallory.pw_gid); os.setuid(mallory.pw_uid)
    found.clear()
    look(subprocess.run(["journalctl", "--all", "--output=export", "--no-pager"], capture_output=True).stdout, "hers")
    tops = ["/var/lib/jupyterd", "/run", "/etc/jupyterd", "/tmp", "/var/tmp", "/dev/shm", "/home/{account}",
            "/var/log", "/etc/systemd", "/proc/net"]
    tops += [str(each) for each in Path("/proc").glob("[0-9]*")]
    for top in tops:
        for directory, below, names in os.walk(top):
            if directory.startswith("/proc/"):
                below[:] = []
            for name in names:
                path = os.path.join(directory, name)
                try:
                    if not os.path.isfile(path) or name in ("kmsg", "clear_refs", "pagemap", "mem"):
                        continue
                    if top in ("/tmp", "/var/tmp", "/dev/shm") and os.lstat(path).st_uid != uid:
                        continue  # whatever the machine that this one is a copy of has there
                    with open(path, "rb", buffering=0, opener=lambda p, f: os.open(p, f | os.O_NONBLOCK)) as file:
                        data = file.read(2_000_000) or b""
                except OSError:
                    continue
                looked += 1
                look(data, path)
    os.write(writer, json.dumps([looked, found]).encode())
    os._exit(0)
os.close(writer)
looked, hers = json.loads(os.fdopen(reader).read())
print(json.dumps({{"secrets": len(held), "looked": looked, "environments": environments, "found": found + hers}}))
"""
