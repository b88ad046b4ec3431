"""Breaks the decisions in one place at a time and counts how often a test notices. Run it with scripts/mutation.

mutmut's operators make the mutants. The runner is our own, for three reasons: mutmut's runner ignores code outside
functions (limits, defaults of fields), takes no seeded sample, and adds a call to each function, which slows the
simulator down. Each mutant is a forked process that loads one module from the changed text. The tests of that module
run first, then all tests from the shortest to the longest, until one fails.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import json
import os
import random
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import libcst as cst
import pytest
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = Path(__file__).with_name("mutation-accepted")
MERGE = ("jupyterd/server/channels/replay.py", "jupyterd/server/channels/replay_state.py")
UNIT_TESTS = ("tests/unit/core",)
TABLES = {"jupyterd/core/xids.py", "jupyterd/core/journal_kinds.py"}
"""Texts and numbers for people: these modules decide nothing, and a test could only repeat them."""
CORE_TESTS = (*UNIT_TESTS, "tests/sim", "--ignore=tests/sim/test_diagram.py")
"""Without the test of the diagram, which fails after every change and is then generated again."""
MERGE_TESTS = ("tests/unit/server/channels/test_replay.py",)
OPTIONS = ("-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--tb=short", "--assert=plain")
"""Plain asserts: nobody reads how two worlds differ, and computing that takes longer than the test."""
SLOWER = 4.0
"""A mutant that takes more than this many times as long as all tests take without one hangs, and counts as noticed."""
MEMORY_BYTES = 3 << 30


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. `removed` and `added` are the lines of its diff without indentation."""

    file: str
    line: int
    inside: str
    """The functions and classes around it, "" in the module itself."""
    source: str
    """The whole changed module."""
    removed: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def key(self) -> str:
        """Identifies it in the list of accepted survivors; independent of line numbers."""
        lines = (f"{self.file} {self.inside}".strip(), *(f"- {each}" for each in self.removed))
        return "\n".join((*lines, *(f"+ {each}" for each in self.added)))


# --- making them ----------------------------------------------------------------------------------------------


