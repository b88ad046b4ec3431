"""Where each kind of health item is made with real processes, or why it is not."""

from __future__ import annotations

HERE = "tests/system/test_health.py"
MADE: dict[str, str] = {
    "server-down": HERE, "server-cannot-start": HERE, "waiting": HERE, "listen": HERE, "address-unreachable": HERE,
    "certificate-expired": HERE, "certificate-not-yet-valid": HERE, "certificate-ends": HERE,
    "certificate-almost-over": HERE, "settings-refused": HERE, "advised": HERE,
    "certificate-differs": HERE, "live-refused": HERE,
    **dict.fromkeys(
        ("gpu", "gpu-error", "gpu-xid", "gpu-slowed", "gpu-memory-full", "gpu-driver-changed", "gpu-sampler", "wedged"),
        "tests/system/test_gpu.py",
    ),
    "output-not-kept": "tests/system/test_recorder.py", "recorder-ends": "tests/system/test_recorder.py",
    "gpu-cull-soon": "tests/browser/test_notice.py",
    "user-manager": "tests/system/test_user_manager.py", "server-busy": "tests/edge/foreground/test_busy.py",
}  # fmt: skip
"""Code of each kind -> where it is made with real processes."""
NOT_MADE: dict[str, str] = {
    "wedged-sampler-relay": "the relay waits for pipes and sockets only; it stands for a fault of our own",
    "gpu-memory-held": "shows after an hour: tests/unit/core/test_gpu_health.py",
}
"""Code -> why not, and what shows it instead. tests/unit/core/test_health.py compares both tables with the kinds."""
