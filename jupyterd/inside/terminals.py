"""Terminals with the account's environment: nothing of the server's own reaches a shell."""

from __future__ import annotations

from typing import Any

from jupyter_server_terminals.terminalmanager import TerminalManager

from jupyterd.inside.environment import user_environment


class AccountTerminalManager(TerminalManager):
    """TerminalsExtensionApp.terminal_manager_class."""

    def make_term_env(self, *args: Any, **kwargs: Any) -> dict[str, str]:  # noqa: ANN401 - terminado's own
        """Terminado's hook: the environment of a new shell."""
        return user_environment(super().make_term_env(*args, **kwargs))
