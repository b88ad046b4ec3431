"""Keeps the supervisor small: leaves out what the standard library would bring along and nobody here uses.

Called first of all by __main__.py, before anything else imports dataclasses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
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
    """Put a stand-in there, unless the real one is there already: 1.1 MB, with ast, dis and tokenize."""
    sys.modules.setdefault("inspect", _Later("inspect"))


def share_methods() -> None:
    """From now on all frozen dataclasses have these methods in common: each class would get copies of its own, and
    with them keep the class alive that it was before it had slots; 0.8 MB in all.
    """
    import dataclasses  # noqa: PLC0415 - only once `inspect` is kept out

    def values(self: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any dataclass
        return tuple([getattr(self, name) for name in self.__dataclass_fields__])

    def represent(self: Any) -> str:  # noqa: ANN401 - any dataclass
        shown = zip(self.__dataclass_fields__, values(self), strict=True)
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in shown)})"

    def digest(self: object) -> int:
        return hash(values(self))

    def refuse(_self: object, name: str, *_value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot change field {name!r}")

    original = dataclasses.dataclass

    def lean(cls: type | None = None, /, **options: bool) -> type | Callable[[type], type]:
        def decorate(cls: type) -> type:
            made: Any = original(**options)(cls)
            if options == {"frozen": True, "slots": True}:
                made.__repr__, made.__hash__, made.__setattr__, made.__delattr__ = represent, digest, refuse, refuse
                if "__weakref__" in vars(made):  # the old class's own (Python 3.11): it has none
                    del made.__weakref__
            return made  # type: ignore[no-any-return]

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = lean  # type: ignore[assignment]
