"""The core decides; it neither waits, nor reads a clock, nor talks to anyone."""

import ast
import sys
from pathlib import Path

import pytest

import orchestrator.core

CORE = sorted(Path(orchestrator.core.__file__).parent.glob("*.py"))
PURE_STDLIB = {"collections", "dataclasses", "enum", "json", "math", "re", "typing", "unicodedata", "sys"}


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            modules.add(node.module or "")
    return modules


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_a_core_file_imports_only_the_core_and_pure_parts_of_the_standard_library(path: Path) -> None:
    for module in imported_modules(path):
        top = module.split(".")[0]
        assert module.startswith("orchestrator.core") or top in PURE_STDLIB, f"{path.name} imports {module}"


def test_only_the_documentation_is_written() -> None:
    assert [path.stem for path in CORE if "sys" in imported_modules(path)] == ["diagram", "waits"]


def test_importing_the_core_loads_nothing_that_waits() -> None:
    import subprocess

    program = (
        "import sys, pkgutil, importlib, orchestrator.core as core\n"
        "[importlib.import_module(m.name) for m in pkgutil.iter_modules(core.__path__, 'orchestrator.core.')]\n"
        "print(sorted({'asyncio', 'grpc', 'aiortc', 'fastapi', 'numpy', 'socket'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
