"""Where each kind of health item is made with real processes, or why it is not."""

from __future__ import annotations

HERE = "tests/system/test_health.py"
MADE: dict[str, str] = {
    "server-down": HERE, "server-cannot-start": HERE, "waiting": HERE, "listen": HERE, "address-mute": HERE,
    "certificate-expired": HERE, "certificate-not-yet-valid": HERE, "certificate-ends": HERE,
    "certificate-almost-over": HERE, "settings-refused": HERE, "advised": HERE,
    "gpu": "tests/system/test_gpu.py", "gpu-error": "tests/system/test_gpu.py", "gpu-xid": "tests/system/test_gpu.py",
    "output-not-kept": "tests/system/test_recorder.py", "recorder-ends": "tests/system/test_recorder.py",
    "gpu-cull-soon": "tests/browser/test_notice.py",
    "user-manager": "tests/system/test_user_manager.py", "server-busy": "tests/edge/foreground/test_busy.py",
}  # fmt: skip
"""Code of each kind -> where it is made with real processes."""
NOT_MADE: dict[str, str] = {
    "certificate-differs": "only root can put another TLS server before ours (nftables, a proxy); the machine has no"
    " nftables. The probe's half: tests/edge/supervisor/test_probe.py",
    "live-refused": "the planner checks what the server reads in the same moment; between them fits only a race."
    " tests/edge/server/test_reload.py damages the file under a real server",
    "wedged": "needs a server in state D, on a file system that hangs: tests/edge/supervisor/test_children.py",
    "wedged-sampler-relay": "the relay waits for pipes and sockets only; it stands for a fault of our own",
    "gpu-sampler": "shows after 15 s of silence: tests/unit/core/test_apply.py",
    "gpu-slowed": "shows after 90 s: tests/unit/core/test_gpu_health.py",
    "gpu-memory-full": "shows after 30 s: tests/unit/core/test_gpu_health.py",
    "gpu-memory-held": "shows after an hour: tests/unit/core/test_gpu_health.py",
    "gpu-driver-changed": "/proc/driver/nvidia is the driver's: tests/unit/gpu/test_driver.py",
}
"""Code -> why not, and what shows it instead. tests/unit/core/test_health.py compares both tables with the kinds."""
