"""Whether there is a driver, told from files: each machine is a small tree of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyterd.gpu.driver import LIBRARY, absence, driver_present, pci_gpus


def place(root: Path, *files: str, text: str = "") -> None:
    for each in files:
        file = root / each
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "ascii")


def on_the_bus(root: Path, address: str, vendor: str, kind: str) -> None:
    place(root, f"sys/bus/pci/devices/{address}/vendor", text=f"{vendor}\n")
    place(root, f"sys/bus/pci/devices/{address}/class", text=f"{kind}\n")


def test_a_bare_machine_has_none(tmp_path: Path) -> None:
    assert absence(str(tmp_path)) == "no NVIDIA driver: GPU monitoring is off"
    assert not driver_present(str(tmp_path))


@pytest.mark.parametrize("file", ["proc/driver/nvidia/version", "dev/nvidiactl"])
def test_the_kernel_side_is_enough(tmp_path: Path, file: str) -> None:
    place(tmp_path, file)
    assert driver_present(str(tmp_path))


@pytest.mark.parametrize("directory", ["usr/lib", "usr/lib64", "usr/lib/wsl/lib"])
def test_the_library_alone_is_not(tmp_path: Path, directory: str) -> None:
    place(tmp_path, f"{directory}/{LIBRARY}")
    assert not driver_present(str(tmp_path))


def test_the_library_with_a_gpu_is(tmp_path: Path) -> None:
    place(tmp_path, f"usr/lib/{LIBRARY}")
    on_the_bus(tmp_path, "0000:01:00.0", "0x10de", "0x030000")
    assert driver_present(str(tmp_path))


def test_the_loaders_cache_tells_of_other_directories(tmp_path: Path) -> None:
    place(tmp_path, "etc/ld.so.cache", text=f"glibc-ld.so.cache1.1\0{LIBRARY}\0/opt/nvidia/{LIBRARY}\0")
    on_the_bus(tmp_path, "0000:01:00.0", "0x10de", "0x030200")
    assert driver_present(str(tmp_path))


def test_wsl_has_no_bus_to_look_at(tmp_path: Path) -> None:
    place(tmp_path, "dev/dxg")
    assert not driver_present(str(tmp_path))
    place(tmp_path, f"usr/lib/wsl/lib/{LIBRARY}")
    assert driver_present(str(tmp_path))


def test_a_gpu_without_a_driver_is_told_what_to_type(tmp_path: Path) -> None:
    on_the_bus(tmp_path, "0000:01:00.0", "0x10de", "0x030000")
    assert "apt install nvidia-driver" in str(absence(str(tmp_path)))


def test_other_devices_are_no_gpus(tmp_path: Path) -> None:
    on_the_bus(tmp_path, "0000:00:02.0", "0x8086", "0x030000")  # another maker's
    on_the_bus(tmp_path, "0000:01:00.1", "0x10de", "0x040300")  # the sound output of a GPU
    place(tmp_path, "sys/bus/pci/devices/0000:02:00.0/vendor", text="0x10de\n")  # vanishes while it is looked at
    assert pci_gpus(str(tmp_path)) == ()
    on_the_bus(tmp_path, "0000:01:00.0", "0x10de", "0x030000")
    assert [each.name for each in pci_gpus(str(tmp_path))] == ["0000:01:00.0"]


def test_a_library_path_is_meant(tmp_path: Path) -> None:
    place(tmp_path, f"driver/{LIBRARY}")
    bare = tmp_path / "bare"
    assert driver_present(str(bare), {"LD_LIBRARY_PATH": f"/nowhere::{tmp_path}/driver"})
    assert not driver_present(str(bare), {"LD_LIBRARY_PATH": "/nowhere:"})
