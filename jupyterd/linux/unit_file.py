"""The one writer of unit files and drop-ins (systemd.syntax(7)), and of what systemd-run takes in their place.

Every value comes from somebody: names and paths of the account, of its links, of the settings. A line break would end
the directive, and what follows would be another one: so what is not printable raises ValueError, with a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath


def text(lines: Iterable[str]) -> str:
    """The whole file. Refuses a line that is not one line, whoever made it."""
    return "".join(f"{_printable(line)}\n" for line in lines)


def plain(name: str, value: str) -> str:
    """A directive that takes the rest of the line as it is, as User= and Description= do, but for specifiers. Refuses
    what systemd would strip, continue on the next line, or read as "back to the default" (User= alone is root).
    """
    if not value or value != value.strip() or value.endswith("\\"):
        raise ValueError(f"{value!r} cannot be used in a unit file after {name}=")
    return f"{name}={_unspecified(value)}"


def words(name: str, *values: str) -> str:
    """A directive that takes a list, such as ReadWritePaths= and Environment=."""
    return f"{name}={' '.join(map(quoted, values))}"


def units(name: str, values: Iterable[str]) -> str:
    """A directive that takes names of units, as `escaped` makes them: Wants=, After=."""
    return f"{name}={' '.join(values)}"


def command(name: str, argv: Iterable[str]) -> str:
    """ExecStart= and its like (systemd.service(5)), where $ begins a variable."""
    return f"{name}={' '.join(map(_argument, argv))}"


def with_program(template: str, program: str, own: str) -> str:
    """A unit file of ours with another program in its commands. `program` is the path that the template has."""
    return text(
        line.replace(program, _argument(own)) if line.startswith("Exec") else line for line in template.splitlines()
    )


def quoted(value: str) -> str:
    """One word of a list: systemd splits at spaces, and % begins a specifier."""
    escaped = _unspecified(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def transient(properties: Iterable[str], description: str, program: Iterable[str]) -> list[str]:
    """The end of a systemd-run command line: properties, description, `--`, program. systemd-run expands $ in argv, and
    writes the rest into a unit file, which the manager reads again at each daemon-reload.
    """
    found = [f"--property={_printable(each)}" for each in properties]
    found += [f"--description={_printable(description)}"] if description else []
    return [*found, "--", *(each.replace("$", "$$") for each in program)]


def read_plain(content: str, name: str) -> str | None:
    """The value of the first directive that `plain` wrote under this name; None if there is none."""
    found = (line.removeprefix(f"{name}=") for line in content.splitlines() if line.startswith(f"{name}="))
    return next((each.replace("%%", "%") for each in found), None)


def escaped(path: str) -> str:
    """A path as part of a unit's name, as `systemd-escape --path` does it."""
    out = []
    for index, byte in enumerate(path.strip("/").encode()):
        character = chr(byte)
        plain_ = character.isascii() and (character.isalnum() or character in ":_" or (character == "." and index > 0))
        out.append("-" if character == "/" else character if plain_ else f"\\x{byte:02x}")
    return "".join(out)


def mount_units(path: str) -> list[str]:
    """The names that mounts at this path or above it would have as units; not the root's."""
    whole = PurePosixPath(path)
    return [escaped(str(each)) + ".mount" for each in reversed([whole, *whole.parents]) if each != PurePosixPath("/")]


def _argument(value: str) -> str:
    return quoted(value).replace("$", "$$")


def _unspecified(value: str) -> str:
    return _printable(value).replace("%", "%%")


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError(f"{value!r} cannot be used in a unit file: it holds a character that cannot be printed")
    return value
