from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import attrs
import pytest

from jupyterd.linux.accounts import Account
from jupyterd.planner import jupyter_command, jupyter_config
from jupyterd.settings.paths import Paths
from jupyterd.settings.schema import LoginSettings, ServerSettings, Settings

PATHS = Paths("service", Path("/var/lib/jupyterd"), Path("/run/jupyterd"))
SETTINGS = Settings(
    server=ServerSettings(root_dir="/srv/notebooks", base_url="/lab1/", hidden_files=True, names=("gpu.example.org",)),
    login=LoginSettings(password_hash="argon2:secret-hash", token="secret-token"),
)
ACCOUNT = Account("ada", 1000, 1000, "/home/ada")
PAIR = jupyter_config.PairFiles("/etc/cert.pem", "/etc/key.pem", "ab" * 32)


def test_settings_become_traits():
    traits = jupyter_config.generate(SETTINGS, PATHS)
    assert traits["ServerApp"]["root_dir"] == "/srv/notebooks"
    assert traits["ServerApp"]["base_url"] == "/lab1/"
    assert traits["ContentsManager"] == {"allow_hidden": True}
    assert traits["SessionManager"] == {"database_filepath": "/var/lib/jupyterd/sessions.db"}
    assert traits["KernelManager"]["launcher"] == "user-unit"


def test_in_the_foreground_kernels_are_detached():
    foreground = attrs.evolve(PATHS, mode="foreground")
    assert jupyter_config.generate(SETTINGS, foreground)["KernelManager"]["launcher"] == "detached"


def test_no_secret_is_generated():
    made = json.dumps(jupyter_config.generate(SETTINGS, PATHS)) + repr(
        jupyter_command.server(SETTINGS, PATHS, ACCOUNT, {"PATH": "/bin", "JUPYTERD_LOGIN_TOKEN": "secret-token"})
    )
    assert "secret" not in made


@pytest.mark.parametrize(
    ("server", "lab", "lsp"),
    [
        (ServerSettings(), True, False),
        (ServerSettings(lab=False), False, False),
        (ServerSettings(language_server=True), True, True),
        (ServerSettings(lab=False, language_server=True), False, False),
    ],
)
def test_extensions(server, lab, lsp):
    decided = jupyter_config.generate(Settings(server=server), PATHS)["ServerApp"]["jpserver_extensions"]
    assert (decided["jupyterlab"], decided["jupyter_lsp"]) == (lab, lsp)
    assert decided["notebook"]
    assert decided["jupyter_server_terminals"]


def test_the_level_that_traitlets_spells_its_own_way():
    traits = jupyter_config.generate(Settings(server=ServerSettings(log_level="WARNING")), PATHS)
    assert traits["Application"]["log_level"] == "WARN"


def test_live_settings():
    live = jupyter_config.live(SETTINGS, PAIR, ("GPU.lan.", "192.168.1.7", "::1", "*.example.com"))
    assert live == {
        "format": 1, "certificate": "/etc/cert.pem", "key": "/etc/key.pem", "sha256": "ab" * 32,
        "names": ["*.example.com", "gpu.example.org", "gpu.lan", "localhost"],
        "authority": None, "watched": {}, "renew_at": None,
        "password_hash": "argon2:secret-hash", "token": "secret-token", "allow_password_change": True,
        "trusted_proxies": [],
    }  # fmt: skip
    assert jupyter_config.live(SETTINGS, None)["certificate"] is None


def test_what_changes_which_key():
    def keys(settings: Settings, pair: jupyter_config.PairFiles | None = PAIR) -> tuple[str, str]:
        server = jupyter_command.server(settings, PATHS, ACCOUNT, {"PATH": "/bin"})
        return jupyter_config.keys(
            jupyter_config.generate(settings, PATHS), server, jupyter_config.live(settings, pair)
        )

    before = keys(SETTINGS)
    assert keys(SETTINGS) == before
    renewed = keys(SETTINGS, attrs.evolve(PAIR, sha256="cd" * 32))
    assert (renewed[0] == before[0], renewed[1] == before[1]) == (True, False)
    other_token = keys(attrs.evolve(SETTINGS, login=LoginSettings(token="x")))
    assert (other_token[0] == before[0], other_token[1] == before[1]) == (True, False)
    other_root = keys(attrs.evolve(SETTINGS, server=attrs.evolve(SETTINGS.server, root_dir="/srv/else")))
    assert (other_root[0] == before[0], other_root[1] == before[1]) == (False, True)
    plain = keys(SETTINGS, None)
    assert plain[0] != before[0]


def test_files_are_the_accounts_alone(tmp_path):
    paths = Paths("foreground", tmp_path / "state", tmp_path / "state/run")
    os.umask(0o000)
    try:
        jupyter_config.write(paths, jupyter_config.generate(SETTINGS, paths), jupyter_config.live(SETTINGS, PAIR))
        jupyter_config.write(paths, jupyter_config.generate(SETTINGS, paths), jupyter_config.live(SETTINGS, PAIR))
    finally:
        os.umask(0o022)
    for path in [paths.state, *paths.state.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert json.loads(paths.live.read_text())["token"] == "secret-token"
    assert sorted(each.name for each in paths.state.iterdir()) == ["jupyter", "live.json", "run", "traits.json"]


def test_what_earlier_versions_generated_is_removed_and_nothing_else(tmp_path):
    paths = Paths("foreground", tmp_path / "state", tmp_path / "state/run")
    former = paths.jupyter_config / "jupyter_server_config.json"
    for text, stays in (
        ('{"Jupyterd": {}}', False),
        ('{"PasswordIdentityProvider": {}}', True),
        ("[", True),
        ("1", True),
    ):
        former.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.state.chmod(0o700)
        former.write_text(text)
        former.chmod(0o600)
        jupyter_config.write(paths, jupyter_config.generate(SETTINGS, paths), jupyter_config.live(SETTINGS, PAIR))
        assert former.exists() == stays
        assert jupyter_config.foreign(paths.jupyter_config) == [former] * stays
