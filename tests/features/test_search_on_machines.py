"""Searches on several machines: two nodes of Ray on this one, of which one is lost, full, or sees no data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers.processes import command, descendants, survivors
from helpers.searches import (
    IDENTITY,
    FakeEvaluator,
    Recorder,
    facts,
    make_search,
    misbehave,
    space,
    uninterrupted,
)

from ednas.arch import Architecture
from ednas.exceptions import EdnasError
from ednas.search.controllers import RandomSearch
from ednas.search.evaluators.base import Evaluation
from ednas.search.executors import InlineExecutor, RayExecutor
from ednas.search.study import Study
from ednas.search.trial import Trial, TrialState

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = pytest.mark.slow

MODE = "EDNAS_TEST_MODE"
"""Variable of a node's environment that says what goes wrong on it."""


@dataclass(frozen=True)
class Placed(FakeEvaluator):
    """Misbehaves where the machine tells it to, and leaves the machine's name in the log."""

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        misbehave(os.environ.get(MODE, ""))
        return super().evaluate(architecture, seed)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head that evaluates nothing; the tests add machines."""
    utilities = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed: pip install 'ednas[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


def add(cluster: Cluster, processors: int, mode: str = "") -> Any:
    return cluster.add_node(num_cpus=processors, include_dashboard=False, env_vars={MODE: mode})


class Losing(Recorder):
    """Kills a machine's processes at once when some trials are done."""

    def __init__(self, cluster: Cluster, machine: Any, after: int) -> None:
        super().__init__()
        self.cluster = cluster
        self.machine = machine
        self.after = after

    def on_trial(self, trial: Trial) -> None:
        super().on_trial(trial)
        if self.machine and sum(event.state is TrialState.DONE for event in self.events) >= self.after:
            self.cluster.remove_node(self.machine, allow_graceful=False)
            self.machine = None


def test_a_machine_that_is_lost_takes_nothing_with_it(cluster: Cluster, tmp_path: Path) -> None:
    """The controller does not learn, so that candidates do not depend on which machine is quicker."""
    add(cluster, 2)
    losing = Losing(cluster, add(cluster, 2), after=4)
    sizes = [len(decision.candidates) for decision in space().decisions]
    with Study(tmp_path / "study.db", IDENTITY) as study:
        executor = RayExecutor(FakeEvaluator(delay_s=0.5), address=cluster.address)
        make_search(
            study, trials=16, executor=executor, controller=RandomSearch(sizes, seed=3), callbacks=(losing,)
        ).run()
        found = study.trials()
    assert losing.machine is None
    whole = uninterrupted(tmp_path / "whole.db", 16, controller=RandomSearch(sizes, seed=3))
    assert [(t.number, t.genes, t.state, t.reward) for t in found] == [
        (t.number, t.genes, t.state, t.reward) for t in whole
    ]


def test_a_machine_whose_disk_is_full_is_left_out(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With one candidate at a time even the order is that of an undisturbed search."""
    add(cluster, 1, mode="disk")
    add(cluster, 1)
    with Study(tmp_path / "study.db", IDENTITY) as study:
        make_search(study, trials=12, executor=RayExecutor(Placed(), address=cluster.address, workers=1)).run()
        assert facts(study.trials()) == facts(uninterrupted(tmp_path / "whole.db", 12))
    left_out = [record.getMessage() for record in caplog.records if "is left out" in record.getMessage()]
    assert len(left_out) <= 1
    assert all("No space left on device" in line for line in left_out)


def test_when_no_machine_is_in_order_the_search_stops_and_can_be_resumed(cluster: Cluster, tmp_path: Path) -> None:
    machines = [add(cluster, 1, mode="data") for _ in range(2)]
    with Study(tmp_path / "study.db", IDENTITY) as study:
        search = make_search(study, trials=6, executor=RayExecutor(Placed(), address=cluster.address))
        with pytest.raises(EdnasError, match=r"trial \d could not be evaluated: 0.png: no such file \(on .+\); put"):
            search.run()
        assert study.counts()[TrialState.FAILED] == 0
    for machine in machines:
        cluster.remove_node(machine, allow_graceful=False)
    add(cluster, 1)
    with Study(tmp_path / "study.db", IDENTITY, resume=True) as study:
        make_search(study, trials=6, executor=RayExecutor(Placed(), address=cluster.address, workers=1)).run()
        found = study.trials()
    whole = uninterrupted(tmp_path / "whole.db", 6, executor=InlineExecutor(Placed()))
    assert {(t.state, t.reward is None) for t in found} == {(TrialState.DONE, False)}
    assert len(found) == len(whole)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_search_with_a_ray_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ednas[ray]'")
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = tmp_path / "search.yaml"
    config.write_text(
        "training:\n  data: streets\n  data_options: {count: 6, size: [32, 64]}\n"
        "  recipe: {name: mini, steps: 100000, batch_size: 2, input_size: [32, 64]}\n"
        "device: cpu\nexecutor: ray\nworkers: 1\n"
    )
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "ednas", "search", "--config", str(config), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 240
    while not (started := trainings(process.pid)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert started, process.communicate()
    everything = descendants(process.pid)
    process.send_signal(number)
    out_text, errors = process.communicate(timeout=120)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number], errors
    assert out_text == ""
    assert "Traceback" not in errors
    # Ray's agents look every half a minute whether what they belong to is still there.
    assert survivors(everything, patience_s=180) == []


def trainings(process: int) -> set[int]:
    """Return the processes of trials below one: what a fork server started."""
    servers = {one for one in descendants(process) if "multiprocessing.forkserver" in command(one)}
    return {one for server in servers for one in descendants(server)}
