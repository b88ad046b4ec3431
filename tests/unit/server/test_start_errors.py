"""The sentence that tells why the server could not start."""

from __future__ import annotations

import pytest
from traitlets import TraitError

from jupyterd.server import start_errors


def test_the_cause_of_a_failed_start_names_its_file(tmp_path):
    broken = tmp_path / "jupyter_server_config.py"
    broken.write_text("\nraise KeyError('x')\n")
    with pytest.raises(KeyError) as caught:
        exec(compile(broken.read_text(), str(broken), "exec"), {})  # noqa: S102 - as traitlets does
    assert start_errors.sentence(caught.value, [str(tmp_path)]) == f"{broken}:2: KeyError: 'x'"
    assert start_errors.sentence(TraitError("bad port"), [str(tmp_path)]).endswith("is wrong: bad port")
    assert (
        start_errors.sentence(OSError(28, "No space left on device"), [])
        == "OSError: [Errno 28] No space left on device"
    )
    assert start_errors.sentence(start_errors.StartFailed("so it is"), []) == "so it is"
