"""Keeps the module `inspect` out of the supervisor: 1.1 MB, with ast, dis and tokenize, that it never uses.

Called first of all by __main__.py, before anything imports dataclasses, the only one that asks for it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """`inspect` until somebody needs more of it than dataclasses does: then the real one, so nothing can break."""

    @staticmethod
    def get_annotations(of: type) -> dict[str, Any]:
        """What dataclasses of Python 3.13 asks of every class."""
        return dict(vars(of).get("__annotations__", {}))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever is there
        if name.startswith("__"):
            raise AttributeError(name)
        del sys.modules["inspect"]
        import inspect  # noqa: PLC0415 - the purpose of this file is not to do it before

        self.__dict__.update(vars(inspect))
        return getattr(inspect, name)


def keep_inspect_out() -> None:
    """Put the stand-in there, unless the real one is there already."""
    sys.modules.setdefault("inspect", _Later("inspect"))
