"""Keeps terminals in tmux: one tmux server and session each, on a socket of our own, without the user's settings.

So a terminal outlives its browser tab and the server. Pure: texts and argument lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SESSION = "main"
HISTORY_LINES = 10000

# tmux(1). It shall not be seen: no status line, no keys of its own, and lines that leave the screen go to the browser's
# own scroll bar (smcup@, rmcup@: not the alternate screen; indn@: scrolled by line feeds, one by one). XT@ and this
# clear: no questions to the browser's terminal, which each of several tabs would answer, and all but one answer would
# be taken for keys.
_OPTIONS = f"""
set -s escape-time 0
set -s default-terminal tmux-256color
set -as terminal-overrides ',*:smcup@:rmcup@:indn@:XT@:clear=\\E(B\\E[H\\E[2J'
set -as terminal-features ',*:RGB:bpaste'
set -g status off
set -g prefix None
set -g prefix2 None
set -g history-limit {HISTORY_LINES}
set -g update-environment ''
"""
# First what was there before (the history, then a screen of line feeds that pushes it up), then tmux, which draws the
# screen. The socket may need a moment: this starts when the other end has been started. $1 tmux, $2 socket.
_ATTACH = r"""
n=0
until [ -S "$2" ] || [ $n -ge 100 ]; do n=$((n + 1)); sleep 0.05; done
printf '\033[H\033[2J\033[3J'
set -- "$1" "$2" $("$1" -S "$2" display-message -p -t main: '#{history_size} #{pane_height}' 2>/dev/null)
if [ "${3:-0}" -gt 0 ]; then
  "$1" -S "$2" capture-pane -p -e -t main: -S - -E -1
  n=1; while [ $n -lt "$4" ]; do n=$((n + 1)); echo; done
fi
exec "$1" -u -S "$2" attach-session -t main
"""


def configuration(shell: Sequence[str], cwd: str) -> str:
    """The file that the server reads: the session is made there, and when it ends the server ends.

    The shell is not told that it is in tmux: who types `tmux` in it means a new one.
    """
    argv = ["env", "-u", "TMUX", "-u", "TMUX_PANE", "-u", "TERM_PROGRAM", "-u", "TERM_PROGRAM_VERSION", *shell]
    where = cwd.replace("#", "##")
    session = f"new-session -d -s {SESSION} -x 80 -y 24 -c {_quoted(where)} -- {' '.join(map(_quoted, argv))}"
    return f"{_OPTIONS}{session}\nset -s exit-empty on\n"


def server(tmux: str, socket: Path, configuration_file: Path) -> tuple[str, ...]:
    """The keeper: stays in the foreground (-D), so that its pid is the terminal's."""
    return (tmux, "-u", "-S", str(socket), "-f", str(configuration_file), "-D")


def attachment(tmux: str, socket: Path) -> list[str]:
    """The looker: started on a terminal device that the server made. setsid(1) -c: so that it hears of its size."""
    return ["setsid", "-c", "/bin/sh", "-c", _ATTACH, "jupyterd-terminal", tmux, str(socket)]


def _quoted(word: str) -> str:
    """For tmux's parser: nothing is expanded between single quotes, and neighbours are one word."""
    return "'" + word.replace("'", "'\"'\"'") + "'"
