"""Every kind of journal record, once: identity, priority, and the catalog entry that `journalctl -x` shows.

systemd/jupyterd.catalog is generated from this table (a test keeps it true).
"""

from __future__ import annotations

from jupyterd.protocol.value import value


@value
class RecordKind:
    """`event` is the value of JUPYTERD_EVENT=, `priority` a syslog level (3 error ... 6 info)."""

    event: str
    message_id: str
    priority: int
    subject: str
    advice: str
    """What it means and what to type; "" for records that need no catalog entry beyond the subject."""


SERVING = RecordKind(
    "serving", "6a4d5755c779425d907bc614b4a88669", 5, "The Jupyter server is serving",
    "Every listening socket answered a probe over TCP, TLS and HTTP with the certificate that is on disk.",
)  # fmt: skip
SERVER_EXITED = RecordKind(
    "server-exited", "39fb352e3b64463b8bf8e2df383f5cfc", 4, "The Jupyter server ended unexpectedly",
    "It is restarted. Its last messages: journalctl -t jupyterd-server -n 50. A server that was serving is\n"
    "restarted at once. If it keeps ending before it serves, the delay grows up to a minute, and `systemctl status`\n"
    "shows the next start. Once the cause is gone, the server recovers without any command.",
)  # fmt: skip
SERVER_HUNG = RecordKind(
    "server-hung", "cb9daa7f812c4fdf8d1e4d48375e7634", 3, "The Jupyter server did not answer on any address",
    "Its process ran but answered no request, so it is replaced. Kernels are separate processes and keep running.",
)  # fmt: skip
SERVER_BUSY = RecordKind(
    "server-busy", "2f3b6f6e0d1c4c0b9a57c4f1e8d2ab90", 4, "The Jupyter server is busy; another one serves",
    "It may finish that request, a large save for example, and then ends. If it waits for a disk, the record names\n"
    "the path: check that disk, or the file server behind it. What it is doing: journalctl -t jupyterd-server.",
)  # fmt: skip
SERVER_CUT = RecordKind(
    "server-cut", "8f0d1c5b7a3e4d6c9b2a4e6f8c0d1e37", 3, "A request was not finished when the service stopped",
    "The record names it. What it would have written is not on disk: save the notebook again from its page. Where it\n"
    "was stuck: journalctl -t jupyterd-server. Check the disk, or the file server behind it.",
)  # fmt: skip
LEFTOVERS = RecordKind(
    "leftovers", "35e0fb34c9534b9e955f60fb2bfa9454", 6, "Programs of server extensions were ended with their server",
    "What an extension starts (jupyter-server-proxy does) belongs to the server that started it. The next server\n"
    "starts it again when somebody needs it. Kernels and terminals are not among these programs.",
)  # fmt: skip
SERVER_STARTED = RecordKind(
    "server-started", "183d3986c3724d038cc869d3bad3ec4c", 6, "The Jupyter server was started",
    "It counts as serving once it reports that it is ready and every listening socket has answered a probe.",
)  # fmt: skip
RELOADED = RecordKind(
    "reloaded", "d6d5ccabadb549d4bd47917e6c782e1f", 5, "The settings were reloaded",
    "The record says what changed and whether the server was restarted for it.",
)  # fmt: skip
RELOAD_REFUSED = RecordKind(
    "reload-refused", "7dc1dfd5ccae4bbdbf1219d7d35aeb39", 3, "A reload was refused; the old settings remain in force",
    "See all problems with: jupyterd config check",
)  # fmt: skip
ITEM_RAISED = RecordKind(
    "health-raised", "4ff5e4b2d15b4226afe7f6fad01d9d01", 4, "A problem was found",
    "HEALTH_CODE= names it. All current problems: jupyterd status",
)  # fmt: skip
ITEM_CLEARED = RecordKind(
    "health-cleared", "3c75da5340f9417c9f07c88d94fc8636", 5, "A problem is resolved", "Nothing needs to be done.",
)  # fmt: skip
CERTIFICATE = RecordKind(
    "certificate", "7b217803de22471ebd0ae486af820e90", 5, "A new certificate is served",
    "It was renewed on disk, or another one was installed. The served certificate, in full: jupyterd cert show",
)  # fmt: skip
NETWORK = RecordKind(
    "network", "46d35c8bcb47404aa411fee794f3ef85", 5, "The machine's addresses changed",
    'With ip = ["*"] the server answers on every address. Those that answer now: jupyterd status',
)  # fmt: skip
STOPPING = RecordKind(
    "stopping", "ac8d846b230a40afb38678940629a792", 6, "jupyterd was asked to stop",
    "The server is stopped first, then the kernels.",
)  # fmt: skip
STOPPED = RecordKind("stopped", "146dff62750e4eaebc4d9fd1237f0cf6", 6, "jupyterd stopped", "")
WEDGED = RecordKind(
    "wedged", "8cd3a8f20def470099d729cb9c26286f", 3, "A process does not end even after SIGKILL",
    "It waits in the kernel for a device or a network disk (state D). jupyterd continues without it. Where it waits:\n"
    "cat /proc/PID/stack (as root). Only the device, the file server or a reboot ends it.",
)  # fmt: skip
GPU = RecordKind(
    "gpu", "cf0e037faca045fa88c69635fca364b0", 6, "GPU utilisation",
    "One record a minute for each GPU, one every 15 minutes while it is idle. One GPU, as JSON:\n"
    "journalctl -u jupyterd GPU_INDEX=0 -o json. One notebook: journalctl -u jupyterd GPU_NOTEBOOK=/PATH/OF/IT.ipynb",
)  # fmt: skip
GPU_RAISED = RecordKind(
    "gpu-raised", "b1a9f0c64ea44ea58c3d2d0e6f3c7a51", 4, "A GPU needs attention",
    "HEALTH_CODE= names the kind, and the record says what to type. gpu: it is lost, or its driver does not answer.\n"
    "gpu-xid: the driver reported an error number; the record explains it. gpu-slowed: heat or the power supply slows\n"
    "it down. gpu-memory-full: the next large array will fail. gpu-memory-held: it is idle, but a kernel holds its\n"
    "memory. gpu-cull-soon: that kernel will be ended at the time given ([gpu.cull]), unless a cell runs in it.\n"
    "gpu-driver-changed: after an upgrade, until the next boot, new programs cannot use the GPU.\n"
    "gpu-sampler: the process that queries the driver does not work. Notebooks that use no GPU are never affected.",
)  # fmt: skip
TROUBLE = RecordKind(
    "trouble", "656e8b9e74dc475790cbd2fcd6acf94d", 4, "jupyterd could not do something, and continues without it",
    "The record says what. Is a disk full? df -h. After an upgrade: sudo systemctl restart jupyterd",
)  # fmt: skip
KERNEL_CULLED = RecordKind(
    "kernel-culled", "7a0c1c0f5d8b4b0a9f2e6d4c8b1a3e57", 5, "A kernel was ended to free a GPU",
    "It held GPU memory, its GPUs and CPUs were idle and no cell ran, for as long as [gpu.cull] says. What runs now:\n"
    "jupyterd gpu. To keep such kernels: [gpu.cull] enabled = false in jupyterd.toml; then reload.",
)  # fmt: skip
EVENT_LOG = RecordKind(
    "event-log", "5d1f0e7c9a7b4c0e8f6a2b3c4d5e6f70", 5, "The supervisor logged its last events",
    "It does so when it crashes and on SIGUSR2, to help find a fault in jupyterd itself: the field\n"
    "JUPYTERD_EVENT_LOG= replays through jupyterd.core.event_log. Values of environment variables are not in it.\n"
    "journalctl -u jupyterd JUPYTERD_EVENT=event-log -o json --all",
)  # fmt: skip
NOTE = RecordKind("note", "e44fe999c38c46fbbcc324164391dabf", 6, "A note about this start", "")

KINDS = (
    SERVING, SERVER_EXITED, SERVER_HUNG, SERVER_BUSY, SERVER_CUT, SERVER_STARTED, RELOADED, RELOAD_REFUSED, ITEM_RAISED,
    ITEM_CLEARED, CERTIFICATE, NETWORK, STOPPING, STOPPED, WEDGED, GPU, GPU_RAISED, TROUBLE, KERNEL_CULLED,
    EVENT_LOG, NOTE,
)  # fmt: skip
