"""What a person reads for each mistake in a file: the whole line."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyterd.settings import load
from jupyterd.settings.problems import Invalid, Origin, Problem, printable, quoted

IP = 'allowed are "localhost", "*" for every address, and literal IPv4 and IPv6 addresses'
HATCH = (
    "jupyterd leaves it to Jupyter: put it into jupyter_server_config.py in a directory of your own, "
    "and name that in server.jupyter_config_dir"
)
SERVER_KEYS = (
    "ip, port, base_url, root_dir, allow_root, hidden_files, names, lab, language_server, connections_max, "
    "jupyter_config_dir, allow_unsafe, log_level"
)
SECTIONS = "[server], [login], [tls], [kernels], [kernels.gpu], [gpu], [gpu.cull], [supervision]"

TABLE = [
    # names
    ("[server]\nprot = 1", "2: server.prot is not a setting; did you mean server.port?"),
    ("[server]\nquack = 1", f"2: server.quack is not a setting; known in [server]: {SERVER_KEYS}"),
    ("[sever]\nport = 1", "1: [sever] is not a section; did you mean [server]?"),
    ("[quack]", f"1: [quack] is not a section; known are {SECTIONS}"),
    ("port = 1", "1: port is outside its section; move it below a line [server]"),
    ("zzz = 1", "1: zzz is not a setting; all settings: jupyterd config sample"),
    ("server = 5", f"1: server is 5; [server] is a section; known in it: {SERVER_KEYS}"),
    ("[[server]]\nport = 1", "1: [[server]] is a list of tables; write [server], once"),
    ("[server]\ncertificate = '/x'", "2: server.certificate is not a setting; it is tls.certificate"),
    ('[server]\n"q\\nq" = 1', f'2: server."q\\nq" is not a setting; known in [server]: {SERVER_KEYS}'),
    # names of other times
    ("NotebookApp.port = 1", "1: NotebookApp.port is not a setting; it is server.port here"),
    ("c.NotebookApp.ip = '*'", "1: c.NotebookApp.ip is not a setting; it is server.ip here"),
    ("[ServerApp]\n\ncertfile = 'x'", "3: ServerApp.certfile is not a setting; it is tls.certificate here"),
    ("notebook_dir = '/x'", "1: notebook_dir is not a setting; it is server.root_dir here"),
    ("[NotebookApp]\npassword = 'x'", "2: NotebookApp.password is not a setting; it is login.password_hash here"),
    ("[tls]\nkeyfile = 'x'", "2: tls.keyfile is not a setting; it is tls.key here"),
    (
        "[NotebookApp]\nopen_browser = false",
        ("2: NotebookApp.open_browser is not a setting; "
        "it is not needed: a daemon opens no browser; delete the line"),
    ),
    (
        "[NotebookApp]\nallow_remote_access = true",
        ("2: NotebookApp.allow_remote_access is not a setting; it is not needed: server.ip decides who can reach it, "
        "and server.names which names it answers to; delete the line"),
    ),
    (
        "[MappingKernelManager]\ncull_idle_timeout = 3",
        "2: MappingKernelManager.cull_idle_timeout is not a setting; it is kernels.cull_idle_timeout_s here",
    ),
    (
        "[MappingKernelManager]\nbuffer_offline_messages = false",
        f"2: MappingKernelManager.buffer_offline_messages is not a setting; {HATCH}",
    ),
    ("[gpu.cull]\n\nidel_s = 90", "3: gpu.cull.idel_s is not a setting; did you mean gpu.cull.idle_s?"),
    ("[gpu]\nidle_s = 90", "2: gpu.idle_s is not a setting; it is gpu.cull.idle_s"),
    (
        "[gpu]\ncull = true",
        "2: gpu.cull is true; [gpu.cull] is a section; known in it: enabled, dry_run, memory_gib, idle_s, warning_s",
    ),
    (
        "[gpu.cull]\nidle_s = 0",
        "2: gpu.cull.idle_s is 0; allowed is a number from 1 to 31536000 (seconds)",
    ),
    ("[LabApp]", f"1: LabApp is not a setting; {HATCH}"),
    # types
    (
        "[server]\nport = '8888'",
        '2: server.port is "8888"; allowed is a whole number from 1 to 65535; write it without quotes: port = 8888',
    ),
    ("[server]\nport = 'x'", '2: server.port is "x"; allowed is a whole number from 1 to 65535'),
    ("[server]\nport = true", "2: server.port is true; allowed is a whole number from 1 to 65535"),
    (
        "[server]\nport = 8888.0",
        "2: server.port is 8888.0; allowed is a whole number from 1 to 65535; write port = 8888",
    ),
    ("[server]\nlab = 1", "2: server.lab is 1; allowed is true or false; write lab = true"),
    ("[server]\nlab = 1.0", "2: server.lab is 1.0; allowed is true or false; write lab = true"),
    ("[server]\nlab = 'no'", '2: server.lab is "no"; allowed is true or false; write it without quotes: lab = false'),
    ("[server]\nbase_url = 5", '2: server.base_url is 5; allowed is text; write it in double quotes: base_url = "5"'),
    ("[server]\nbase_url = []", "2: server.base_url is a list; allowed is text"),
    ("[server]\nlab.x = 1", "2: server.lab is a table; allowed is true or false"),
    ("[tls]\nenabled = 2026-01-01", "2: tls.enabled is a date or time; allowed is true or false"),
    ("[server]\nip = 0", "2: server.ip is 0; allowed is a list of strings"),
    ("[server]\nnames = [\n'a',\n5]", "4: server.names holds 5; allowed is text in double quotes"),
    ("[gpu]\nlog_every_s = true", "2: gpu.log_every_s is true; allowed is a number from 1 to 86400 (seconds)"),
    # ranges and choices
    ("[server]\nport = 0", "2: server.port is 0; allowed is a whole number from 1 to 65535"),
    ("[server]\nport = 65536", "2: server.port is 65536; allowed is a whole number from 1 to 65535"),
    (f"[server]\nport = 1{'0' * 4000}", "2: server.port is a number; allowed is a whole number from 1 to 65535"),
    (f"[gpu]\nlog_every_s = 1{'0' * 400}",
    "2: gpu.log_every_s is a number; allowed is a number from 1 to 86400 (seconds)"),
    ("[gpu]\nlog_every_s = nan", "2: gpu.log_every_s is nan; allowed is a number from 1 to 86400 (seconds)"),
    ("[kernels]\ngrace_s = inf", "2: kernels.grace_s is inf; allowed is a number from 0 to 600 (seconds)"),
    (
        "[server]\nlog_level = 'warn'",
        '2: server.log_level is "warn"; allowed is one of "DEBUG", "INFO", "WARNING", "ERROR"; did you mean "WARNING"?',
    ),
    (
        "[server]\nlog_level = 'x'",
        '2: server.log_level is "x"; allowed is one of "DEBUG", "INFO", "WARNING", "ERROR"',
    ),
    # meanings
    ("[server]\nip = []", f'2: server.ip is empty; {IP}; write ip = ["*"] for every address'),
    ("[server]\nip = ''", f'2: server.ip is ""; {IP}; write ip = ["*"] for every address'),
    ("[server]\nip = '0.0.0.1'", f'2: server.ip is "0.0.0.1"; {IP}; did you mean "0.0.0.0"?'),
    ("[server]\nip = [\n'::1',\n'localhsot']", f'4: server.ip is "localhsot"; {IP}; did you mean "localhost"?'),
    (
        "[server]\nbase_url = 'https://h/lab'",
        ('2: server.base_url is "https://h/lab"; allowed is a path such as "/lab1/", of letters, digits and .-_~; '
        'write only the path: base_url = "/lab/"; host names go to server.names'),
    ),
    (
        "[server]\nbase_url = '/a//b/'",
        ('2: server.base_url is "/a//b/"; allowed is a path such as "/lab1/", of letters, digits and .-_~; '
        'did you mean "/a/b/"?'),
    ),
    (
        "[server]\nbase_url = '/a b/'",
        '2: server.base_url is "/a b/"; allowed is a path such as "/lab1/", of letters, digits and .-_~',
    ),
    (
        "[server]\nbase_url = '/a/../b/'",
        '2: server.base_url is "/a/../b/"; allowed is a path such as "/lab1/", of letters, digits and .-_~',
    ),
    (
        "[server]\nnames = ['https://gpu.lan:8888/']",
        ('2: server.names holds "https://gpu.lan:8888/"; allowed are host names and addresses as browsers use them; '
        'write "gpu.lan"'),
    ),
    (
        "[server]\nnames = ['*.lan']",
        ('2: server.names holds "*.lan"; allowed are host names and addresses as browsers use them; '
        "a pattern cannot be probed: write each name"),
    ),
    ("[server]\nroot_dir = ''", "2: server.root_dir is empty; a directory is wanted"),
    (
        "[server]\nroot_dir = 'work'",
        '2: server.root_dir is "work"; a path that begins with "/" or "~/" is wanted',
    ),
    ("[server]\nroot_dir = '$HOME/w'", '2: server.root_dir is "$HOME/w"; variables are not replaced; write "~/w"'),
    ("[server]\nroot_dir = '${HOME}'", '2: server.root_dir is "${HOME}"; variables are not replaced; write "~"'),
    ("[tls]\nkey = '~quack-17/k'", '2: tls.key is "~quack-17/k"; there is no account "quack-17"'),
    (
        '[server]\nroot_dir = "/a\\u0000b"',
        '2: server.root_dir holds control characters: "/a\\u0000b"; allowed is printable text',
    ),
    (
        "[tls]\nkey = '/k'",
        ("2: tls.key is set and tls.certificate is not; a key needs its certificate; "
        "set tls.certificate too, or neither: then a self-signed pair is made"),
    ),
    (
        "[kernels]\nmemory_high = '2T'\nmemory_max = '64G'",
        ('2: kernels.memory_high is "2T", more than kernels.memory_max; '
        'a kernel is ended at "64G" and would never be slowed down before; give the smaller of the two to memory_high'),
    ),
    (
        "[kernels]\nmemory_max = '64 GiB'",
        '2: kernels.memory_max is "64 GiB"; allowed is a size such as "64G", "512M" or "50%"; did you mean "64G"?',
    ),
    # not TOML
    ("[server]\nport = ", "2: is not TOML; port has no value"),
    ("[server]\n\nport: 8888", "3: is not TOML; write port = ..., with an equals sign"),
    ("[server]\nport 8888", "2: is not TOML; write port = ..., with an equals sign"),
    ("[server]\nip = localhost", '2: is not TOML; put text in double quotes: ip = "..."'),
    ("[server]\nip = 192.168.1.7", '2: is not TOML; put text in double quotes: ip = "..."'),
    ("[server]\nroot_dir = /srv", '2: is not TOML; put text in double quotes: root_dir = "..."'),
    (
        "[server]\nlab = True",
        "2: is not TOML; lab = : true and false are written in small letters and without quotes",
    ),
    ("[server]\nip = [\n'a',\n", "3: is not TOML (it ends in the middle of a value or a list)"),
    ("[server]\nport = 1\nport = 2", "3: is not TOML (the key is set a second time)"),
    (f"a = 1{'0' * 5000}", "1: is not TOML (a number has too many digits)"),
]  # fmt: skip


def problems_of(text: str, path: Path) -> list[str]:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(Invalid) as caught:
        load.load(load.sources("foreground", path, {"HOME": "/home/ada"}, {}))
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("text", "line"), TABLE, ids=range(len(TABLE)))
def test_one_mistake_gives_one_line(text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    assert problems_of(text, path) == [f"{path}:{line}"]


def test_every_problem_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    right_alone = ("is not TOML", "is set and tls.certificate is not", "more than kernels.memory_max")
    wrong = [row for row in TABLE if not any(word in row[1] for word in right_alone)]
    found = []
    for index, (text, _) in enumerate(wrong):
        part = tmp_path / f"{index:02}.toml"
        part.write_text(text, encoding="utf-8")
        part.chmod(0o600)
        found.append(load.FileSource(part))
    sources = load.sources("foreground", tmp_path / "00.toml", {}, {})
    with pytest.raises(Invalid) as caught:
        load.load(load.Sources(tuple(found), None, {}, {}, sources.account, tmp_path))
    lines = [str(problem).partition(".toml:")[2] for problem in caught.value.problems]
    assert lines == [line for _, line in wrong]


@pytest.mark.parametrize("sizes", [("1024M", "1G"), ("1.5G", "2G"), ("40%", "50%"), ("9T", "50%"), ("9T", "infinity")])
def test_a_size_to_slow_down_at_may_be_as_much_as_the_bound_or_not_comparable(
    sizes: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[kernels]\nmemory_high = '{}'\nmemory_max = '{}'".format(*sizes), encoding="utf-8")
    load.load(load.sources("foreground", path, {"HOME": "/home/ada"}, {}))


def test_one_file_may_hold_many_problems(tmp_path: Path) -> None:
    text = "port = 1\n[server]\nport = '1'\nip = [\n'0.0.0.1',\n'::1',\n'gpu.lan',\n]\n[tsl]\n"
    assert [line.partition(".toml:")[2].split(":")[0] for line in problems_of(text, tmp_path / "x.toml")] == [
        "1", "3", "5", "7", "9",
    ]  # fmt: skip


def test_a_problem_is_one_line_whatever_the_file_is_called(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\x1b[31m.toml"
    (line,) = problems_of("[server]\nprot = 1", path)
    assert line.isprintable()
    assert "a\\nb\\x1b[31m.toml:2: " in line


def test_what_a_terminal_could_obey_is_shown_as_an_escape() -> None:
    assert printable("a\x1b]0;x\x07\u202e\ud800") == "a\\x1b]0;x\\x07\\u202e\\ud800"
    assert quoted("ä" * 100) == '"' + "ä" * 60 + '..."'


def test_the_parts_of_a_problem_are_separated_by_semicolons() -> None:
    assert str(Problem(Origin("f", 3), "is x", "y is wanted", "type z")) == "f:3: is x; y is wanted; type z"
    assert str(Problem(Origin("--port"), "is x")) == "--port: is x"
