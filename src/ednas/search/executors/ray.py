"""Evaluation on the machines of a Ray cluster, or on this one through Ray.

This process alone proposes and stores. A job goes out as one Ray task, which holds the job's processors and GPUs: a
trial's number, the text of an architecture and a seed, with the evaluator, which every machine gets once. Floats come
back. The task starts a fresh process by :class:`~ednas.search.executors.process.ProcessExecutor` and watches it, so
that memory ends with its trial, deaths and time limits are told apart as on one machine, and a trial starts in
milliseconds: a Ray worker of its own would import PyTorch anew each time.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ednas.closing import Closing
from ednas.exceptions import ConfigError, EdnasError
from ednas.files import is_file
from ednas.search.evaluators.base import Evaluator
from ednas.search.executors.base import Job, Outcome, Packed, one_line
from ednas.search.executors.process import ProcessExecutor

REACH_S = 5.0
"""How long the machine of an address has to answer."""

_LOCAL_STORE_BYTES = 100_000_000
"""Object store of a Ray of our own, which holds an evaluator."""

_LOOK_AROUND_S = 30.0

_log = logging.getLogger(__name__)


def check_ray(address: str | None) -> str | None:
    """Find at once what would cost minutes: Ray itself tries an address where nobody answers for two.

    Args:
        address: ``HOST:PORT`` of a cluster's head, ``auto`` for the cluster of this machine, or None for none.

    Returns:
        Where the cluster's head is, as Ray itself writes it; None where none is asked for.

    Raises:
        ConfigError: Ray is not installed, or nobody answers at the address.
    """
    try:
        from ray._private.services import canonicalize_bootstrap_address
    except ImportError:
        raise ConfigError("executor 'ray': it is not installed; pip install 'ednas[ray]'") from None
    if address is None:
        return None
    try:
        place: str | None = canonicalize_bootstrap_address(address)
    except (ConnectionError, ValueError):
        place = None
    host, _, port = (place or "").rpartition(":")
    if not port.isdigit():
        raise ConfigError(
            f"ray_address '{address}': no Ray cluster is found; start one with `ray start --head`, write HOST:PORT of "
            "its head, or leave the address out to use this machine alone"
        )
    try:
        socket.create_connection((host, int(port)), REACH_S).close()
    except OSError as error:
        raise ConfigError(
            f"ray_address '{address}': nobody answers at {host}:{port} ({error.strerror or error}); is the cluster's "
            "head running?"
        ) from None
    return place


class RayExecutor(Closing):
    """Evaluates each job in a fresh process on a machine of a Ray cluster.

    A machine whose disk is full or that does not see the data is left out from then on, and its job done elsewhere.
    What was in hand on a machine that is lost comes back as killed.

    Args:
        evaluator: The evaluator; it is pickled, so that its class must be one that every machine can import.
        address: ``HOST:PORT`` of the cluster's head, ``auto`` for the cluster that this machine belongs to; None = a
            Ray of our own on this machine, which ends with the executor. A program that is connected to Ray stays so,
            and gives None or the address of that Ray.
        workers: Jobs at a time; None = as many as the machines have room for when the first job comes.
        threads: Processors that each job holds, and threads that it computes with.
        gpus: GPUs that each job holds: 0.25 lets four share one; whole numbers above 1.
        timeout_s: A job that takes longer fails, without the time that it waits for a machine; None = no limit.
        preload: Modules that the evaluator needs; a machine imports them once for many jobs.

    Raises:
        ConfigError: A number is out of range, or the evaluator cannot be pickled; on first use, that Ray is missing or
            cannot be reached, that the program is connected to another one, or that no machine is large enough for a
            job.
    """

    def __init__(
        self,
        evaluator: Evaluator | Packed,
        *,
        address: str | None = None,
        workers: int | None = None,
        threads: int = 1,
        gpus: float = 0.0,
        timeout_s: float | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        if workers is not None and workers < 1:
            raise ConfigError("executor: workers must be above 0")
        if gpus < 0 or (gpus > 1 and gpus % 1):
            raise ConfigError("executor: gpus must be a part of 1, or a whole number")
        self._start = partial(ProcessExecutor, threads=threads, timeout_s=timeout_s, preload=tuple(preload))
        self._start(evaluator).close()  # refuses what every machine would refuse
        self._packed = Packed.of(evaluator)
        self._address = address
        self._asked_workers = workers
        self._threads = threads
        self._gpus = gpus
        self._workers = 0
        self._task: Any = None
        self._arguments: tuple[Any, ...] = ()
        self._running: dict[Any, Job] = {}
        self._left_out: set[str] = set()
        self._connection = ExitStack()

    @property
    def workers(self) -> int:
        """How many jobs may be in hand at a time."""
        self._connect()
        return self._workers

    def submit(self, job: Job) -> None:
        """Give a job to Ray, which finds it a machine."""
        self._connect()
        options: dict[str, Any] = {"name": f"trial {job.number}"}
        if self._left_out:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._left_out))})"}
        self._running[self._task.options(**options).remote(job, *self._arguments)] = job

    def wait(self) -> Outcome:
        """Wait for a machine to send an outcome, or to be lost."""
        import ray

        while not ray.wait(list(self._running), num_returns=1, timeout=_LOOK_AROUND_S)[0]:
            if not self._machines():
                _log.warning("no machine of the cluster has room for a trial; the search waits for one")
        ended, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        reference = min(ended, key=lambda reference: self._running[reference].number)
        return self._collect(reference, self._running.pop(reference))

    def close(self) -> None:
        """End what still runs, and what was started or connected for this executor."""
        if self._running:
            import ray

            for reference in self._running:
                with suppress(Exception):  # the cluster may be gone
                    ray.cancel(reference, force=True)
            self._running.clear()
        self._task = None
        self._connection.close()

    def _collect(self, reference: Any, job: Job) -> Outcome:
        import ray

        try:
            machine: str
            outcome: Outcome
            machine, outcome = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            # Not even the task could be loaded: there is no ednas, or another one.
            cause = one_line(error.cause) if isinstance(error.cause, Exception) else str(error)
            return Outcome(job.number, error=cause, details=str(error), fault="environment")
        except ray.exceptions.OutOfMemoryError:
            return Outcome(
                job.number, error="Ray ended it: its machine ran out of memory", fault="killed", elsewhere=True
            )
        except ray.exceptions.RayError as error:
            lost = f"its machine or its Ray worker was lost ({type(error).__name__})"
            return Outcome(job.number, error=lost, fault="killed", elsewhere=True)
        return self._without(machine, outcome) if outcome.fault == "environment" else outcome

    def _without(self, machine: str, outcome: Outcome) -> Outcome:
        """Leave a machine out whose disk or data are not in order; say whether there is another one."""
        is_new = machine not in self._left_out
        self._left_out.add(machine)
        others = bool(self._machines())
        if others and is_new:
            _log.warning("%s is left out: %s", self._describe(machine), outcome.error)
        return replace(outcome, error=f"{outcome.error} (on {self._describe(machine)})", elsewhere=others)

    def _connect(self) -> None:
        """Connect to Ray, or start it, once."""
        if self._task is not None:
            return
        place = check_ray(self._address)
        import ray

        with ExitStack() as connection:
            if ray.is_initialized():
                connected = ray.get_runtime_context().gcs_address
                if place not in (None, connected):
                    raise ConfigError(
                        f"executor 'ray': the program is connected to the Ray at {connected}, not to the one at "
                        f"{place}; call ray.shutdown() before, or leave the address out"
                    )
            else:
                connection.enter_context(
                    own_ray(self._asked_workers and self._asked_workers * self._threads)
                    if self._address is None
                    else _cluster(self._address)
                )
            self._workers = self._asked_workers or sum(self._machines().values())
            if not self._machines():
                raise ConfigError(
                    f"executor 'ray': no machine has {self._threads} processors"
                    f"{f' and {self._gpus:g} GPUs' if self._gpus else ''} for a trial; ask for less, or add one"
                )
            # Unlike Ray's default for tasks with GPUs, a Ray worker serves many: what takes memory is not in it.
            remote = ray.remote(max_retries=0, max_calls=0, num_cpus=self._threads, num_gpus=self._gpus)
            self._task = remote(_evaluate)
            self._arguments = (ray.put(self._packed), self._start, _Program.running())
            self._connection = connection.pop_all()

    def _machines(self) -> dict[str, int]:
        """Return how many jobs each machine has room for, by its number; without those that are left out."""
        import ray

        room = {}
        for node in ray.nodes():
            resources = node["Resources"]
            jobs = resources.get("CPU", 0) // self._threads
            if self._gpus:
                jobs = min(jobs, resources.get("GPU", 0) // self._gpus)
            if node["Alive"] and jobs and node["NodeID"] not in self._left_out:
                room[node["NodeID"]] = int(jobs)
        return room

    def _describe(self, machine: str) -> str:
        import ray

        return next((str(node["NodeManagerHostname"]) for node in ray.nodes() if node["NodeID"] == machine), machine)


@dataclass(frozen=True)
class _Program:
    """What a new process knows of the program that searches, as far as it lies at the same place.

    Attributes:
        script: Its main file, which defines what a script defines; None if there is none.
        path: Where modules are looked for.
    """

    script: str | None
    path: tuple[str, ...]

    @classmethod
    def running(cls) -> _Program:
        """Return this one."""
        main = sys.modules["__main__"]
        is_script = main.__spec__ is None and hasattr(main, "__file__")
        script = str(Path(str(main.__file__)).absolute()) if is_script else None
        return cls(script, tuple(str(Path(place).absolute()) for place in sys.path))

    def adopt(self) -> None:
        """Let the processes that this one starts know of the program, instead of Ray's own."""
        main = vars(sys.modules["__main__"])
        if self.script is not None and is_file(self.script):
            main["__file__"] = self.script
        else:
            main.pop("__file__", None)
        sys.path += [place for place in self.path if place not in sys.path]


