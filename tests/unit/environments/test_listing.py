"""Which environments are found, what is said of each, and what the user's choices change, over trees of every tool."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from support import environments, stalled_fs

from jupyterd.environments import choices, facts, listing
from jupyterd.environments.choices import Choices

NOTHING_CHOSEN = Choices()


def listed(
    home: Path, chosen: Choices = NOTHING_CHOSEN, places: tuple[Path, ...] = (), **environ: str
) -> dict[str, facts.Environment]:
    where = listing.Where(home, home / "own", places)
    found = listing.make(where, {"PATH": os.environ["PATH"], **environ}, chosen)
    assert found.complete
    return {each.name: each for each in found.environments}


def test_every_tool_has_its_places(tmp_path: Path) -> None:
    made = {
        "torch": (environments.conda(tmp_path / "miniforge3/envs/torch", ipykernel="6.29.5"), "conda"),
        "base": (environments.conda(tmp_path / "miniforge3", base=True), "conda"),
        "far": (environments.conda(tmp_path / "scratch/.hidden/far"), "conda"),
        "micro": (environments.conda(tmp_path / "root/envs/micro"), "conda"),
        "elsewhere": (environments.conda(tmp_path / ".big/elsewhere"), "conda"),
        "weather": (environments.conda(tmp_path / "work/weather/.pixi/envs/default"), "pixi"),
        "weather:cuda": (environments.conda(tmp_path / "work/weather/.pixi/envs/cuda"), "pixi"),
        "analysis": (environments.venv(tmp_path / "work/analysis/.venv", uv="0.13.8"), "uv"),
        "thesis": (environments.venv(tmp_path / "thesis", ipykernel="7.1.0"), "venv"),
        "old": (environments.venv(tmp_path / ".virtualenvs/old", virtualenv="20.1"), "virtualenv"),
        "poem": (environments.venv(tmp_path / ".cache/pypoetry/virtualenvs/poem"), "venv"),
    }
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda/environments.txt").write_text(f"{tmp_path}/scratch/.hidden/far\n/gone\n")
    (tmp_path / ".condarc").write_text("channels:\n  - conda-forge\nenvs_dirs:\n  - ~/.big\n")
    version = tmp_path / ".pyenv/versions/3.12.1"
    (version / "bin").mkdir(parents=True)
    (version / "bin/python").symlink_to(sys.executable)
    (version / "lib/python3.12").mkdir(parents=True)
    found = listed(tmp_path, MAMBA_ROOT_PREFIX=str(tmp_path / "root"))
    assert set(found) == {*made, "jupyterd", "3.12.1"}
    assert {name: (Path(found[name].path), found[name].kind) for name in made} == made
    assert (found["3.12.1"].kind, found["3.12.1"].python) == ("pyenv", "3.12")
    assert (found["torch"].ipykernel, found["torch"].python, found["torch"].can_serve) == ("6.29.5", "3.11.4", True)
    assert (found["analysis"].ipykernel, found["analysis"].python, found["analysis"].can_serve) == ("", "3.11.2", False)
    assert found["thesis"].can_serve


def test_other_places_are_walked_and_what_is_not_ones_own_is_passed_over(tmp_path: Path) -> None:
    place = tmp_path / "data"
    environments.venv(place / "group/mine/.venv")
    environments.venv(place / "node_modules/x/.venv")
    environments.venv(place / "1/2/3/4/5/6/deep")
    if os.geteuid() == 0:
        other = environments.venv(place / "theirs/.venv")
        os.chown(other, 60007, 60007)
    (place / "loop").symlink_to(place)
    assert set(listed(tmp_path / "home", places=(place,))) == {"jupyterd", "mine"}


@pytest.mark.parametrize(
    ("target", "cure"),
    [
        ("/usr/bin/python3.2", "python3 -m venv --clear PATH   # and install its packages again"),
        ("/home/x/.pyenv/versions/3.9.7/bin/python3.9", "pyenv install 3.9.7"),
        ("/home/x/.local/share/uv/python/cpython-3.11.9-linux/bin/python3.11", "uv python install 3.11"),
    ],
)  # fmt: skip
def test_one_whose_python_is_gone_is_named_with_its_cure(tmp_path: Path, target: str, cure: str) -> None:
    made = environments.venv(tmp_path / "dead", ipykernel="7", python=target)
    found = listed(tmp_path)["dead"]
    assert found.trouble == f"its Python {target} is gone"
    assert found.cure == cure.replace("PATH", str(made))
    assert not found.can_serve
    assert f"dead ({made}) cannot be used: its Python {target} is gone; type: {found.cure}" == found.refusal


def test_one_that_takes_the_packages_of_its_base_has_the_ipykernel_of_that(tmp_path: Path) -> None:
    base = tmp_path / "opt/python"
    (base / f"lib/python3.{sys.version_info[1]}/site-packages/ipykernel-7.2.dist-info").mkdir(parents=True)
    for name, taken in (("with", "true"), ("without", "false")):
        environments.venv(tmp_path / name, include_system_site_packages=taken, home=str(base / "bin"))
    found = listed(tmp_path)
    assert (found["with"].ipykernel, found["without"].ipykernel) == ("7.2", "")


def test_choices(tmp_path: Path) -> None:
    home, state = tmp_path / "home", tmp_path / "state"
    one, two = environments.venv(home / "one", ipykernel="7"), environments.venv(home / "two", ipykernel="7")
    far = environments.venv(tmp_path / "far", ipykernel="7")
    made = choices.read(state).adding(str(far)).removing(str(one)).choosing(str(two))
    choices.write(state, made)
    assert choices.read(state) == made
    assert list(listed(home, made)) == ["two", "far"]  # the unused one of jupyterd's own is not shown
    assert list(listed(home, made.removing(str(two)).adding(str(one)))) == ["jupyterd", "far", "one"]
    far.rename(tmp_path / "moved")
    assert listed(home, made)["far"].trouble == "there is no Python environment any more"
    (state / choices.FILE).write_text("{")
    told: list[str] = []
    assert choices.read(state, told.append) == Choices()
    assert "environments.json was damaged" in told[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk that hangs")
def test_a_disk_that_does_not_answer_costs_what_lies_on_it_and_a_bounded_time(tmp_path: Path) -> None:
    """Below the home directory it is passed over; where the notebooks are, what was found before counts."""
    environments.venv(tmp_path / ".venvs/near", ipykernel="7")
    disk = tmp_path / "disk"
    disk.mkdir()
    with stalled_fs.mounted(disk) as file_server:
        file_server.send_signal(signal.SIGSTOP)
        try:
            assert set(listed(tmp_path)) == {"jupyterd", "near"}
            where = listing.Where(tmp_path, tmp_path / "own", (disk,))
            found = listing.make(where, {"PATH": os.environ["PATH"]}, Choices(), 2.0)
        finally:
            file_server.send_signal(signal.SIGCONT)
    assert not found.complete
    assert [each.name for each in found.environments] == ["jupyterd", "near"]
