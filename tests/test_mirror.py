"""The tests mirror the package: every module has its test file, or a reason why not, in the docstring of conftest."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import ednas

TESTS, PACKAGE = Path(__file__).parent, Path(ednas.__file__).parent
BESIDE = {"features", "docs", "examples", "benchmarks", "helpers"}

DOCSTRING = ast.get_docstring(ast.parse((TESTS / "conftest.py").read_text(encoding="utf-8"))) or ""
REASONS = dict(re.findall(r"^- ``([\w/]+\.py)``: (.+)$", DOCSTRING, flags=re.MULTILINE))

MODULES = {
    path.relative_to(PACKAGE).as_posix(): path.with_name(f"test_{path.name}").relative_to(PACKAGE)
    for path in PACKAGE.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
}
PACKAGES = {
    path.parent.with_name(f"test_{path.parent.name}.py").relative_to(PACKAGE)
    for path in PACKAGE.glob("*/**/__init__.py")
}


def test_every_module_has_its_test_or_a_reason() -> None:
    missing = {module for module, test in MODULES.items() if not (TESTS / test).exists()}
    assert sorted(missing) == sorted(REASONS)


def test_reasons_name_tests_that_are_there() -> None:
    named = [name for reason in REASONS.values() for name in re.findall(r"``([\w/]+\.py)``", reason)]
    assert [name for name in named if not (TESTS / name).exists()] == []


def test_every_test_of_the_mirror_has_its_module() -> None:
    found = {path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")} - {Path(__file__).relative_to(TESTS)}
    mirror = {path for path in found if path.parts[0] not in BESIDE}
    assert sorted(mirror - set(MODULES.values()) - PACKAGES) == []
