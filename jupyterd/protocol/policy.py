"""The numbers by which the supervisor decides, as plain data with their defaults in one place.

Settings that a person may change take their defaults from here; `core` gets an instance with the plan.
"""

from __future__ import annotations

from jupyterd.protocol.value import value


@value
class Policy:
    """Times in seconds, monotonic; scores are plain numbers."""

    start_timeout_s: float = 120.0
    """From the spawn of the server to its first good probe of every listening socket."""
    stop_timeout_s: float = 10.0
    """From SIGTERM to SIGKILL for a server that is not busy with a request."""
    finish_most_s: float = 300.0
    """One that is busy when that is over has this long to finish, when the service stops; systemd is told."""
    kill_timeout_s: float = 5.0
    """From SIGKILL until a process that is still there is called wedged and abandoned."""
    kernels_grace_s: float = 20.0
    """For shutting down all kernels when the service is stopped."""
    probe_every_s: float = 4.0
    """The first address; the others are probed each `probe_others_every_s`."""
    probe_others_every_s: float = 60.0
    probe_retry_s: float = 1.0
    """After a failed probe, and at start-up until the first good one (then a quarter of it)."""
    suspect_after_s: float = 2.0
    """A probe without an answer for this long starts one of every other address."""
    hang_after_s: float = 11.0
    """A server that has answered on no address for this long, and whose event loop has stood still for this long, is
    replaced; a 10 s synchronous request is not.
    """
    mute_after_s: float = 60.0
    """The same when its event loop turns: it is slow, and is given more time, but not for ever."""
    busy_most_s: float = 1800.0
    """A server that is busy with one request is retired, and has this long to finish it; one that waits for a disk has
    no limit.
    """
    spare: bool = True
    """Keep a second server with everything imported, which takes over in a tenth of a second."""
    served_s: float = 1.0
    """A server that ends after it has served for this long has crashed, and is back at once; one that ends earlier has
    failed to start.
    """
    steady_s: float = 60.0
    """A server that has served for this long was no part of a crash loop."""
    crashes_at_once: int = 150
    """So many crashes in a row, of servers that served for less than `steady_s`, are followed by a start at once."""
    failure_half_life_s: float = 300.0
    """The failure score halves in this time; each failed start adds one."""
    failure_threshold: float = 3.0
    """Below it the next start follows after `backoff_first_s`, above it the delay doubles."""
    backoff_first_s: float = 0.0
    backoff_max_s: float = 60.0
    backoff_jitter: float = 0.25
    """Up to this share of the delay is added, by the jitter that the caller passes in."""
    machine_retry_s: float = 5.0
    """How often a late disk, or a path in the settings that does not exist, is checked again, by the planner."""
    bind_retry_s: float = 2.0
    """How often a busy port or an absent address is tried again; once free, it is served within 5 s."""
    network_settle_s: float = 1.0
    """From a change of the machine's addresses, noticed with each probe, to another plan: an interface often gets
    several addresses within a second.
    """
    planner_timeout_s: float = 60.0
    """For the planner: reading the settings and inspecting the machine."""
    gpu_silence_s: float = 25.0
    """A sampler relay without a frame for this long is killed: one interval, and 15 s for a slow driver."""
    gpu_log_every_s: float = 60.0
    gpu_idle_log_every_s: float = 900.0
    """Seconds between the journal lines of an idle GPU."""
    cull: bool = False
    """End kernels that hold more than `cull_memory_bytes` of GPU memory and have been idle for `cull_idle_s`."""
    cull_dry_run: bool = False
    """Only report which kernels would be ended."""
    cull_memory_bytes: int = 1 << 30
    cull_idle_s: float = 7200.0
    cull_warning_s: float = 600.0
    """How long before its end a kernel is warned about, at least."""
    watchdog_s: float = 0.0
    """Half of WATCHDOG_USEC; 0: no watchdog."""
