"""Terminals with the account's environment: nothing of the server's own reaches a shell."""

from __future__ import annotations

from typing import Any

from jupyter_server_terminals.terminalmanager import TerminalManager
from traitlets import Integer

from jupyterd.inside import descriptors
from jupyterd.inside.environment import user_environment


class AccountTerminalManager(TerminalManager):
    """TerminalsExtensionApp.terminal_manager_class."""

    open_files = Integer(0, help="The soft limit that a shell gets (descriptors.py); 0: the server's").tag(config=True)

    def new_terminal(self, **kwargs: Any) -> Any:  # noqa: ANN401 - terminado's own
        """Terminado's hook: a shell is started. It has only just begun when the limit is set."""
        made = super().new_terminal(**kwargs)
        if self.open_files:
            descriptors.give_back(made.ptyproc.pid, self.open_files)
        return made

    def make_term_env(self, *args: Any, **kwargs: Any) -> dict[str, str]:  # noqa: ANN401 - terminado's own
        """Terminado's hook: the environment of a new shell."""
        return user_environment(super().make_term_env(*args, **kwargs))
