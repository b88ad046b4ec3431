"""How long a connection may keep us waiting, and how many there may be: the numbers, each with its reason.

Plain data; guests.py applies it. One of them is a setting ([server] connections_max), the others no machine needs to
change; tests do, by the trait JupyterdServerApp.limits.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Limits:
    """Times in seconds, sizes in bytes."""

    connections_max: int = 1000
    """Without a login, from elsewhere; as many again from this machine, and as many that are logged in. A page of
    JupyterLab has six to twelve.
    """
    address_share: int = 4
    """One address (an IPv6 network of 64 bits) has the fourth part of connections_max: a school behind one address."""
    hello_s: float = 20.0
    """From the accept to the first byte of a request, TLS handshake included: three round trips on a bad radio link. A
    browser that opens a connection in advance loses it then, and opens another.
    """
    header_s: float = 20.0
    """From the first byte of a request to the end of its header: some kilobytes."""
    idle_s: float = 45.0
    """Between the requests of a connection without a login: any reader of the login page is done by then."""
    idle_known_s: float = 300.0
    """The same with a login: as long as browsers keep theirs."""
    body_window_s: float = 20.0
    """In each such stretch of a body..."""
    body_window_bytes: int = 4096
    """...so much must come: 200 bytes a second, less than any line over which one would send a notebook."""
    body_window_known_s: float = 60.0
    """With a login any byte in such a stretch will do: a laptop that changes its network goes on."""
    unread_s: float = 60.0
    """For an answer of which the other side takes nothing at all; with a login five times as long."""
    hellos_at_once: int = 16
    """TLS handshakes begun between two looks at everything else: 1 ms each."""
    accept_pause_s: float = 0.25
    """After an accept that failed: it would fail again at once, and tell so each time."""
    accept_shed: int = 16
    """Connections that are closed then, to have descriptors again."""
    say_every_s: float = 600.0
    """The same complaint is told this often."""
