"""What works in one Python and not in another that the project is meant for."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ("orchestrator", "engines", "clients", "benchmarks", "model_repository", "tests")
    for path in (ROOT / folder).rglob("*.py")
)


def raised_within_except_star(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.TryStar):
            for handler in node.handlers:
                yield from (each.lineno for each in ast.walk(handler) if isinstance(each, ast.Raise) and each.exc)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_new_is_raised_within_except_star(path: Path) -> None:
    # Python 3.11.2, which Debian 12 has, wraps it in an ExceptionGroup; 3.11.4 and later do not.
    assert list(raised_within_except_star(ast.parse(path.read_text()))) == []


def test_a_raise_within_except_star_would_be_found() -> None:
    program = "try:\n    work()\nexcept* ValueError as group:\n    raise group.exceptions[0] from group\n"

    assert list(raised_within_except_star(ast.parse(program))) == [4]
