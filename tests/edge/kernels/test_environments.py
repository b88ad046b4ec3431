"""Kernels in the account's environments: offered without a restart, started in them, and named when they are dead."""

from __future__ import annotations

import json
import sys

from support import environments
from support.waiting import eventually

OWN = ("KernelSpecManager.environment=", f"KernelSpecManager.own_environment={sys.prefix}")


def serve(place, *more):
    return place.serve(*OWN, f"KernelSpecManager.state_dir={place.state}", *more)


def offered(server):
    answer = server.get("/api/kernelspecs")
    return answer["default"], {name: each["spec"]["display_name"] for name, each in answer["kernelspecs"].items()}


def env(place, *words):
    """`jupyterd env`, about this server."""
    argv = [sys.executable, "-I", "-m", "jupyterd", "env", *words]
    place.env["JUPYTERD_STATE_DIR"] = str(place.state)
    return place.run(argv)


def test_an_environment_is_offered_as_soon_as_it_is_there_and_kernels_run_in_it(place, notebook):
    home = place.state / "home"
    server = serve(place)
    assert offered(server) == ("python3", {"python3": "Python 3 (ipykernel)"})
    torch = environments.usable(environments.conda(home / "miniforge3/envs/torch", ipykernel="6.29.5"))
    environments.conda(home / "miniforge3/envs/bare")
    paper = environments.usable(environments.venv(home / "work/paper/.venv", ipykernel="7.1"))
    r = torch / "share/jupyter/kernels/ir"
    r.mkdir(parents=True)
    (r / "kernel.json").write_text(json.dumps({"argv": ["R", "-e", "x"], "display_name": "R", "language": "R"}))
    shown = eventually(lambda: len(offered(server)[1]) > 1 and offered(server)[1], "they are offered")
    (of_paper,) = {name for name in shown if name.startswith("env-paper-")}
    assert shown == {
        "python3": "Python 3 (ipykernel)", "conda-env-torch-py": "Python 3.11.4 (torch)",
        "conda-env-torch-ir": "R (torch)", of_paper: "Python 3.11.2 (paper)",
    }  # fmt: skip
    _, kernel = server.new_session("conda-env-torch-py")
    told = notebook(kernel).run("import os; print(os.environ['CONDA_PREFIX'], os.environ['PATH'].split(':')[0])")
    assert told == f"{torch} {torch}/bin"
    _, kernel = server.new_session(of_paper, name="b.ipynb")
    assert notebook(kernel).run("import os; print(os.environ['VIRTUAL_ENV'])") == str(paper)

    # The user's own kernelspec of an environment stands for it.
    spec = home / ".local/share/jupyter/kernels/mine/kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [f"{paper}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "mine", "language": "python"}))
    eventually(lambda: set(offered(server)[1]) == {"python3", "conda-env-torch-py", "conda-env-torch-ir", "mine"})

    # One whose Python is gone stays in the list, and says what to type.
    (torch / "bin/python").unlink()
    (torch / "bin/python").symlink_to("/gone/python3.11")
    eventually(lambda: offered(server)[1]["conda-env-torch-py"] == "Python 3.11.4 (torch): cannot start")
    body = {"path": "c.ipynb", "name": "c.ipynb", "type": "notebook", "kernel": {"name": "conda-env-torch-py"}}
    status, answer = server.ask("POST", "/api/sessions", body)
    assert status >= 500
    assert answer["message"] == (
        f"torch ({torch}) cannot be used: its Python /gone/python3.11 is gone; "
        f"type: jupyterd env remove {torch}"
    )  # fmt: skip
    assert env(place, "remove", str(torch)).returncode == 0
    eventually(lambda: set(offered(server)[1]) == {"python3", "mine"})


def test_the_chosen_default_is_that_of_new_notebooks_at_once(place, notebook):
    far = environments.usable(environments.venv(place.state / "far", ipykernel="7.1"))
    server = serve(place)
    done = env(place, "default", str(far))
    assert done.returncode == 0, done.stderr
    assert env(place, "default").stdout == f"{far}\n"
    assert eventually(lambda: offered(server)[1]["python3"] != "Python 3 (ipykernel)" and offered(server)) == (
        "python3", {"python3": "Python 3.11.2 (far, default)", **{
            name: shown for name, shown in offered(server)[1].items() if name.startswith("env-")
        }},
    )  # fmt: skip
    _, kernel = server.new_session()
    assert notebook(kernel).run("import os; print(os.environ['VIRTUAL_ENV'])") == str(far)
    assert env(place, "default", "--reset").returncode == 0
    eventually(lambda: offered(server)[1]["python3"] == "Python 3 (ipykernel)")
