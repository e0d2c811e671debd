"""What only Ray does; what all executors do is in ``search/test_executors.py``, several machines in ``features/``."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import is_alive, survivors
from helpers.searches import BASE_TEXT, FakeEvaluator, Meeting, Misbehaving

from ednas.exceptions import ConfigError
from ednas.search.executors import Job, RayExecutor
from ednas.search.executors.ray import check_ray


def job(number: int = 0) -> Job:
    return Job(number, BASE_TEXT, seed=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be above 0"),
        ({"threads": 0}, "threads"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"gpus": -1.0}, "gpus must be"),
        ({"gpus": 1.5}, "gpus must be a part of 1, or a whole number"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RayExecutor(FakeEvaluator(), **options)


def test_an_evaluator_that_cannot_travel() -> None:
    class Local(FakeEvaluator):
        pass

    with pytest.raises(ConfigError, match="cannot be sent to a worker process"):
        RayExecutor(Local())


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray._private.services", None)
    with pytest.raises(ConfigError, match=r"executor 'ray': it is not installed; pip install 'ednas\[ray\]'"):
        check_ray(None)


@pytest.mark.slow
class TestAddresses:
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'ednas[ray]'")
        monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def test_where_nobody_answers_is_said_within_seconds(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(ConfigError, match=rf"ray_address '127.0.0.1:{port}': nobody answers at .*:{port} \(.+\)"):
            RayExecutor(FakeEvaluator(), address=f"127.0.0.1:{port}").submit(job())
        assert time.monotonic() - started < 20

    @pytest.mark.parametrize("address", ["auto", "somewhere", "somewhere:port", "ray://somewhere:10001"])
    def test_what_is_no_cluster(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ray._private.services.find_gcs_addresses", set)  # of other programs
        with pytest.raises(ConfigError, match=f"ray_address '{address}': no Ray cluster is found"):
            check_ray(address)

    def test_a_name_that_nobody_knows(self) -> None:
        with pytest.raises(ConfigError, match=r"nobody answers at no-such-host\.invalid:6379"):
            check_ray("no-such-host.invalid:6379")


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
class TestJobs:
    def test_there_is_room_for_as_many_as_there_are_processors(self) -> None:
        with RayExecutor(FakeEvaluator()) as one, RayExecutor(FakeEvaluator(), threads=2) as two:
            assert (one.workers, two.workers) == (4, 2)
        with RayExecutor(FakeEvaluator(), workers=9) as executor:
            assert executor.workers == 9

    @pytest.mark.parametrize("options", [{"gpus": 0.25}, {"threads": 1000}])
    def test_a_job_that_fits_no_machine_is_refused(self, options: dict[str, Any]) -> None:
        with RayExecutor(FakeEvaluator(), **options) as executor, pytest.raises(ConfigError, match="no machine has"):
            executor.submit(job())

    @pytest.mark.parametrize(
        ("mode", "error", "fault"),
        [
            ("kill", "the worker process was killed by SIGKILL; out of memory?", "killed"),
            ("segfault", "the worker process was killed by SIGSEGV", "candidate"),
            ("exit", "the worker process ended with code 3 without a result; see its own message", "candidate"),
        ],
    )
    def test_deaths_are_told_apart(self, mode: str, error: str, fault: str) -> None:
        with RayExecutor(Misbehaving(mode)) as executor:
            executor.submit(job())
            outcome = executor.wait()
        assert (outcome.error, outcome.fault, outcome.elsewhere) == (error, fault, False)

    def test_a_ray_worker_that_is_killed_is_told_from_its_job(self) -> None:
        with RayExecutor(Misbehaving("orphan")) as executor:
            executor.submit(job())
            outcome = executor.wait()
        assert (outcome.fault, outcome.elsewhere) == ("killed", True)
        assert outcome.error == "its machine or its Ray worker was lost (WorkerCrashedError)"

    def test_a_job_that_takes_too_long_fails(self) -> None:
        with RayExecutor(Misbehaving("hang"), timeout_s=1.0) as executor:
            executor.submit(job())
            assert executor.wait().error == "took longer than 1 s"

    def test_jobs_run_at_the_same_time(self, tmp_path: Path) -> None:
        with RayExecutor(Meeting(tmp_path, 4)) as executor:
            for number in range(4):
                executor.submit(job(number))
            outcomes = [executor.wait() for _ in range(4)]
        assert sorted((outcome.number, outcome.error) for outcome in outcomes) == [(n, "") for n in range(4)]

    def test_leaving_ends_what_still_runs(self, tmp_path: Path) -> None:
        with RayExecutor(Meeting(tmp_path, 2), workers=1) as executor:
            executor.submit(job())
            deadline = time.monotonic() + 60
            while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
                time.sleep(0.05)
            (number,) = (int(path.name) for path in tmp_path.iterdir())
            assert is_alive(number)
        assert survivors([number]) == []

    def test_a_full_disk_of_the_only_machine_is_everybodys(self) -> None:
        with RayExecutor(Misbehaving("disk")) as executor:
            executor.submit(job())
            outcome = executor.wait()
        assert (outcome.fault, outcome.elsewhere) == ("environment", False)
        assert outcome.error.startswith("OSError: [Errno 28] No space left on device: '/tmp/x' (on ")

    def test_the_program_stays_connected(self) -> None:
        import ray

        with RayExecutor(FakeEvaluator()) as executor:
            executor.submit(job())
            assert executor.wait().error == ""
        assert ray.is_initialized()

    def test_a_program_that_is_connected_to_another_cluster(self, ray: str) -> None:
        with socket.create_server(("", 0)) as other:
            port = other.getsockname()[1]
            message = rf"connected to the Ray at {ray}, not to the one at .+:{port};"
            executor = RayExecutor(FakeEvaluator(), address=f"127.0.0.1:{port}")
            with executor, pytest.raises(ConfigError, match=message):
                executor.submit(job())
        with RayExecutor(FakeEvaluator(), address=ray) as executor:
            assert executor.workers == 4

    def test_an_evaluator_of_a_script(self, ray: str, tmp_path: Path) -> None:
        script = tmp_path / "mine.py"
        script.write_text(
            "from ednas.search import Evaluation\n"
            "from ednas.search.executors import Job, RayExecutor\n"
            "class Mine:\n"
            "    def evaluate(self, architecture, seed):\n"
            "        return Evaluation({'mine': {'miou': len(architecture.blocks)}})\n"
            "if __name__ == '__main__':\n"
            f"    with RayExecutor(Mine(), address={ray!r}) as executor:\n"
            f"        executor.submit(Job(0, {BASE_TEXT!r}, 0))\n"
            "        print(executor.wait().evaluation.tasks)\n"
        )
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=300)
        assert done.stdout == "{'mine': {'miou': 16.0}}\n"
