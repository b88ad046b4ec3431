"""Who may read the key: real files, real accounts. What root may do proves nothing, so an ordinary account looks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.authority import NOW, make

ADA, BOB, BACKUP = 23001, 23002, 34
KEYS, STAFF = 23101, 23102
PASSWD = f"""root:x:0:0::/root:/bin/sh
backup:x:{BACKUP}:{BACKUP}::/:/bin/sh
ada:x:{ADA}:{ADA}::/:/bin/sh
bob:x:{BOB}:{BOB}::/:/bin/sh
"""
GROUP = f"""root:x:0:
ada:x:{ADA}:
bob:x:{BOB}:
ssl-cert:x:{KEYS}:ada,backup
staff:x:{STAFF}:ada,bob
"""
LOOK = """
import json, sys
from pathlib import Path
from jupyterd.tls.check import Pair, check
found = check(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
print(json.dumps(None if isinstance(found, Pair) else [found.text, found.advice]))
"""
IN_A_WORLD = """
set -e
mount --make-rprivate /
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
shift
exec setpriv --reuid 23001 --regid 23001 --groups 23001,23101,23102 "$@"
"""

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can make files of other accounts"
)


@pytest.fixture
def world() -> Iterator[Path]:
    """A directory that every account reaches, with a pair in it, and made-up accounts in a name space of their own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own are closed to others
        place = Path(name)
        place.chmod(0o755)
        made = make()
        (place / "c.pem").write_bytes(made.pem)
        (place / "c.pem").chmod(0o644)
        (place / "k.pem").write_bytes(made.key_pem())
        (place / "passwd").write_text(PASSWD, "ascii")
        (place / "group").write_text(GROUP, "ascii")
        yield place


def as_ada(world: Path, key: str = "k.pem") -> tuple[str, str] | None:
    """What the account ada is told."""
    look = [sys.executable, "-I", "-c", LOOK, str(world / "c.pem"), str(world / key), str(NOW.timestamp())]
    outer = ["unshare", "--mount", "sh", "-c", IN_A_WORLD, "sh", str(world)]
    ran = subprocess.run([*outer, *look], capture_output=True, text=True, timeout=60, check=False)
    if "unshare failed" in ran.stderr:
        pytest.skip("no mount name spaces here")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    return None if found is None else (found[0], found[1])


def place_key(world: Path, uid: int, gid: int, mode: int) -> None:
    os.chown(world / "k.pem", uid, gid)
    (world / "k.pem").chmod(mode)


@needs_root
@pytest.mark.parametrize(
    ("uid", "gid", "mode"),
    [
        (ADA, ADA, 0o600),
        (ADA, ADA, 0o400),
        (ADA, STAFF, 0o600),
        (0, ADA, 0o640),  # root's, through the account's own group
        (0, KEYS, 0o640),  # Debian's ssl-cert: only services are in it besides
        (BACKUP, KEYS, 0o440),  # a service's
    ],
)
def test_private_keys(world: Path, uid: int, gid: int, mode: int) -> None:
    place_key(world, uid, gid, mode)
    assert as_ada(world) is None


@needs_root
@pytest.mark.parametrize(
    ("owner", "mode", "what", "advice"),
    [
        ((ADA, ADA), 0o644, "every local account may read it (mode 0644)", "chmod 600 {key}"),
        ((ADA, ADA), 0o604, "every local account may read it (mode 0604)", "chmod 600 {key}"),
        ((ADA, ADA), 0o602, "every local account may replace it (mode 0602)", "chmod 600 {key}"),
        ((ADA, ADA), 0o640, "the group ada may read it (mode 0640)", "chmod 600 {key}"),
        ((ADA, STAFF), 0o640, "the group staff may read it (mode 0640)", "chmod 600 {key}"),
        ((0, 0), 0o644, "every local account may read it (mode 0644)", "sudo chmod o= {key}"),
        ((0, STAFF), 0o640, "bob may read it through the group staff", "sudo chgrp ada {key} && sudo chmod 640 {key}"),
        ((BOB, STAFF), 0o640, "belongs to bob", "sudo chown ada {key} && sudo chmod 600 {key}"),
    ],
)
def test_keys_of_others_too(world: Path, owner: tuple[int, int], mode: int, what: str, advice: str) -> None:
    place_key(world, *owner, mode)
    told = as_ada(world)
    assert told is not None
    assert what in told[0]
    assert str(world / "k.pem") in told[0]
    assert told[1] == advice.format(key=world / "k.pem")


@needs_root
def test_an_unreadable_key_names_the_account(world: Path) -> None:
    place_key(world, 0, 0, 0o600)
    key = world / "k.pem"
    assert as_ada(world) == (
        f"{key} cannot be read as account ada",
        f"sudo chgrp ada {key} && sudo chmod g+r {key}",
    )


@needs_root
def test_a_closed_directory_is_named_and_not_the_file(world: Path) -> None:
    archive, live = world / "archive", world / "live"
    archive.mkdir(mode=0o700)
    live.mkdir()
    (world / "k.pem").rename(archive / "privkey1.pem")
    (live / "privkey.pem").symlink_to("../archive/privkey1.pem")
    assert as_ada(world, "live/privkey.pem") == (
        f"{live}/privkey.pem cannot be read as account ada: the directory {archive} is closed to it",
        f"sudo chgrp ada {archive} && sudo chmod g+x {archive}",
    )


@needs_root
def test_the_advice_works_when_it_is_typed(world: Path) -> None:
    """Each line is typed as it stands, by root, until nothing is left to say."""
    archive = world / "archive"
    archive.mkdir(mode=0o700)
    place_key(world, 0, 0, 0o600)
    (world / "k.pem").rename(archive / "k.pem")
    for _ in range(3):
        told = as_ada(world, "archive/k.pem")
        if told is None:
            break
        typed = told[1].replace("sudo ", "").replace("chgrp ada", f"chgrp {ADA}")
        subprocess.run(["sh", "-c", typed], check=True, timeout=10)
    assert told is None
    assert (archive / "k.pem").stat().st_mode & 0o777 == 0o640


def test_a_key_in_the_certificates_file_is_a_key_too(tmp_path: Path) -> None:
    """Also where another file is set as the key."""
    made = make()
    both, key = tmp_path / "both.pem", tmp_path / "k.pem"
    for path, data in ((both, made.pem + made.key_pem()), (key, made.key_pem())):
        path.write_bytes(data)
        path.chmod(0o644 if path is both else 0o600)
    environ: Mapping[str, str] = {"PATH": "/usr/bin:/bin"}
    look = [sys.executable, "-I", "-c", LOOK, str(both), str(key), str(NOW.timestamp())]
    ran = subprocess.run(look, capture_output=True, text=True, timeout=60, check=True, env=environ)
    assert f"{both} holds a private key and every local account may read it" in json.loads(ran.stdout)[0]
