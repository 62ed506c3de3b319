"""The shape of the package: import order, no cycles, small files and functions, no unsafe loading."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "r1kit"

# Imports only point to a later line; names on one line may import each other, but modules form no cycle.
ORDER = (
    ("__main__",),
    ("cli", "commands"),
    ("report",),
    ("pipeline",),
    ("stages",),
    ("memory",),
    ("learning",),
    ("rollouts",),
    ("rewards",),
    ("objectives",),
    ("models",),
    ("kernels",),
    ("world",),
    ("datasets",),
    ("tasks",),
    ("verify",),
    ("text",),
    ("tracking",),
    ("files",),
    ("schedules",),
    ("settings", "seeds", "types", "errors"),
    ("__init__",),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
TORCH_FREE = (
    *("world", "datasets", "tasks", "verify", "text", "tracking", "files"),
    *("schedules", "settings", "seeds", "types", "errors"),
)
HEAVY = {"torch", "transformers", "tokenizers", "datasets", "accelerate", "vllm", "ray", "peft"}
# Only r1kit/files/ renames, replaces or deletes; what is built for `publish_folder` is written elsewhere.
DESTRUCTIVE = {
    *("os.rename", "os.replace", "os.remove", "os.unlink", "os.truncate", "os.rmdir"),
    *("shutil.rmtree", "shutil.move", "os.renames", "os.removedirs"),
}
UNSAFE = {"eval", "exec", "torch.load", "torch.save", "yaml.unsafe_load", "yaml.full_load", "os.system"}
UNSAFE_MODULES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


@cache
def parsed() -> dict[str, ast.Module]:
    """Dotted module name below r1kit ("tasks.countdown", "__init__") -> its tree."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        modules[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return modules


def layer(module: str) -> str:
    return module.partition(".")[0]


def internal_imports(module: str) -> set[str]:
    """The r1kit modules that `module` imports, anywhere in it, function bodies included."""
    found = set()
    for node in ast.walk(parsed()[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"r1kit/{module}: write imports from the root, not relative ones"
            base = node.module or ""
            found |= {
                f"{base}.{alias.name}" if f"{base}.{alias.name}".removeprefix("r1kit.") in parsed() else base
                for alias in node.names
            }
    inside = {name for name in found if name == "r1kit" or name.startswith("r1kit.")}
    return {name.removeprefix("r1kit").removeprefix(".") or "__init__" for name in inside} - {module}


def imports_at_load(tree: ast.Module) -> Iterator[str]:
    """Top-level names of the packages that importing the module imports."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += ast.iter_child_nodes(node)


def test_every_module_has_a_place_in_the_order() -> None:
    assert sorted({layer(module) for module in parsed()} - RANK.keys()) == []


def test_imports_only_point_down_the_order() -> None:
    wrong = [
        f"r1kit.{module} imports r1kit.{target}"
        for module in parsed()
        for target in sorted(internal_imports(module))
        if RANK[layer(target)] < RANK[layer(module)]
    ]
    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: internal_imports(module) & parsed().keys() for module in parsed()}
    cycles, settled = [], set[str]()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            cycles.append(" > ".join((*path[path.index(module) :], module)))
        elif module not in settled:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            settled.add(module)

    for module in graph:
        visit(module, ())
    assert cycles == []


def test_no_module_imports_a_private_name_of_another() -> None:
    wrong = [
        f"r1kit.{module} imports {node.module}.{alias.name}"
        for module, tree in parsed().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("r1kit")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert wrong == []


@pytest.mark.parametrize("name", TORCH_FREE)
def test_torch_free_layers_name_no_heavy_import_at_module_level(name: str) -> None:
    wrong = [
        f"r1kit.{module} imports {sorted(heavy)}"
        for module, tree in parsed().items()
        if layer(module) == name and (heavy := HEAVY & set(imports_at_load(tree)))
    ]
    assert wrong == []


def test_loading_all_torch_free_layers_loads_no_heavy_package() -> None:
    modules = [f"r1kit.{module}" for module in parsed() if layer(module) in TORCH_FREE]
    program = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        f"print(sorted({HEAVY!r} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_no_file_is_longer_than_400_lines() -> None:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_function_is_longer_than_80_lines() -> None:
    long = [
        f"r1kit.{module}:{node.lineno} {node.name} has {length} lines"
        for module, tree in parsed().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > 80
    ]
    assert long == []


def calls() -> Iterator[tuple[str, str, int]]:
    """Module, called name as written, and line of every call of a plain or dotted name."""
    for module, tree in parsed().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                yield module, ast.unparse(node.func), node.lineno


def test_only_files_renames_or_deletes() -> None:
    wrong = [f"r1kit.{m}:{line} {name}" for m, name, line in calls() if name in DESTRUCTIVE]
    assert [entry for entry in wrong if not entry.startswith("r1kit.files.")] == []


def test_nothing_evaluates_text_or_loads_pickles() -> None:
    assert [f"r1kit.{m}:{line} {name}" for m, name, line in calls() if name in UNSAFE] == []
    imports = {module: UNSAFE_MODULES & set(imports_at_load(tree)) for module, tree in parsed().items()}
    assert {module: found for module, found in imports.items() if found} == {}


def test_the_checks_see_what_they_look_for() -> None:
    source = "import torch.nn\nif TYPE_CHECKING:\n    import ray\ndef f():\n    import vllm\n"
    assert set(imports_at_load(ast.parse(source))) == {"torch"}
    assert "files.durable" in internal_imports("files.jsonl")
    assert "files.disk" in internal_imports("files.durable")
