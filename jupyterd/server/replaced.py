"""Notices which extension, or which file of the user's own Jupyter configuration, replaces a class that jupyterd stands
on, or switches a protection off: to name it, and to say what is lost.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
from traitlets.utils.importstring import import_item

from jupyterd.server.auth import unsafe_settings
from jupyterd.server.channels.websocket import KernelWebsocket
from jupyterd.server.kernels.kernel import Kernel
from jupyterd.server.kernels.kernelspecs import KernelSpecManager
from jupyterd.server.kernels.manager import KernelManager
from jupyterd.server.sessions import SessionManager
from jupyterd.server.terminals.manager import AccountTerminalManager

_KERNELS_END = "kernels end with the server, so a crash, a restart or an upgrade ends what notebooks run"


@attrs.frozen
class Part:
    """A class of ours in its place. `exact`: a subclass of it, made by somebody else, is a replacement too."""

    trait: str
    ours: type
    name: str
    lost: str
    exact: bool = False

    def holds(self, found: object) -> bool:
        """Whether the class `found` is what jupyterd stands on."""
        return found is self.ours or (not self.exact and isinstance(found, type) and issubclass(found, self.ours))


PARTS = (
    Part("kernel_manager_class", KernelManager, "kernel manager", _KERNELS_END),
    Part(
        "kernel_websocket_connection_class", KernelWebsocket, "connection of tabs to kernels",
        "what a cell prints while its tab or the server is away is lost",
    ),
    Part(
        "session_manager_class", SessionManager, "session manager",
        "a notebook may not find its kernel again when the server is replaced", exact=True,
    ),
    Part(
        "kernel_spec_manager_class", KernelSpecManager, "list of kernels",
        "notebooks may start in another Python environment than their own",
    ),
)  # fmt: skip
_KERNEL = Part("kernel_manager_class", Kernel, "manager of one kernel", _KERNELS_END)
_TERMINALS = Part(
    "terminal_manager_class", AccountTerminalManager, "terminal manager",
    "terminals end with the server, and have the rights of its sandbox",
)  # fmt: skip
_PROTECTIONS = {
    "disable_check_xsrf": ("disable_check_xsrf", "tornado_settings"),
    "allow_origin": ("allow_origin", "allow_origin_pat", "tornado_settings"),
    "allow_unauthenticated_access": ("allow_unauthenticated_access", "tornado_settings"),
    "identity_provider_class": ("identity_provider_class", "login_handler_class"),
}
"""Name in unsafe_settings -> the traits that decide it."""
_WATCHED = (*(part.trait for part in PARTS), *dict.fromkeys(trait for each in _PROTECTIONS.values() for trait in each))
_OFF = "{} is off"
_PROVIDERS = ("IdentityProvider", "PasswordIdentityProvider")


class Changes:
    """Which extension has changed which trait of the application, or switched off which protection, first."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - ServerApp
        self._app = app
        self._by: dict[str, str] = {}

    @contextmanager
    def during(self, extension: str) -> Iterator[None]:
        """What changes meanwhile is this extension's doing."""
        before = self._values()
        yield
        after = self._values()
        for name, value in after.items():
            if before.get(name) != value:
                self._by.setdefault(name, extension)

    def who(self, *names: str) -> str:
        """Who has set one of these, for a message: a file that names it, an extension, or where to look."""
        for file in self._files():
            text = _text(file)
            if any(name in text for name in names):
                return file
        extension = next((self._by[name] for name in names if name in self._by), None)
        return "an extension" if extension is None else f"the extension {extension}"

    def whose_protection(self, name: str) -> str:
        """Who has switched off the protection with this name of unsafe_settings."""
        extension = self._by.get(_OFF.format(name))
        return self.who(*_PROTECTIONS[name]) if extension is None else f"the extension {extension}"

    def remedy(self, who: str) -> str:
        """What to type if this is not wanted."""
        extension = who.removeprefix("the extension ")
        if extension == who:
            return f"if you do not want that, delete it in {who} and type: systemctl restart jupyterd"
        return f"if you can do without it: {_uninstall(extension)}"

    def _values(self) -> dict[str, object]:
        app = self._app
        values: dict[str, object] = {name: getattr(app, name) for name in _WATCHED}
        values["tornado_settings"] = repr(app.tornado_settings)  # it is changed in place
        values["login_handler_class"] = repr([app.config[name].get("login_handler_class") for name in _PROVIDERS])
        if getattr(app, "web_app", None):
            values |= {_OFF.format(name): True for name in unsafe_settings.switched_off(app.web_app.settings)}
        return values

    def _files(self) -> list[str]:
        manager = getattr(self._app, "extension_manager", None)
        apps = [self._app, *(each for apps in manager.extension_apps.values() for each in apps)] if manager else []
        return list(dict.fromkeys(file for app in apps for file in app.loaded_config_files))


def told(app: Any, changes: Changes) -> list[tuple[str, str, str]]:  # noqa: ANN401 - ServerApp
    """(code, text, advice) of each class of ours that was replaced, once the application is complete."""
    found: list[tuple[Part, object]] = [(part, getattr(app, part.trait)) for part in PARTS]
    if PARTS[0].holds(type(app.kernel_manager)):
        found.append((_KERNEL, import_item(app.kernel_manager.kernel_manager_class)))
    if "terminal_manager" in app.web_app.settings:
        found.append((_TERMINALS, type(app.web_app.settings["terminal_manager"])))
    items: dict[str, tuple[str, str, str]] = {}
    for part, other in found:
        if not part.holds(other):
            who, code = changes.who(part.trait), f"replaced-{part.name.replace(' ', '-')}"
            name = f"{other.__module__}.{other.__qualname__}" if isinstance(other, type) else str(other)
            items[code] = (code, f"{who} replaces jupyterd's {part.name} by {name}: {part.lost}", changes.remedy(who))
    return list(items.values())


def _uninstall(module: str) -> str:
    name = next(iter(packages_distributions().get(module.partition(".")[0], ())), module)
    python = f"{sys.prefix}/bin/python"
    return f"{python} -m pip uninstall {name}" if find_spec("pip") else f"uv pip uninstall --python {python} {name}"


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
