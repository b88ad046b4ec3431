"""The environment that a kernel or terminal gets: the account's login, the settings, and its Python environment.

wrapper.py loads it by path, with nothing but what is built in: json, subprocess and pathlib would double the time of a
kernel's start. As a program (`python -I -S shell_environment.py FILE`) it writes what a shell has given it.

A shell, and whatever the account's start-up files start, is killed with its session at a deadline; then the kernel
starts without what that shell would have set, and says so.
"""

from __future__ import annotations

import _json
import os
import resource
import signal
import sys
import time

LOGIN_S, ACTIVATION_S, FILES_S = 8.0, 6.0, 1.0
"""Together less than launcher.LAUNCH_DEADLINE_S."""
_LOOK_S = 0.003
_OF_A_SHELL = ("_", "SHLVL", "PWD", "OLDPWD", "BASH_EXECUTION_STRING")
_OF_ENVIRONMENTS = (
    "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PYTHONHOME", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER",
    "CONDA_SHLVL",
)  # fmt: skip
_STACKED = "CONDA_PREFIX_"
GENERATOR = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"
_FILES = ("/etc/environment", "/etc/default/locale")
"""What pam_env(8) reads at a login on Debian."""
_UNSET = "***unset***"
"""In conda-meta/state: `conda env config vars unset`."""
_LIMITS = {
    name.removeprefix("RLIMIT_"): getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")
}

Environment = dict[str, str]


class Computed:
    """`env` is what the program gets, `limits` its resource limits {"NOFILE": (soft, hard)}, `told` what went wrong, as
    sentences. `steps`: (where it comes from, the environment after that), in their order.
    """

    def __init__(self, env: Environment) -> None:
        self.env, self.limits, self.told = env, dict[str, tuple[int, int]](), list[str]()
        self.steps = [("the service", env)]

    def step(self, name: str, env: Environment) -> None:
        """Go on with this environment."""
        self.env = env
        self.steps.append((name, env))


def compute(base: Environment, setup: dict, scratch: str, output: int | None = None) -> Computed:  # type: ignore[type-arg]  # as in wrapper.py
    """`setup` is a registry.Setup as JSON; `scratch` a path in a private directory for the shells' answers; `output`
    the descriptor that gets what the shells print.
    """
    made = Computed(base)
    if shell := setup.get("shell"):
        made.step("environment.d, /etc/environment and /etc/default/locale", _of_files(base))
        options = ["-i"] if setup.get("interactive") else []
        _through(made, f"the login shell {shell}", _login(shell, options), scratch, (LOGIN_S, output))
    settled = {name: expanded(text, made.env) for name, text in (setup.get("variables") or {}).items()}
    made.step("[kernels.env]", {**made.env, **settled})
    overlay = setup.get("overlay") or {}
    made.step("the kernelspec", {**made.env, **overlay})
    if prefix := setup.get("prefix"):
        made.step(f"the environment {prefix}", activated(made.env, prefix))
        if scripts := _scripts(prefix):
            _through(made, f"{prefix}/etc/conda/activate.d", _sourcing(scripts), scratch, (ACTIVATION_S, output))
        settled |= overlay
        settled.pop("PATH", None)  # the environment's programs come first
        made.step("[kernels.env] and the kernelspec", {**made.env, **settled})
    return made


def expanded(text: str, env: Environment) -> str:
    """`text` with each ${NAME} replaced by its value; a name that is not set is empty."""
    parts = text.split("${")
    made = parts[0]
    for part in parts[1:]:
        name, closed, rest = part.partition("}")
        made += env.get(name, "") + rest if closed else "${" + part
    return made


