"""What the sandbox of the service is opened for, and what it never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyterd.cli.setup import sandbox
from jupyterd.cli.setup.sandbox import Openings, Wanted, decide, links, objection

ALICE = "/home/alice"
OTHERS = {"/home/bob": "bob", "/": "nobody", "/var/www": "www-data", "/data/gitlab": "git", "/root": "root"}


@pytest.mark.parametrize(
    "real",
    [
        "/home/alice", "/home/alice/nb", "/mnt", "/mnt/disk", "/srv", "/data/nb", "/media/alice/usb",
        "/home/bob/shared", "/run/media/alice/usb", "/usr/local/data", "/var/data", "/nfs/x", "/opt/data",
        "/var/tmp/nb", "/tmp",  # noqa: S108
    ],
)  # fmt: skip
def test_a_directory_of_peoples_may_be_opened(real: str) -> None:
    assert objection(real, ALICE, OTHERS) is None


@pytest.mark.parametrize(
    ("real", "reason"),
    [
        ("/", "is a system-wide directory"), ("/home", "is a system-wide directory"),
        ("/root", "is a system-wide directory"), ("/var", "is a system-wide directory"),
        ("/var/lib", "is a system-wide directory"), ("/usr/local", "is a system-wide directory"),
        ("/etc", "holds jupyterd's own program or settings"), ("/etc/cron.d", "belongs to the system"),
        ("/usr", "holds jupyterd's own program or settings"), ("/usr/lib/python3", "belongs to the system"),
        ("/usr/local/bin", "holds jupyterd's own program or settings"),
        ("/opt", "holds jupyterd's own program or settings"),
        ("/opt/jupyterd/0.1-x/lib", "holds jupyterd's own program or settings"),
        ("/etc/jupyterd", "holds jupyterd's own program or settings"),
        ("/boot", "belongs to the system"), ("/boot/efi", "belongs to the system"), ("/bin", "belongs to the system"),
        ("/proc", "belongs to the system"), ("/proc/1/root", "belongs to the system"),
        ("/sys", "belongs to the system"),
        ("/run", "belongs to the system"), ("/run/user/1000", "belongs to the system"),
        ("/home/bob", "is the home of bob"), ("/data", "holds the home of git"),
        ("/var/www", "is the home of www-data"),
    ],
)  # fmt: skip
def test_the_machine_and_what_is_anothers_are_never_opened(real: str, reason: str) -> None:
    assert objection(real, ALICE, OTHERS) == reason


def test_an_account_may_always_write_in_its_own_home_but_no_home_is_the_whole_machine() -> None:
    assert objection("/root", "/root", {}) is None
    assert objection("/root/nb", "/root", {}) is None
    assert objection("/usr/share/svc/nb", "/usr/share/svc", {}) is None
    assert objection("/home/alice", ALICE, {"/home/alice/app": "app"}) is None
    for home in ("/", "/home", "/usr", "/var/lib"):
        assert objection(home, home, {}) is not None
    assert objection("/etc", "/", {}) is not None


def test_it_is_the_place_behind_every_link_that_counts() -> None:
    mine = Wanted("/home/alice", "/home/alice", "server.root_dir")
    waste = Wanted("/home/alice/.local/share/Trash", "/etc", "a directory of Jupyter's in the home")
    root = Wanted("/", "/", "/home/alice/r leads there")
    state = Wanted("/var/lib/jupyterd/x", "/var/lib/jupyterd/x", "/home/alice/s leads there")
    named = Wanted("/srv/x\nExecStartPre=+evil", "/srv/x\nExecStartPre=+evil", "'/home/alice/e' leads there")
    found = decide([mine, mine, waste, root, state, named], ALICE, OTHERS)
    assert found.writable == (mine,)
    assert [str(each) for each in found.refused] == [
        (
            "/home/alice/.local/share/Trash (that is /etc) holds jupyterd's own program or settings, so the server may "
            "not write there (a directory of Jupyter's in the home)"
        ),
        "/ is a system-wide directory, so the server may not write there (/home/alice/r leads there)",
        (
            "'/srv/x\\nExecStartPre=+evil' has a name with a character that cannot be printed, so the server may not "
            "write there ('/home/alice/e' leads there)"
        ),
    ]
    assert decide([], ALICE, OTHERS) == Openings()


def test_links_to_other_disks_are_found_right_below_the_root_directory(tmp_path: Path) -> None:
    root, disk = tmp_path / "root", tmp_path / "disk"
    for each in (root / "inside", disk):
        each.mkdir(parents=True)
    (root / "file").touch()
    (root / "data").symlink_to(disk)
    (root / "own").symlink_to(root / "inside")
    (root / "gone").symlink_to(tmp_path / "nothing")
    evil = tmp_path / "x\nExecStartPre=+evil"
    evil.mkdir()
    (root / "e\x1bvil").symlink_to(evil)
    assert links(root) == [
        Wanted(str(disk), str(disk), f"{root}/data leads there"),
        Wanted(str(evil), str(evil), f"'{root}/e\\x1bvil' leads there"),
    ]
    assert sandbox.links(tmp_path / "nothing") == []