class Places(cst.CSTVisitor):
    """Collects every node with each of its mutations, except mutations that cannot change what runs."""

    METADATA_DEPENDENCIES = (PositionProvider, ByteSpanPositionProvider)

    def __init__(self) -> None:
        super().__init__()
        self.around: list[str] = []
        self.found: list[tuple[cst.CSTNode, cst.CSTNode, str]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Collect, and go on below unless `node` is only words or types."""
        if _inert(node) or (not self.around and _type_alias(node)):
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.around.append(node.name.value)
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                made = [each for each in operator(node) if not _equivalent(node, each)]
                if isinstance(node, cst.BaseString):
                    made = made[:1]  # the others only change between capital and small letters
                self.found += [(node, each, ".".join(self.around)) for each in made]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        """Leave the function or class again."""
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef):
            self.around.pop()


def _inert(node: cst.CSTNode) -> bool:
    """Types (annotations are never evaluated), decorators, imports, docstrings, and what cannot be reached."""
    match node:
        case cst.Annotation() | cst.Decorator() | cst.Import() | cst.ImportFrom() | cst.Assert():
            return True
        case cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString()):
            return True
        case cst.Call(func=cst.Name(value="assert_never")) | cst.Raise(exc=cst.Call(func=cst.Name("AssertionError"))):
            return True
    return False


def _type_alias(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Assign) and (isinstance(node.value, cst.Subscript) or _union(node.value))


def _union(node: cst.CSTNode) -> bool:
    """Whether this is A | B, which in this code always joins types, where no other operator makes sense."""
    return isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.BitOr)


def _equivalent(node: cst.CSTNode, mutated: cst.CSTNode) -> bool:
    if _union(node):
        return True
    if not isinstance(node, cst.Match) or not isinstance(mutated, cst.Match):
        return False
    (gone,) = [each for each in node.cases if all(each is not other for other in mutated.cases)]
    return "assert_never" in cst.Module([]).code_for_node(gone.body)


@dataclass(frozen=True, slots=True)
class Module:
    """A file as text and as a tree, and what can be changed in it."""

    file: str
    text: str
    wrapper: MetadataWrapper
    found: tuple[tuple[cst.CSTNode, cst.CSTNode, str], ...]


def parsed(file: str) -> Module:
    """From the working tree."""
    text = (ROOT / file).read_text("utf-8")
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    places = Places()
    wrapper.visit(places)
    return Module(file, text, wrapper, tuple(places.found))


def changed(module: Module, index: int) -> Mutant | None:
    """One of `module.found` as text; None if the result is not valid Python."""
    node, mutated, inside = module.found[index]
    tree = module.wrapper.module
    if isinstance(node, cst.Match):  # a statement of several lines has to be indented
        text = cst.ensure_type(tree.deep_replace(node, mutated), cst.Module).code
    else:
        span = module.wrapper.resolve(ByteSpanPositionProvider)[node]
        raw, new = module.text.encode(), tree.code_for_node(mutated).encode()
        text = (raw[: span.start] + new + raw[span.start + span.length :]).decode()
    try:
        compile(text, module.file, "exec")
    except SyntaxError:
        return None
    before, after = ([each.strip() for each in one.splitlines()] for one in (module.text, text))  # indentation may go
    diff = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    removed = tuple(each[1:] for each in diff if each.startswith("-"))
    added = tuple(each[1:] for each in diff if each.startswith("+"))
    line = module.wrapper.resolve(PositionProvider)[node].start.line
    return Mutant(module.file, line, inside, text, removed, added)


def sampled(files: Sequence[str], size: int, seed: int) -> tuple[list[Mutant], int]:
    """A sample of `size` mutants of these files (0: all), the same for the same seed; and how many there are."""
    modules = [parsed(each) for each in files]
    every = [(module, index) for module in modules for index in range(len(module.found))]
    random.Random(seed).shuffle(every)  # noqa: S311 - a seed that replays is the point
    made = (each for module, index in every if (each := changed(module, index)) is not None)
    return list(itertools.islice(made, size or None)), len(every)


def accepted() -> dict[str, str]:
    """The reason why a survivor is accepted, by its key. A line "= reason" ends an entry; blank lines and comments (#)
    are ignored.
    """
    found: dict[str, str] = {}
    entry: list[str] = []
    for line in ACCEPTED.read_text("utf-8").splitlines():
        if line.startswith("= "):
            found["\n".join(entry)] = line[2:]
            entry = []
        elif line and not line.startswith("#"):
            entry.append(line)
    return found


def still_there(key: str) -> bool:
    """Whether an accepted mutant can still be made: its file has the lines that it changes."""
    where, *lines = key.splitlines()
    file = ROOT / where.split()[0]
    text = [each.strip() for each in file.read_text("utf-8").splitlines()] if file.exists() else []
    return all(each.removeprefix("- ") in text for each in lines if each.startswith("- "))


# --- trying them ----------------------------------------------------------------------------------------------


class Changed(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Loads one module from another text."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.file.removesuffix(".py").replace("/", "."), str(ROOT / mutant.file))
        self.text = mutant.source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec for the changed module; None for every other name."""
        del path, target
        return (
            importlib.util.spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None
        )

    def get_code(self, fullname: str) -> CodeType | None:
        """Compile the changed text; never use cached bytecode."""
        del fullname
        return compile(self.text, self.path, "exec", dont_inherit=True)


class Order:
    """A pytest plugin: the short tests first."""

    def __init__(self, name: str, took: dict[str, float]) -> None:
        self.name, self.took, self.measured = name, took, dict[str, float]()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort."""
        items.sort(key=lambda each: self.took.get(each.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember how long it took."""
        self.measured[report.nodeid] = self.measured.get(report.nodeid, 0.0) + report.duration


def tests_of(file: str, *, unit: bool) -> tuple[str, ...]:
    """Pytest's arguments for a module."""
    return MERGE_TESTS if file in MERGE else UNIT_TESTS if unit else CORE_TESTS


def run_tests(mutant: Mutant | None, args: Sequence[str], took: dict[str, float]) -> tuple[int, dict[str, float]]:
    """Run in a process of its own: pytest's exit status, and how long each test took."""
    order = Order(Path(mutant.file).stem if mutant else "", took)
    if mutant is not None:
        sys.meta_path.insert(0, Changed(mutant))
        own = sorted({each.partition("::")[0] for each in took if f"/test_{order.name}" in each})
        status = pytest.main([*OPTIONS, *own], [order]) if own else 0  # without collecting the rest: much sooner
        if status:
            return int(status), {}
    return int(pytest.main([*OPTIONS, *args], [order])), order.measured


def fork(mutant: Mutant | None, args: Sequence[str], took: dict[str, float], report: Path | None) -> int:
    """Start a process for a mutant; returns its pid. It exits with 0 if no test failed. `report` gets output and
    durations.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        out = os.open(
            report.with_suffix(".out") if report else os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
        )
        os.dup2(out, 1)
        os.dup2(out, 2)
        status, measured = run_tests(mutant, args, took)
        if report is not None:
            report.write_text(json.dumps(measured), "utf-8")
    finally:
        sys.stdout.flush()
        os._exit(status)


def baseline(args: Sequence[str], folder: Path) -> tuple[dict[str, float], float]:
    """How long each test takes without a mutant, and all of them together. SystemExit if one fails."""
    report = folder / "baseline"
    begun = time.monotonic()
    _, status = os.waitpid(fork(None, args, {}, report), 0)
    if status:
        sys.exit(f"the tests already fail without a mutant:\n{report.with_suffix('.out').read_text('utf-8')}")
    return json.loads(report.read_text("utf-8")), time.monotonic() - begun


def attempt_all(sample: Sequence[Mutant], workers: int, folder: Path, *, unit: bool) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with "noticed", "survived" or "timed out", as they end."""
    waiting = [(each, tests_of(each.file, unit=unit)) for each in reversed(sample)]
    known = {args: baseline(args, folder) for args in sorted({args for _, args in waiting})}
    running: dict[int, tuple[Mutant, int, float]] = {}  # by pidfd
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                mutant, args = waiting.pop()
                took, whole_s = known[args]
                pid = fork(mutant, args, took, None)
                running[os.pidfd_open(pid)] = (mutant, pid, time.monotonic() + SLOWER * whole_s + 10)
            nearest = min(at for _, _, at in running.values())
            ended, _, _ = select.select(list(running), [], [], max(0.0, nearest - time.monotonic()))
            for fd in list(running):
                mutant, pid, at = running[fd]
                late = fd not in ended and time.monotonic() >= at
                if late:
                    os.killpg(pid, signal.SIGKILL)
                if late or fd in ended:
                    _, status = os.waitpid(pid, 0)
                    os.close(fd)
                    del running[fd]
                    yield mutant, "timed out" if late else "noticed" if status else "survived"
    finally:  # an interrupt reaches the terminal's group; each of these has its own
        for _, pid, _ in running.values():
            os.kill(pid, signal.SIGKILL)


# --- telling --------------------------------------------------------------------------------------------------


def main() -> int:
    """Take a sample, try it, print the score; 1 if the score is too low or an accepted mutant no longer exists."""
    parser = argparse.ArgumentParser(prog="scripts/mutation", description="how many broken decisions the tests notice")
    parser.add_argument("--mutants", type=int, default=300, help="size of the sample (default 300); 0: all mutants")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample (default 1)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 2, help="processes (default: one for each CPU)"
    )
    parser.add_argument("--goal", type=float, default=90.0, help="per cent that tests must notice (default 90)")
    parser.add_argument("--only", default="", metavar="WORD", help="only files that have this word in their path")
    parser.add_argument("--unit", action="store_true", help="run only unit tests: faster, with a lower score")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    core = (str(each.relative_to(ROOT)) for each in sorted((ROOT / "jupyterd/core").glob("*.py")))
    files = [each for each in (*core, *MERGE) if options.only in each and each not in TABLES]
    begun = time.monotonic()
    sample, many = sampled(files, options.mutants, options.seed)
    reasons = accepted()
    stale = [each for each in reasons if not still_there(each)]
    gc.freeze()
    counts = dict.fromkeys(("noticed", "survived", "timed out", "accepted"), 0)
    folder = ROOT / ".jupyterd"
    folder.mkdir(exist_ok=True)
    tried = 0
    try:
        for mutant, what in attempt_all(sample, options.workers, folder, unit=options.unit):
            tried += 1
            reason = reasons.get(mutant.key) if what == "survived" else None
            counts["accepted" if reason else what] += 1
            if what == "survived":
                head = "accepted" if reason else "SURVIVED"
                print(f"{head} {mutant.file}:{mutant.line}\n{mutant.key}\n= {reason or ''}\n", flush=True)
            if tried % 25 == 0:
                print(f"{tried} of {len(sample)} after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted: the figures are those of the mutants tried so far")
    for each in stale:
        print(f"this mutant no longer exists; remove it from {ACCEPTED.name}:\n{each}\n")
    judged = tried - counts["accepted"]
    noticed = counts["noticed"] + counts["timed out"]
    score = 100 * noticed / judged if judged else 100.0
    print(
        f"{tried} of {many} mutants tried (seed {options.seed}) in {time.monotonic() - begun:.0f} s: "
        f"{noticed} noticed ({counts['timed out']} of them by a time-out), {counts['survived']} survived, "
        f"{counts['accepted']} accepted with a reason; score {score:.1f} % of {judged}"
    )
    return int(score < options.goal or bool(stale))


if __name__ == "__main__":
    sys.exit(main())