def activated(env: Environment, prefix: str) -> Environment:
    """`env` in which pip, python and what they start mean this environment, and no other one is named. Runs nothing;
    of conda's activation all but the scripts.
    """
    made = {
        name: value for name, value in env.items() if name not in _OF_ENVIRONMENTS and not name.startswith(_STACKED)
    }
    others = {f"{env[name]}/bin" for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if env.get(name)}
    entries = [each for each in env.get("PATH", "").split(":") if each and each not in {*others, f"{prefix}/bin"}]
    made["PATH"] = ":".join([f"{prefix}/bin", *entries])
    if os.path.isdir(f"{prefix}/conda-meta"):  # noqa: PTH112 - without pathlib
        _as_conda(made, prefix)
    elif os.path.isfile(f"{prefix}/pyvenv.cfg"):  # noqa: PTH113
        made["VIRTUAL_ENV"] = prefix
    return made


def _as_conda(made: Environment, prefix: str) -> None:
    """What `conda activate` sets: conda/activate.py, `build_activate`."""
    parent, _, name = prefix.rpartition("/")
    root = parent.rpartition("/")[0] if parent.endswith("/envs") else prefix
    is_base = os.path.isdir(f"{prefix}/condabin")  # noqa: PTH112
    shown = "base" if is_base else name if parent.endswith("/envs") else prefix
    made |= {
        "CONDA_PREFIX": prefix, "CONDA_SHLVL": "1", "CONDA_DEFAULT_ENV": shown, "CONDA_PROMPT_MODIFIER": f"({shown}) ",
    }  # fmt: skip
    if os.access(f"{root}/bin/conda", os.X_OK):
        made |= {"CONDA_EXE": f"{root}/bin/conda", "CONDA_PYTHON_EXE": f"{root}/bin/python"}
        entries = [each for each in made["PATH"].split(":") if each != f"{root}/condabin"]
        made["PATH"] = ":".join([entries[0], f"{root}/condabin", *entries[1:]])
    for name, value in _variables_of(prefix).items():
        if value == _UNSET:
            made.pop(name, None)
        else:
            made[name] = value


def _variables_of(prefix: str) -> Environment:
    """`conda env config vars set`, and what packages keep in env_vars.d."""
    found: Environment = {}
    directory = f"{prefix}/etc/conda/env_vars.d"
    for name in _listed(directory, ".json"):
        found |= _texts(_json_of(f"{directory}/{name}"))
    state = _json_of(f"{prefix}/conda-meta/state")
    return found | _texts(state.get("env_vars") if isinstance(state, dict) else None)


def _scripts(prefix: str) -> list[str]:
    directory = f"{prefix}/etc/conda/activate.d"
    return [f"{directory}/{name}" for name in _listed(directory, ".sh")]


def _of_files(env: Environment) -> Environment:
    """`env` with what a login gets from files before any shell runs, read now."""
    made = dict(env)
    for path in _FILES:
        for line in _text(path).splitlines():
            name, sign, value = line.strip().removeprefix("export ").partition("=")
            if sign and not name.startswith("#") and _is_name(name.strip()):
                made[name.strip()] = _unquoted(value.strip())
    if os.access(GENERATOR, os.X_OK):  # systemd's own reader of environment.d(5)
        reader, writer = os.pipe()
        _run([GENERATOR], GENERATOR, made, FILES_S, writer)
        os.close(writer)
        with open(reader, "rb") as answer:  # noqa: PTH123
            text = answer.read(1 << 16).decode("utf-8", "surrogateescape")
        for line in text.splitlines():
            name, sign, value = line.partition("=")
            if sign and _is_name(name):
                made[name] = _unquoted(value)
    return made


def _login(shell: str, options: list[str]) -> tuple[str, list[str], str]:
    """A login shell of any kind, which becomes the reporter."""
    name = shell.rpartition("/")[2]
    login = [] if name in {"csh", "tcsh"} else ["-l"]  # which must be the only option of those two
    return shell, [f"-{name}", *login, *options], ""


def _sourcing(scripts: list[str]) -> tuple[str, list[str], str]:
    shell = "/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh"
    return shell, [shell], "".join(f". {_quoted(each)}\n" for each in scripts)