def _evaluate(
    job: Job, evaluator: Packed, start: Callable[[Packed], ProcessExecutor], program: _Program
) -> tuple[str, Outcome]:
    """Body of a Ray task: do a job in a process of its own; return which machine this is, and the outcome."""
    import ray

    program.adopt()
    try:
        with start(evaluator) as executor:
            executor.submit(job)
            outcome = executor.wait()
    except (EdnasError, OSError) as error:  # without memory or disk no process starts
        outcome = Outcome(job.number, error=one_line(error), fault="environment")
    return ray.get_runtime_context().get_node_id(), outcome


@contextmanager
def own_ray(processors: int | None) -> Iterator[None]:
    """Start Ray on this machine, as large as is asked for or as the machine is; end it and remove its files."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with TemporaryDirectory(prefix="ednas-ray-", ignore_cleanup_errors=True) as folder:
        options = {"object_store_memory": _LOCAL_STORE_BYTES, "include_dashboard": False, "_temp_dir": folder}
        with _cluster("local", num_cpus=processors, **options):
            yield


@contextmanager
def _cluster(address: str, **options: Any) -> Iterator[None]:
    """Connect to a cluster."""
    import ray

    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
    except (ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ConfigError(
            f"executor 'ray': cannot connect to {address} ({one_line(error)}); where the cluster asks for a token, set "
            "RAY_AUTH_MODE=token, and search on one of its machines"
        ) from error
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)  # Ray puts its own in place
    try:
        yield
    finally:
        ray.shutdown()
