"""The settings that a running server reads again."""

from __future__ import annotations

import json

import pytest

from jupyterd.server import live_settings


def test_live_settings_show_no_secret_when_printed(tmp_path):
    path = tmp_path / "live.json"
    document = {
        "format": 1, "certificate": None, "key": None, "sha256": None, "names": ["localhost"],
        "password_hash": "secret-1", "token": "secret-2", "allow_password_change": True,
        "authority": None, "watched": {}, "renew_at": None, "trusted_proxies": ["10.0.0.1"],
    }  # fmt: skip
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    read = live_settings.read(path)
    assert read.token == "secret-2"
    assert "secret" not in repr(read)
    path.write_text(json.dumps({**document, "token": 1, "else": "secret"}))
    with pytest.raises(ValueError, match="not of this version") as caught:
        live_settings.read(path)
    assert "secret" not in str(caught.value)
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        live_settings.read(path)
