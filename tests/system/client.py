"""A browser's part, from inside the machine: log in by the form, keep the cookie, ask, hold a websocket open."""

from __future__ import annotations

import json
import shlex
from typing import Any

from system.machine import Machine

PYTHON = "/opt/jupyterd/current/bin/python -I -c"


def log_in(machine: Machine, typed: str, *, port: int = 8888, new: str = "") -> int:
    """The status of the login form's answer: 302 for who is in."""
    found: int = _do(machine, "print(json.dumps(login(given['typed'], given['new'])))", typed=typed, new=new, port=port)
    return found


def _do(machine: Machine, script: str, **given: Any) -> Any:
    program = f"{_CLIENT}\n{script}"
    # By a file: secrets of a test must not be what the search for secrets in argv finds.
    machine.write("/root/given.json", json.dumps(given), mode=0o600)
    return json.loads(machine.run(f"{PYTHON} {shlex.quote(program)} </root/given.json; rm /root/given.json"))


_CLIENT = """
import http.client, json, re, ssl, sys, urllib.parse
given = json.load(sys.stdin)
context = ssl._create_unverified_context()
cookies = {}
def ask(method, path, body=None, **headers):
    to = http.client.HTTPSConnection("localhost", given["port"], timeout=30, context=context)
    headers["Cookie"] = "; ".join(f"{a}={b}" for a, b in cookies.items())
    to.request(method, path, body, {a.replace("_", "-"): b for a, b in headers.items()})
    answer = to.getresponse()
    text = answer.read().decode(errors="replace")
    for line in answer.headers.get_all("Set-Cookie") or []:
        name, _, value = line.partition(";")[0].partition("=")
        cookies[name] = value
    return answer.status, text
def login(typed, new=""):
    xsrf = re.search('name="_xsrf" value="([^"]+)"', ask("GET", "/login")[1])[1]
    form = {"_xsrf": xsrf, "password": typed} | ({"new_password": new, "new_password_again": new} if new else {})
    return ask("POST", "/login", urllib.parse.urlencode(form), Content_Type="application/x-www-form-urlencoded")[0]
"""
