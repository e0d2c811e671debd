"""Fixtures shared by all tests, and what the tree of the tests means.

``tests/`` mirrors ``src/ednas/``: ``search/test_loop.py`` tests ``search/loop.py``, and ``search/test_controllers.py``
what all modules of the package ``search/controllers/`` have in common. What goes through several packages is in
``features/``, what lies beside the package in ``docs/``, ``examples/`` and ``benchmarks/``. ``test_mirror.py`` checks
it; these modules need no file of their own:

- ``arch/kinds/conv.py``: the conformance suite ``arch/test_kinds.py`` runs on every kind
- ``arch/kinds/fused.py``: the conformance suite ``arch/test_kinds.py`` runs on every kind
- ``arch/kinds/ibn.py``: the conformance suite ``arch/test_kinds.py`` runs on every kind
- ``arch/kinds/uib.py``: the conformance suite ``arch/test_kinds.py`` runs on every kind
- ``cli/demo.py``: ``test_demo.py`` calls it
- ``cli/report.py``: ``report/test_training.py`` calls it on a training, ``features/test_own_task.py`` on more
- ``cli/specialise.py``: ``test_specialise.py`` calls it
- ``data/classes.py``: names alone; ``data/readers/test_cityscapes.py`` and ``examples/test_datasets.py`` compare them
- ``data/guess/layout.py``: a step of a proposal, which ``data/test_guess.py`` opens and compares
- ``data/guess/proposal.py``: a step of a proposal, which ``data/test_guess.py`` opens and compares
- ``data/guess/values.py``: a step of a proposal, which ``data/test_guess.py`` opens and compares
- ``hw/cost.py``: plain data, which ``hw/model/test_simulator.py`` checks
- ``hw/model/engines/base.py``: a contract
- ``hw/model/target.py``: ``hw/targets/test_files.py`` reads every target, right and wrong
- ``hw/sources/litert_worker.py``: ``hw/sources/test_litert.py`` runs it
- ``hw/tflite/draft.py``: a step of writing; ``hw/tflite/test_writer.py`` runs and reads what is written
- ``hw/tflite/operator_writers.py``: a step of writing; ``hw/tflite/test_writer.py`` runs and reads what is written
- ``hw/tflite/schema.py``: numbers alone; ``hw/graph/test_ops.py`` compares them with generated bindings
- ``hw/tflite/serialise.py``: a step of writing; ``hw/tflite/test_writer.py`` runs and reads what is written
- ``hw/tflite/versions.py``: numbers alone; ``hw/tflite/test_writer.py`` and ``export/test_audit.py`` hold them to files
- ``report/gains.py``: ``report/tables/test_comparison.py`` and ``report/test_html.py`` show its rows
- ``report/metrics.py``: ``report/tables/test_metrics.py`` shows its rows
- ``reproduce/collect.py``: ``reproduce/test_run.py`` looks at what it collects
- ``reproduce/finished.py``: ``reproduce/test_run.py`` goes on with what it finds
- ``reproduce/table.py``: plain data, which ``reproduce/test_tables.py`` checks
- ``reproduce/tables/cost.py``: ``reproduce/test_tables.py`` checks every declaration
- ``reproduce/tables/methods.py``: ``reproduce/test_tables.py`` checks every declaration
- ``reproduce/tables/speed.py``: ``reproduce/test_tables.py`` checks every declaration
- ``reproduce/tables/table1.py``: ``reproduce/test_tables.py`` checks every declaration
- ``reproduce/tables/table2.py``: ``reproduce/test_tables.py`` checks every declaration
- ``reproduce/tables/table3.py``: ``reproduce/test_tables.py`` checks every declaration
- ``reproduce/tables/table4.py``: ``reproduce/test_tables.py`` checks every declaration
- ``reproduce/tables/table5.py``: ``reproduce/test_tables.py`` checks every declaration
- ``reproduce/tables/table6.py``: ``reproduce/test_tables.py`` checks every declaration
- ``reproduce/tables/table9.py``: ``reproduce/test_tables.py`` checks every declaration
- ``scenes/classes.py``: names alone; ``scenes/test_rendering.py`` looks for them
- ``scenes/room_furnishing.py``: a part of a scene; ``scenes/test_rendering.py`` checks whole scenes of many seeds
- ``scenes/room_objects.py``: a part of a scene; ``scenes/test_rendering.py`` checks whole scenes of many seeds
- ``scenes/room_plan.py``: a part of a scene; ``scenes/test_rendering.py`` checks whole scenes of many seeds
- ``scenes/rooms.py``: ``scenes/test_rendering.py`` checks whole scenes of many seeds
- ``scenes/shading.py``: ``scenes/test_rendering.py`` checks images, ``scenes/test_tracing.py`` shadows
- ``scenes/street_objects.py``: a part of a scene; ``scenes/test_rendering.py`` checks whole scenes of many seeds
- ``scenes/street_plan.py``: a part of a scene; ``scenes/test_rendering.py`` checks whole scenes of many seeds
- ``scenes/street_sides.py``: a part of a scene; ``scenes/test_rendering.py`` checks whole scenes of many seeds
- ``scenes/streets.py``: ``scenes/test_rendering.py`` checks whole scenes of many seeds
- ``search/controllers/random.py``: the conformance suite ``search/test_controllers.py`` runs on every controller
- ``search/evaluators/base.py``: a contract
- ``training/callbacks.py``: contracts and plain data
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.cli import Run
from hypothesis import settings

from ednas.cli import main
from ednas.tasks import base as tasks

# No deadlines: a loaded machine is slow, not wrong.
settings.register_profile("full", deadline=None, max_examples=50)
settings.register_profile("quick", deadline=None, max_examples=10)


def pytest_configure(config: pytest.Config) -> None:
    """Where slow tests are left out, hypothesis tries fewer examples."""
    settings.load_profile("quick" if config.getoption("markexpr") == "not slow" else "full")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real development data; tests that need it are skipped where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("EDNAS_DATA", default))
    if not path.is_dir():
        pytest.skip(f"real data not found at {path}; set EDNAS_DATA to run this test")
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process; returns exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ednas", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="module")
def ray() -> Iterator[str]:
    """A Ray on this machine for all tests of a module, to which this program is connected; its address."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ednas[ray]'")
    from ednas.search.executors.ray import own_ray

    with own_ray(processors=4):
        yield ray.get_runtime_context().gcs_address


@pytest.fixture
def clean_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a test registers as tasks, and what it imports as plugins."""
    for name in ("segmentation", "depth", "normals"):
        tasks.task_target(name)
    monkeypatch.setattr(tasks, "_registry", dict(tasks._registry))
    before = set(sys.modules)
    yield
    for name in {name for name in sys.modules if "plugin" in name} - before:
        del sys.modules[name]
