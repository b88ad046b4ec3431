"""Names of kernels in environments, which notebooks keep for years."""

from __future__ import annotations

from itertools import permutations

from jupyterd.environments.facts import Environment
from jupyterd.server.kernels.environment_kernels import names


def test_names_do_not_depend_on_the_order_or_on_what_is_beside_them() -> None:
    every = (
        Environment("/a/envs/torch", "torch", "conda"), Environment("/b/envs/torch", "torch", "conda"),
        Environment("/b", "base", "conda"), Environment("/w/A b/.venv", "A b", "venv"),
        Environment("/w/\u65e5/.venv", "\u65e5", "uv"),
    )  # fmt: skip
    made = [{each.path: name for name, each in names(order).items()} for order in permutations(every)]
    assert all(each == made[0] for each in made)
    assert made[0]["/a/envs/torch"] == "conda-env-torch"
    assert made[0]["/b/envs/torch"].startswith("conda-env-torch-")
    assert made[0]["/b"] == "conda-base"
    assert made[0]["/w/A b/.venv"].startswith("env-a-b-")
    assert {path: name for name, each in names(every[3:]).items() for path in [each.path]} == {
        path: made[0][path] for path in ("/w/A b/.venv", "/w/\u65e5/.venv")
    }