def _through(
    made: Computed, what: str, given: tuple[str, list[str], str], scratch: str, bounds: tuple[float, int | None]
) -> None:
    """The environment after a shell, `given` as (program, argv, what it does first), that has read its files. `bounds`:
    its deadline, and where its output goes.
    """
    (program, argv, before), (deadline_s, output) = given, bounds
    become = f"exec {_quoted(sys.executable)} -I -S {_quoted(__file__)} {_quoted(scratch)}"
    _forget(scratch)
    ended = _run([*argv, "-c", before + become], program, made.env, deadline_s, output)
    try:
        words = _answer(scratch)
    except OSError:
        late = f"did not end within {deadline_s:.0f} s and was killed"
        why = late if ended is None else "ended without an answer"
        made.told.append(f"{what} {why}, so what it sets is missing; to see it: jupyterd env show")
        return
    finally:
        _forget(scratch)
    env: Environment = {}
    for word in words:
        name, _, value = word.partition("=")
        if name.startswith("limit "):
            soft, hard = value.split(" ")
            made.limits[name[6:]] = int(soft), int(hard)
        elif name and (name not in _OF_A_SHELL or name in made.env):
            env[name] = made.env[name] if name in _OF_A_SHELL else value
    made.step(what, env)


def _answer(path: str) -> list[str]:
    """What `report` wrote. OSError for nothing, and for what is no such file."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
        words = file.read()
    if not words:
        raise OSError("no answer")
    return words.decode("utf-8", "surrogateescape").split("\0")


def _run(argv: list[str], program: str, env: Environment, deadline_s: float, output: int | None) -> int | None:
    """Its wait status; None: it was killed at the deadline, with its group in a session of its own."""
    pid = os.fork()
    if not pid:
        try:
            os.setsid()
            null = os.open("/dev/null", os.O_RDWR)
            os.dup2(null, 0)
            if output is not None:
                os.dup2(output, 1)
            home = env.get("HOME", "/")
            os.chdir(home if os.path.isdir(home) else "/")  # noqa: PTH112
            os.execve(program, argv, env)  # noqa: S606 - the account's own shell
        finally:
            os._exit(127)
    until = time.monotonic() + deadline_s
    status = None
    while status is None and time.monotonic() < until:
        ended, code = os.waitpid(pid, os.WNOHANG)
        status = code if ended else None
        if status is None:
            time.sleep(_LOOK_S)
    if status is None:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return status


def apply(limits: dict[str, tuple[int, int]]) -> None:
    """Set these limits for this process, as far as it may."""
    for name, (soft, hard) in limits.items():
        try:
            if resource.getrlimit(_LIMITS[name]) != (soft, hard):
                resource.setrlimit(_LIMITS[name], (soft, hard))
        except (OSError, ValueError, KeyError):
            pass


def report(path: str) -> None:
    """What this process was given, for `_through`."""
    words = [b"%s=%s" % pair for pair in os.environb.items()]
    for name, number in _LIMITS.items():
        soft, hard = resource.getrlimit(number)
        words.append(f"limit {name}={soft} {hard}".encode())
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123
        file.write(b"\0".join(words))


def _forget(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)  # noqa: PTH108


def _listed(directory: str, ending: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(ending))  # noqa: PTH208
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            return file.read(1 << 20)
    except OSError:
        return ""


def _json_of(path: str) -> object:
    try:
        return _json.make_scanner(_Json)(_text(path).lstrip(), 0)[0]  # type: ignore[arg-type]  # see wrapper.py
    except (ValueError, StopIteration):
        return None


class _Json:
    """The attributes of json.JSONDecoder that its scanner reads."""

    strict, memo = True, None
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def _texts(found: object) -> Environment:
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _is_name(name: str) -> bool:
    return name.isidentifier() and name.isascii()


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        words = value[1:-1].split("\\\\")
        for mark in '"$`':
            words = [word.replace("\\" + mark, mark) for word in words]
        return "\\".join(words)
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value


def _quoted(word: str) -> str:
    """For every shell, csh and fish too."""
    return "'" + word.replace("'", "'\\''") + "'"


if __name__ == "__main__":
    report(sys.argv[1])
