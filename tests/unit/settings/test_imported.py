"""An old Jupyter configuration, in its old words, becomes settings; what does not is named, secrets never."""

from __future__ import annotations

import pytest

from jupyterd.settings.imported import Assignment, Odd, Taken, taken

SHA1 = "sha1:67c9e60bb8b6:9ffede0825894254b2e042ea597d771089e11aed"
PY, JSON = "jupyter_notebook_config.py", "jupyter_notebook_config.json"


def said(*each: tuple[str, object], file: str = PY) -> Taken:
    parts = [(*name.split("."), value) for name, value in each]
    return taken([Assignment(file, owner, key, value) for owner, key, value in parts], "/home/alice")  # type: ignore[misc]


def test_the_pages_of_the_guides() -> None:
    got = said(
        ("NotebookApp.ip", "*"), ("NotebookApp.port", 8889), ("NotebookApp.password", SHA1),
        ("NotebookApp.certfile", "/home/alice/mycert.pem"), ("NotebookApp.keyfile", "~/mykey.key"),
        ("NotebookApp.notebook_dir", "~/work"), ("NotebookApp.allow_password_change", False),
        ("NotebookApp.base_url", "lab1"), ("NotebookApp.log_level", 30), ("NotebookApp.allow_root", True),
        ("NotebookApp.custom_display_url", "https://gpu.example.org:8889/x"),
        ("FileContentsManager.allow_hidden", True),
    )  # fmt: skip
    assert got.values == {
        "server.ip": ("*",), "server.port": 8889, "login.password_hash": SHA1, "server.root_dir": "/home/alice/work",
        "tls.certificate": "/home/alice/mycert.pem", "tls.key": "/home/alice/mykey.key", "server.base_url": "/lab1/",
        "login.allow_password_change": False, "server.log_level": "WARNING", "server.allow_root": True,
        "server.names": ("gpu.example.org",), "server.hidden_files": True,
    }  # fmt: skip
    assert got.remarks == ()


@pytest.mark.parametrize(
    ("name", "value", "setting", "meant"),
    [
        ("MappingKernelManager.cull_idle_timeout", 3600, "kernels.cull_idle_timeout_s", 3600),
        ("MappingKernelManager.cull_interval", 60, "kernels.cull_interval_s", 60),
        ("MappingKernelManager.cull_connected", True, "kernels.cull_connected", True),
        ("AsyncMappingKernelManager.cull_busy", True, "kernels.cull_busy", True),
        ("ContentsManager.root_dir", "/srv/nb", "server.root_dir", "/srv/nb"),
        ("ContentsManager.allow_hidden", True, "server.hidden_files", True),
        ("ServerApp.local_hostnames", ["localhost", "gpu.lan"], "server.names", ("gpu.lan",)),
        ("IdentityProvider.token", "a" * 32, "login.token", "a" * 32),
        ("LanguageServerManager.autodetect", True, "server.language_server", True),
    ],
)
def test_every_class_that_holds_a_setting_of_ours_is_imported(
    name: str, value: object, setting: str, meant: object
) -> None:
    assert said((name, value)).values == {setting: meant}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("NotebookApp.open_browser", False, "a daemon opens no browser"),
        ("NotebookApp.prot", 8889, "no setting here"),
        ("KernelManager.ip", "0.0.0.0", "no setting here"),
        ("MyExtension.colour", "red", "no setting here"),
        ("MappingKernelManager.root_dir", "/srv", "no setting here"),
        ("ServerApp.trust_xheaders", True, "login.trusted_proxies"),
        ("NotebookApp.port", 0, "from 1 to 65535"),
        ("NotebookApp.port", "8888", "without quotes"),
        ("NotebookApp.certfile", "mycert.pem", 'begins with "/"'),
        ("NotebookApp.disable_check_xsrf", True, "leaves the server open"),
        ("ServerApp.allow_origin", "*", "leaves the server open"),
        ("NotebookApp.token", "", "a login is always required"),
        ("NotebookApp.ip", Odd("a function"), "only plain values"),
    ],
)
def test_what_is_not_taken_over_is_named(name: str, value: object, words: str) -> None:
    got = said((name, value))
    assert got.values == {}
    assert len(got.remarks) == 1
    assert got.remarks[0].startswith(f"{PY}: {name} ")
    assert words in got.remarks[0]


def test_the_json_goes_before_the_py_and_the_new_names_before_the_old() -> None:
    got = taken(
        [
            Assignment(JSON, "NotebookApp", "port", 2),
            Assignment(PY, "NotebookApp", "port", 1),
            Assignment("jupyter_server_config.py", "ServerApp", "port", 4),
            Assignment("jupyter_server_config.py", "NotebookApp", "port", 3),
        ],
        "/root",
    )
    assert got.values == {"server.port": 4}
    assert [each.partition(" says ")[2] for each in got.remarks] == [
        f"2, which goes before 1 of {PY}: NotebookApp.port",
        f"3, which goes before 2 of {JSON}: NotebookApp.port",
        "4, which goes before 3 of jupyter_server_config.py: NotebookApp.port",
    ]


def test_two_passwords_are_told_and_not_shown() -> None:
    other = SHA1.replace("67c9", "77c9")
    got = said(("NotebookApp.password", SHA1), ("PasswordIdentityProvider.hashed_password", other))
    assert got.values == {"login.password_hash": other}
    assert len(got.remarks) == 1 and "sha1" not in got.remarks[0]
    plain = said(("NotebookApp.password", "hunter2hunter2"))
    assert plain.values == {} and "hunter2" not in plain.remarks[0]


def test_what_says_the_same_twice_is_no_conflict() -> None:
    got = said(("NotebookApp.port", 5), ("ServerApp.port", 5), ("ServerApp.preferred_dir", "/a"))
    assert got == Taken(
        {"server.port": 5, "server.root_dir": "/a"},
        {"server.port": f"{PY}: ServerApp.port", "server.root_dir": f"{PY}: ServerApp.preferred_dir"},
    )
