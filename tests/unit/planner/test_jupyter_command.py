from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from jupyterd.linux.accounts import Account
from jupyterd.planner import jupyter_command
from jupyterd.settings.paths import Paths
from jupyterd.settings.schema import ServerSettings, Settings

PATHS = Paths("service", Path("/var/lib/jupyterd"), Path("/run/jupyterd"))
ACCOUNT = Account("ada", 4242, 4242, "/home/ada")


def env(environ: dict[str, str], settings: Settings | None = None, mode: str = "service") -> dict[str, str]:
    paths = attrs.evolve(PATHS, mode=mode)
    return dict(
        jupyter_command.server(settings or Settings(), paths, ACCOUNT, environ, prefix="/opt/jupyterd/venv").env
    )


@pytest.mark.parametrize(
    "name",
    [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "CREDENTIALS_DIRECTORY",
        "JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE", "JUPYTERD_LOGIN_TOKEN", "JUPYTERHUB_API_TOKEN", "JUPYTER_NO_CONFIG",
        "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "SSLKEYLOGFILE", "JPY_PARENT_PID", "INVOCATION_ID",
    ],
)  # fmt: skip
def test_what_is_dangerous_stays_behind(name):
    assert name not in env({name: "x", "PATH": "/bin"})


def test_the_rest_comes_along():
    made = env({"PATH": "/bin:/home/ada/bin", "CUDA_HOME": "/usr/local/cuda", "LANG": "de_DE.UTF-8"})
    assert made["PATH"] == "/bin:/home/ada/bin"
    assert made["CUDA_HOME"] == "/usr/local/cuda"
    assert made["LANG"] == "de_DE.UTF-8"


def test_our_own_virtual_environment_is_nobodys_business():
    own = {"VIRTUAL_ENV": "/opt/jupyterd/venv", "VIRTUAL_ENV_PROMPT": "x", "PATH": "/opt/jupyterd/venv/bin:/bin"}
    made = env(own)
    assert "VIRTUAL_ENV" not in made
    assert "VIRTUAL_ENV_PROMPT" not in made
    assert made["PATH"] == "/bin"
    assert env({"VIRTUAL_ENV": "/home/ada/venv", "PATH": "/home/ada/venv/bin:/bin"})["VIRTUAL_ENV"] == "/home/ada/venv"


@pytest.mark.parametrize("environ", [{}, {"PATH": ""}, {"PATH": "/opt/jupyterd/venv/bin"}])
def test_a_bare_service_gets_what_a_login_has(environ):
    made = env(environ)
    assert made["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert (made["HOME"], made["USER"], made["LOGNAME"]) == ("/home/ada", "ada", "ada")
    assert Path(made["SHELL"]).name in ("bash", "sh")
    assert made["LANG"] == "C.UTF-8"
    assert made["XDG_RUNTIME_DIR"] == "/run/user/4242"


def test_jupyters_directories():
    made = env({"PATH": "/bin"})
    assert made["JUPYTER_CONFIG_DIR"] == "/var/lib/jupyterd/jupyter"
    assert made["JUPYTER_RUNTIME_DIR"] == "/run/jupyterd/jupyter"
    assert made["JUPYTER_DATA_DIR"] == "/home/ada/.local/share/jupyter"
    assert made["JUPYTERLAB_SETTINGS_DIR"] == "/home/ada/.jupyter/lab/user-settings"
    assert "JUPYTER_CONFIG_PATH" not in made
    assert env({"XDG_DATA_HOME": "/data/ada"})["JUPYTER_DATA_DIR"] == "/data/ada/jupyter"
    named = Settings(server=ServerSettings(jupyter_config_dir="/home/ada/.jupyter"))
    assert env({}, named)["JUPYTER_CONFIG_PATH"] == "/home/ada/.jupyter"


def test_how_it_logs_depends_on_where_it_runs():
    assert [env({}, mode=mode)["JUPYTERD_LOG"] for mode in ("service", "user", "foreground")] == [
        "journal", "journal", "terminal",
    ]  # fmt: skip
    assert "XDG_RUNTIME_DIR" not in env({}, mode="foreground")


def test_it_is_isolated_and_starts_where_nothing_can_hang():
    made = jupyter_command.server(Settings(server=ServerSettings(root_dir="/net/slow")), PATHS, ACCOUNT, {})
    assert made.argv[1:] == ("-I", "-m", "jupyterd.server")
    assert made.cwd == "/"
