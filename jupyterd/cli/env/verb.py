"""`jupyterd env`: the account's Python environments, which of them notebooks offer, and the default."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

from jupyterd.cli import as_account, typed
from jupyterd.cli._common import DONE, TROUBLE, USAGE, fail, say
from jupyterd.cli.env import context, page, show
from jupyterd.cli.env.context import EnvContext
from jupyterd.environments import choices, facts
from jupyterd.environments.facts import Environment
from jupyterd.launch import kernel_environment
from jupyterd.launch.kernel_environment import EnvironmentFailed

_OF_A_PROJECT = (".", ".venv", "venv", ".pixi/envs/default")
"""Where the environment is in a directory that a person names."""
HELP = "list your Python environments, add one to notebooks, or choose the default of new notebooks"


def arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-verb for each thing to do."""
    parser.set_defaults(handed_on=as_account.FOR_PIP)
    verbs = parser.add_subparsers(dest="what", required=True, metavar="list|add|remove|default|show")
    one = verbs.add_parser("list", help="list every environment with its Python, and whether notebooks can use it")
    one.add_argument("--json", action="store_true", help="print JSON")
    one = verbs.add_parser("add", help="offer an environment in notebooks; installs ipykernel if it is missing")
    one.add_argument("environment", metavar="PATH", help="its directory, or its name in `jupyterd env list`")
    one.add_argument("--no-install", action="store_true", help="do not install ipykernel, print the command instead")
    one = verbs.add_parser("remove", help="no longer offer an environment in notebooks; deletes nothing")
    one.add_argument("environment", metavar="PATH", help="its directory, or its name")
    one = verbs.add_parser("default", help="show or choose the environment of new notebooks and of pip in terminals")
    one.add_argument("environment", metavar="PATH", nargs="?", help="its directory, or its name")
    one.add_argument("--reset", action="store_true", help="go back to the environment that jupyterd makes")
    one = verbs.add_parser("show", help="show the environment variables that a kernel gets, and where they come from")
    one.add_argument("environment", metavar="PATH", nargs="?", help="its directory, or its name (default: the default)")
    one.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """1: it cannot be done; 2: the name fits no environment, or several. Raises Invalid, OSError."""
    here = context.find()
    match args.what:
        case "list":
            return _list(here, as_json=args.json)
        case "add":
            return _add(here, args.environment, install=not args.no_install)
        case "remove":
            return _remove(here, args.environment)
        case "show":
            return _show(here, args.environment, as_json=args.json)
        case _:
            return _default(here, args.environment, reset=args.reset)


def _list(here: EnvContext, *, as_json: bool) -> int:
    found = here.listing()
    default = here.default
    if as_json:
        document = [{**asdict(each), "default": each.path == default} for each in found.environments]
        print(json.dumps(document, indent=1))
    else:
        print(typed.commands(page.text(found, default, str(here.home)), os.environ))
    if not found.complete:
        say("the search was stopped: a disk does not answer; what it would have found is missing")
    return DONE


def _add(here: EnvContext, word: str, *, install: bool) -> int:
    meant = _meant(here, word)
    if not isinstance(meant, Environment):
        return meant
    if meant.trouble:
        return fail(meant.refusal)
    if not meant.ipykernel:
        by_hand = page.install_by_hand(meant)
        if not install or meant.kind == "pixi" or meant.path == "/usr":
            return fail(f"{meant.path} has no ipykernel; type: {by_hand}")
        try:
            kernel_environment.add_ipykernel(Path(meant.path), lambda line: print(line, flush=True))
        except EnvironmentFailed as error:
            return fail(f"{error}\ntype: {by_hand}")
        if (Path(meant.path).parent / "uv.lock").exists():
            print("`uv sync` removes it again, unless the project names it; type: uv add --dev ipykernel")
    choices.write(here.paths.state, here.chosen.adding(meant.path))
    print(f"Notebooks offer {meant.name} ({meant.path})")
    return DONE


def _remove(here: EnvContext, word: str) -> int:
    path = os.path.abspath(os.path.expanduser(word))  # noqa: PTH100, PTH111 - a link of the user's stays one
    if path not in here.chosen.added:
        meant = _meant(here, word)
        if not isinstance(meant, Environment):
            return meant
        path = meant.path
    if path in {here.named, str(here.paths.kernel_environment)}:
        return fail(f"{path} cannot be removed: it is the environment that jupyterd uses by itself")
    choices.write(here.paths.state, here.chosen.removing(path))
    print(f"Notebooks no longer offer {path}. Its files stay")
    return DONE


def _show(here: EnvContext, word: str | None, *, as_json: bool) -> int:
    meant = None if word is None else _meant(here, word)
    if isinstance(meant, int):
        return meant
    return show.show(here, here.default if meant is None else meant.path, as_json=as_json)


def _default(here: EnvContext, word: str | None, *, reset: bool) -> int:
    own = str(here.paths.kernel_environment)
    if word is None and not reset:
        print(here.default)
        return DONE
    if here.named:
        return fail(f"the settings name {here.named} ({here.origin}), which wins; fix: change it there, or remove it")
    meant = None if word is None or reset else _meant(here, word)
    if isinstance(meant, int):
        return meant
    path = "" if meant is None or meant.path == own else meant.path
    if meant is not None and path:
        if meant.trouble:
            return fail(meant.refusal)
        if not meant.ipykernel:
            return fail(f"{path} has no ipykernel; type: jupyterd env add {page.quoted(path)}")
    choices.write(here.paths.state, here.chosen.choosing(path))
    print(f"New notebooks use {path or own}, and so do those that ask for python3")
    return DONE


def _meant(here: EnvContext, word: str) -> Environment | int:
    """The environment that a person means, or the exit code after a message."""
    path = Path(os.path.abspath(os.path.expanduser(word)))  # noqa: PTH100, PTH111 - a link of the user's stays one
    if (path.name, path.parent.name) == ("python", "bin"):
        path = path.parent.parent  # its interpreter was named
    for inside in _OF_A_PROJECT:
        if (there := facts.look_at(path / inside)) is not None:
            return there
    if "/" in word or word in {".", ".."}:
        missing = "is not a Python environment" if path.is_dir() else "does not exist"
        return fail(f"{path} {missing}; type: jupyterd env list", TROUBLE)
    match here.listing().named(word):
        case (only,):
            return only
        case ():
            return fail(f"no environment is called {word}; type: jupyterd env list", USAGE)
        case several:
            where = ", ".join(each.path for each in several)
            return fail(f"{len(several)} environments are called {word}; type the path of one: {where}", USAGE)
