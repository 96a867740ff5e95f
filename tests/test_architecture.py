"""ARCHITECTURE.md's rules about imports, read off the source, and what a connection really loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import ssm_ssh
from tests.layers import ARCHITECTURE, LAYERS, with_picture
from tests.pure import PURE_MODULES, is_pure

PACKAGE = Path(ssm_ssh.__file__).parent

LEVEL = {unit: -depth for depth, units in enumerate(LAYERS) for unit in units}

# What would bring in the outside world: sockets, files, clocks, threads, programs.
IMPURE_MODULES = {
    *("asyncio", "ctypes", "fcntl", "http", "io", "logging", "multiprocessing", "os", "pathlib", "select"),
    *("selectors", "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time"),
    *("concurrent", "datetime", "urllib.request"),
}
IMPURE_NAMES = {"print", "open", "input", "exec", "eval", "breakpoint"}

# Each of these costs a connection from several to hundreds of milliseconds.
SLOW = {
    *("boto3", "botocore", "paramiko", "sshconf", "cryptography", "websockets", "platformdirs", "moto", "asyncssh"),
    "h11",
    *("asyncio", "concurrent.futures", "dataclasses", "inspect", "logging", "multiprocessing", "pydoc", "uuid"),
    *("importlib.metadata", "unittest", "urllib.request", "xml"),
    *("typing", "getpass"),
}
# The lab plays AWS to the product, so it shares as little as possible with it, and never a codec.
LAB_TAKES = {"errors", "suggest", "storage", "text", "installation", "install_hints"}
# Not part of a connection, or loaded only when it turns out to be needed.
NOT_CONNECTING = {"lab", "sshconfig", "cli", "__main__"}
LOADED_LATE = {"ssm_ssh.aws.credentials.botocore_chain"}  # botocore, for credentials that only it can get


@cache
def sources() -> dict[str, ast.Module]:
    """Return each module of the package by its dotted name."""
    trees = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = ("ssm_ssh", *file.relative_to(PACKAGE).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(file.read_text(encoding="utf-8"), str(file))
    return trees


def unit_of(module: str) -> str:
    parts = module.split(".")[1:]
    return ".".join(parts[: 2 if parts[0] in {"aws", "lab"} else 1]) if parts else "__init__"


def imports(module: str, *, lazy: bool) -> set[str]:
    """Return the modules that `module` imports; with `lazy`, in functions and for type checking too."""
    found = set()

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: imports are absolute here"
            base = node.module or ""
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in sources() else base)
        elif not lazy and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        elif not lazy and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                walk(child)
            return
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(sources()[module])
    return found


def ours(module: str, *, lazy: bool) -> set[str]:
    return {name for name in imports(module, lazy=lazy) if name in sources()}


def is_one_of(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def connecting() -> list[str]:
    """Return the modules that a connection may load, whatever it meets."""
    start = [name for name in sources() if unit_of(name).split(".")[0] not in NOT_CONNECTING]
    return sorted({*start, *(m for m in ("ssm_ssh.cli.main", "ssm_ssh.cli.proxy") if m in sources())} - LOADED_LATE)


def test_each_unit_has_its_layer() -> None:
    assert {unit_of(name) for name in sources()} <= set(LEVEL)


def test_the_picture_shows_these_layers() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    assert text == with_picture(text), "run: python -m tests.layers"


def test_imports_point_down() -> None:
    upward = {
        f"{module} imports {other}"
        for module in sources()
        for other in ours(module, lazy=True)
        if LEVEL.get(unit_of(other), 0) > LEVEL.get(unit_of(module), 0)
    }
    assert not upward


def in_cycles(below: dict[str, set[str]]) -> set[str]:
    """Return the names that import each other, and those that import such names."""
    while free := {name for name, needs in below.items() if not needs}:
        below = {name: needs - free for name, needs in below.items() if name not in free}
    return set(below)


def test_units_import_each_other_without_cycles() -> None:
    below: dict[str, set[str]] = {unit: set() for unit in map(unit_of, sources())}
    for module in sources():
        below[unit_of(module)] |= {unit_of(other) for other in ours(module, lazy=True)} - {unit_of(module), "__init__"}
    assert not in_cycles(below), "these, or some of them, import each other"


def test_files_import_each_other_without_cycles() -> None:
    below = {module: ours(module, lazy=True) - {module} for module in sources()}
    assert not in_cycles(below), "these, or some of them, import each other"


def test_the_lab_takes_little_from_the_product() -> None:
    taken = {
        unit_of(other)
        for module in sources()
        if unit_of(module).split(".")[0] == "lab"
        for other in ours(module, lazy=True)
    }
    assert {unit for unit in taken if unit.split(".")[0] != "lab"} <= LAB_TAKES


def test_the_relay_knows_nothing_of_what_a_session_is_for() -> None:
    """Neither AWS nor SSH; and clocks, signals, threads and descriptors in few modules."""
    allowed = {"relay", "channel", "transport", "errors", "log", "startup", "text"}
    places = {"time": {"clock"}, "signal": {"signals"}, "os": {"stdio", "writer", "tasks"}, "threading": {"tasks"}}
    for module in sources():
        if unit_of(module) != "relay":
            continue
        assert {unit_of(name) for name in ours(module, lazy=True)} <= allowed, module
        for name, modules in places.items():
            if module.rpartition(".")[2] not in modules:
                assert name not in imports(module, lazy=True), module


def test_the_pure_part_knows_no_outside_world() -> None:
    assert set(sources()) >= PURE_MODULES
    for module in sources():
        if not is_pure(module):
            continue
        impure = {name for name in imports(module, lazy=True) if is_one_of(name, IMPURE_MODULES)}
        used = {node.id for node in ast.walk(sources()[module]) if isinstance(node, ast.Name)} & IMPURE_NAMES
        assert not impure | used, module


def test_a_connection_imports_nothing_slow_at_module_level() -> None:
    for module in connecting():
        slow = {name for name in imports(module, lazy=False) if is_one_of(name, SLOW | LOADED_LATE)}
        assert not slow, module


def test_a_connection_loads_nothing_slow() -> None:
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, *connecting()], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert set(connecting()) <= loaded
    assert not {name for name in loaded if is_one_of(name, SLOW)}


@pytest.mark.parametrize("module", sorted(SLOW & {"boto3", "botocore"}))
def test_one_package_knows_the_aws_libraries(module: str) -> None:
    knowing = {name for name in sources() if any(is_one_of(i, {module}) for i in imports(name, lazy=True))}
    assert {unit_of(name).split(".")[0] for name in knowing} <= {"aws", "lab"}


def test_only_the_command_line_prints_or_exits() -> None:
    for module, tree in sources().items():
        if unit_of(module).split(".")[0] in {
            "cli",
            "__main__",
            "lab",
        }:  # the lab starts programs of its own
            continue
        assert not calls_in(tree) & {"print", "sys.exit", "exit", "quit"}, module


def test_one_module_of_the_command_line_prints() -> None:
    for module, tree in sources().items():
        if unit_of(module) == "cli" and module != "ssm_ssh.cli.output":
            assert not calls_in(tree) & {"print", "sys.stdout.write", "sys.stderr.write"}, module


def calls_in(tree: ast.Module) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("folder", ["ssm_ssh", "tests", "benchmarks", "installer"])
def test_long_files_give_their_reason(folder: str) -> None:
    for file in (PACKAGE.parent / folder).rglob("*.py"):
        if ".environment" in file.parts:  # what benchmarks/run installs
            continue
        lines = file.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 350 or lines[0].startswith("# Over 350 lines: "), file
