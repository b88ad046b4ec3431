"""What a kernel's environment is made of: real shells, over a home directory with real start-up files."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import time
from pathlib import Path

import pytest
from support import environments

from jupyterd.launch import shell_environment
from jupyterd.launch.shell_environment import activated, compute, expanded


def base(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **more}


def setup(shell: str = "", **more: object) -> dict[str, object]:
    return {"shell": shell, "interactive": False, "variables": {}, "overlay": {}, "prefix": "", **more}


def computed(tmp_path: Path, asked: dict[str, object], **more: str) -> shell_environment.Computed:
    return compute(base(tmp_path, **more), asked, str(tmp_path / "answer"))


@pytest.mark.parametrize(
    ("shell", "file", "text"),
    [
        ("bash", ".profile", "export GIVEN='a b\nc'; PATH=/mine:$PATH; ulimit -Sn 512; echo said"),
        ("dash", ".profile", "export GIVEN='a b\nc'; PATH=/mine:$PATH; ulimit -Sn 512; echo said"),
        ("zsh", ".zprofile", "export GIVEN='a b\nc'; PATH=/mine:$PATH; ulimit -Sn 512; echo said"),
        ("fish", ".config/fish/config.fish", "set -gx GIVEN 'a b\nc'; set -gx PATH /mine $PATH; ulimit -Sn 512"),
        ("tcsh", ".login", "setenv GIVEN 'a b\\\nc'; setenv PATH /mine:$PATH; limit descriptors 512"),
    ],
)
def test_every_login_shell_gives_what_its_files_say(tmp_path: Path, shell: str, file: str, text: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text + "\n")
    found = computed(tmp_path, setup(program), KEPT="1")
    assert found.told == []
    assert (found.env["GIVEN"], found.env["KEPT"]) == ("a b\nc", "1")
    assert found.env["PATH"].startswith("/mine:")
    assert found.limits["NOFILE"][0] == 512
    assert "SHLVL" not in found.env
    assert list(tmp_path.glob("answer*")) == []


def test_only_an_interactive_shell_reads_what_is_meant_for_terminals(tmp_path: Path) -> None:
    (tmp_path / ".bash_profile").write_text("case $- in *i*) export SEEN=terminal;; *) export SEEN=none;; esac\n")
    assert computed(tmp_path, setup("/bin/bash")).env["SEEN"] == "none"
    assert computed(tmp_path, setup("/bin/bash", interactive=True)).env["SEEN"] == "terminal"


def test_files_of_the_login_are_read_at_each_start(tmp_path: Path) -> None:
    place = tmp_path / ".config/environment.d/50-mine.conf"
    place.parent.mkdir(parents=True)
    if not os.access(shell_environment.GENERATOR, os.X_OK):
        pytest.skip("systemd is not installed")
    for value in ("one two", 'a "quoted" $ and \\ word'):
        text = value.replace("\\", "\\\\").replace("$", "\\$").replace('"', '\\"')
        place.write_text(f'MINE="{text}"\nPLACE=${{HOME}}/x\n')
        found = computed(tmp_path, setup("/bin/sh"))
        assert (found.env["MINE"], found.env["PLACE"]) == (value, f"{tmp_path}/x")
    assert computed(tmp_path, setup()).env == base(tmp_path)  # without a login shell nothing is read


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        ("sleep 1000 & wait", "did not end within 1 s and was killed"),
        ("trap '' TERM; while :; do sleep 1; done", "did not end within 1 s and was killed"),
        ("exec true", "ended without an answer"),
        ("exit 3", "ended without an answer"),
    ],
)
def test_a_profile_that_hangs_or_ends_costs_only_what_it_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, why: str
) -> None:
    monkeypatch.setattr(shell_environment, "LOGIN_S", 1.0)
    (tmp_path / ".profile").write_text(f"export GIVEN=1; echo $$ >{tmp_path}/pid\n{profile}\n")
    began = time.monotonic()
    found = computed(tmp_path, setup("/bin/bash", variables={"A": "1"}))
    assert time.monotonic() - began < 30
    assert found.told == [
        f"the login shell /bin/bash {why}, so what it sets is missing; to see it: jupyterd env show"
    ]  # fmt: skip
    assert (found.env["A"], "GIVEN" in found.env) == ("1", False)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_shell_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "ended without an answer" in computed(tmp_path, setup("/gone/zsh")).told[0]


def test_the_settings_and_the_kernelspec_win_over_login_and_environment(tmp_path: Path) -> None:
    torch = environments.conda(tmp_path / "envs/torch")
    scripts = torch / "etc/conda/activate.d"
    scripts.mkdir(parents=True)
    (scripts / "cuda.sh").write_text(
        "export CUDA_HOME=$CONDA_PREFIX A=script B=script LIB=$CONDA_PREFIX/lib:${LIB:-}\n"
    )
    (scripts / "a b's.sh").write_text("export ODD=1\n")
    (tmp_path / ".profile").write_text("export A=login B=login C=login LIB=/opt/lib\n")
    asked = setup(
        "/bin/bash", variables={"A": "settings", "C": "settings:${C}:${NONE}"}, overlay={"C": "spec"}, prefix=str(torch)
    )
    found = computed(tmp_path, asked)
    assert found.told == []
    got = {name: found.env[name] for name in ("A", "B", "C", "CUDA_HOME", "ODD", "LIB")}
    assert got == {
        "A": "settings", "B": "script", "C": "spec", "CUDA_HOME": str(torch), "ODD": "1",
        "LIB": f"{torch}/lib:/opt/lib",
    }  # fmt: skip
    assert [where for where, _ in found.steps] == [
        "the service", "environment.d, /etc/environment and /etc/default/locale", "the login shell /bin/bash",
        "[kernels.env]", "the kernelspec", f"the environment {torch}", f"{torch}/etc/conda/activate.d",
        "[kernels.env] and the kernelspec",
    ]  # fmt: skip


def test_conda_is_activated_as_conda_does_it_and_another_environment_is_left(tmp_path: Path) -> None:
    root = environments.conda(tmp_path / "miniforge3", base=True)
    torch = environments.conda(root / "envs/torch")
    (root / "bin/conda").touch(mode=0o755)
    (torch / "conda-meta/state").write_text(json.dumps({"env_vars": {"MINE": "1", "OFF": "***unset***"}}))
    (torch / "etc/conda/env_vars.d").mkdir(parents=True)
    (torch / "etc/conda/env_vars.d/x.json").write_text(json.dumps({"MINE": "0", "OTHER": "2"}))
    given = {
        "PATH": f"{root}/bin:/usr/bin",
        "CONDA_PREFIX": str(root),
        "CONDA_SHLVL": "1",
        "OFF": "1",
        "PYTHONHOME": "/x",
        "CONDA_ENVS_DIRS": "/envs",
    }
    assert activated(given, str(torch)) == {
        "PATH": f"{torch}/bin:{root}/condabin:/usr/bin", "CONDA_ENVS_DIRS": "/envs", "CONDA_PREFIX": str(torch),
        "CONDA_SHLVL": "1",
        "CONDA_DEFAULT_ENV": "torch", "CONDA_PROMPT_MODIFIER": "(torch) ", "CONDA_EXE": f"{root}/bin/conda",
        "CONDA_PYTHON_EXE": f"{root}/bin/python", "MINE": "1", "OTHER": "2",
    }  # fmt: skip
    assert activated({"PATH": "/bin"}, str(root))["CONDA_DEFAULT_ENV"] == "base"


def test_references() -> None:
    env = {"A": "1", "B": "2"}
    assert expanded("x${A}:${B}/${C}", env) == "x1:2/"
    assert expanded("$A ${A", env) == "$A ${A"


def test_limits_are_set_as_far_as_one_may() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        shell_environment.apply({"NOFILE": (256, hard), "UNKNOWN": (1, 1), "CORE": (-1, -1)})
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (256, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_answer_is_the_accounts_alone(tmp_path: Path) -> None:
    (tmp_path / ".profile").write_text(f"mkfifo {tmp_path}/answer\n")  # somebody's file is in its place
    assert "ended without an answer" in computed(tmp_path, setup("/bin/sh")).told[0]
    shell_environment.report(str(tmp_path / "mine"))
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o600
