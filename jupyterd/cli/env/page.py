"""What `jupyterd env` prints about environments, as text."""

from __future__ import annotations

import shlex

from jupyterd.environments.facts import Environment
from jupyterd.environments.listing import UNMADE, Listing
from jupyterd.text import printable

_HEAD = ("", "name", "kind", "Python", "ipykernel", "directory")


def text(found: Listing, default: str, home: str) -> str:
    """The table, and below it what to do about those that notebooks cannot use."""
    rows = [_HEAD, *(_row(each, default, home) for each in found.environments)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(f"{word:{width}}" for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    below = ["", "* the default of new notebooks. To choose another: jupyterd env default NAME"]
    if any(each.trouble == UNMADE for each in found.environments):
        below.append('"later": made when the first notebook needs it. To make it now: jupyterd kernel-env')
    if any(not each.ipykernel and not each.trouble for each in found.environments):
        below.append('"no": not offered in notebooks. To install ipykernel there: jupyterd env add NAME')
    below += [each.refusal for each in found.environments if each.trouble and each.trouble != UNMADE]
    return "\n".join([*lines, *below])


def install_by_hand(environment: Environment) -> str:
    """The one line that installs ipykernel with the environment's own tool."""
    python, path = quoted(environment.interpreter), quoted(environment.path)
    if environment.path == "/usr":
        return "sudo apt install python3-ipykernel"
    match environment.kind:
        case "pixi":
            project = environment.path.partition("/.pixi/")[0]
            return f"pixi add --manifest-path {quoted(project)} ipykernel"
        case "conda":
            return f"conda install -p {path} ipykernel"
        case "uv":
            return f"uv pip install --python {python} ipykernel"
        case _:
            return f"{python} -m pip install ipykernel"


def quoted(path: str) -> str:
    """A path as one word of a command."""
    return shlex.quote(path)


def _row(environment: Environment, default: str, home: str) -> tuple[str, ...]:
    where = environment.path
    if where.startswith(f"{home}/"):
        where = f"~{where.removeprefix(home)}"
    return (
        "*" if environment.path == default else "", printable(environment.name), environment.kind,
        environment.python or "-", "later" if environment.trouble == UNMADE else environment.ipykernel or "no",
        printable(where),
    )  # fmt: skip
