"""A search from its configuration to its folder: what the command ``ednas search`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ednas.arch import Architecture, SearchSpace
from ednas.exceptions import ArchitectureError, ConfigError
from ednas.search.evaluators.proxy import MODULES, ProxyEvaluator
from ednas.search.executors import Executor, InlineExecutor, ProcessExecutor
from ednas.search.loop import Search
from ednas.search.objective import CostModel, Objective, fastest
from ednas.search.progress import SearchCallback
from ednas.search.results import SearchResult, summarise, write_results
from ednas.search.study import Study
from ednas.search.trial import TrialState
from ednas.tasks import load_plugin

if TYPE_CHECKING:
    from ednas.hw import Target
    from ednas.search.config import SearchConfig
    from ednas.training.model import Model

STUDY, CONFIG = "study.db", "config.yaml"


@dataclass(frozen=True)
class DeviceCost:
    """What a candidate costs on a device, from the simulator: a :data:`~ednas.search.objective.CostModel`.

    Attributes:
        target: The device.
        heads: Output channels by task.
        input_size: ``(height, width)`` on the device, where the architecture does not say.
    """

    target: Target
    heads: Mapping[str, int]
    input_size: tuple[int, int]

    def __call__(self, architecture: Architecture) -> dict[str, float]:
        """Return latency, its parts, and the network's counts.

        Raises:
            TargetError: The device cannot run the network.
        """
        from ednas.hw import estimate, summarise

        size = architecture.input_size or self.input_size
        cost = estimate(architecture, self.heads, size, self.target)
        counts = summarise(architecture, self.heads, size)
        return {
            "latency_ms": cost.latency_ms,
            "accelerator_cycles": cost.accelerator_cycles,
            "host_ms": cost.host_ms,
            "streamed_bytes": cost.streamed_bytes,
            "params": counts.params,
            "macs": counts.macs,
        }


def run_search(
    config: SearchConfig,
    out: Path | str,
    *,
    resume: bool = False,
    callbacks: Sequence[SearchCallback] = (),
    decode_progress: Callable[[int, int], None] | None = None,
) -> SearchResult:
    """Search, and write the run's folder: ``config.yaml``, ``study.db``, ``best.json``, ``pareto.json``.

    Ctrl-C, a crash or a power failure at any moment leaves a folder that can be resumed, and the resumed search
    proposes what the uninterrupted one would have.

    Args:
        config: What to search, for which device, and how.
        out: The run's folder.
        resume: Go on with the search in ``out``, if there is one.
        callbacks: Told how it goes, for example a :class:`~ednas.search.progress.SearchProgress`.
        decode_progress: Told about the decoding of the dataset, with samples done and samples in all.

    Returns:
        The best trial and the Pareto set.

    Raises:
        ConfigError: The configuration is wrong, or no network of the space is as fast as the target latency.
        StudyError: ``out`` holds a search and ``resume`` is false, or another search; or all trials fail.
        EdnasError: Data, device or architecture are wrong, or the folder cannot be written.
    """
    from ednas.hw import load_target
    from ednas.training import prepare

    config, out = config.standalone(), Path(out)
    for plugin in config.plugins:
        load_plugin(plugin)
    target = load_target(config.target)
    base = config.load_architecture()
    space = SearchSpace(base, config.space)
    training = config.train_config(base)
    model, _, _ = prepare(training, decode_progress)
    _check_weights(config, model)
    heads = {name: task.channels for name, task in model.tasks.items()}
    cost = DeviceCost(target, heads, config.latency_input_size or model.input_size)
    target_ms = _target_latency(config, space, cost)
    identity = {
        **config.identity(),
        "target_latency_ms": target_ms,
        "heads": heads,
        "input_size": list(cost.input_size),
        "target definition": target.model_dump(mode="json"),
        "space fingerprint": space.fingerprint(),
    }
    with Study(out / STUDY, identity, resume=resume) as study:
        config.save(out / CONFIG)
        run = Search(
            space=space,
            cost=cost,
            objective=Objective(target_ms, config.reward, config.max_latency_factor),
            study=study,
            controller=config.controller.make([len(d.candidates) for d in space.decisions], config.seed),
            executor=_executor(config, ProxyEvaluator(training, config.device)),
            trials=config.trials,
            seed=config.seed,
            callbacks=tuple(callbacks),
        )
        try:
            run.run()
        finally:
            # Also of what an interrupted search has found so far.
            trials = study.trials()
            if any(trial.state is TrialState.DONE for trial in trials):
                write_results(summarise(trials, target_ms), out)
        return summarise(trials, target_ms)


def _executor(config: SearchConfig, evaluator: ProxyEvaluator) -> Executor:
    if config.executor == "inline":
        return InlineExecutor(evaluator)
    return ProcessExecutor(
        evaluator, workers=config.workers, threads=config.threads, timeout_s=config.timeout_s, preload=MODULES
    )


def _target_latency(config: SearchConfig, space: SearchSpace, cost: CostModel) -> float:
    """Return the target in milliseconds, after a look whether the space can reach it."""
    target_ms = config.target_latency_ms
    if target_ms == "baseline":
        target_ms = cost(space.base)["latency_ms"]
    try:
        start = space.encode(space.base)
    except ArchitectureError:  # the base need not be in the space
        start = None
    _, reached = fastest(space, cost, start, enough_ms=target_ms)
    if reached > target_ms:
        raise ConfigError(
            f"target_latency_ms is {target_ms:.2f}, but the fastest network found in this space takes {reached:.2f} ms "
            f"on {config.target}; raise the target or widen the space"
        )
    return target_ms


def _check_weights(config: SearchConfig, model: Model) -> None:
    """Find a misspelt weight or reference now, not after the first training."""
    metrics = {name: task.metrics(config.protocol).higher_is_better for name, task in model.tasks.items()}
    for key, values in (("weights", config.reward.weights), ("reference", config.reward.reference)):
        for task, named in values.items():
            known = metrics.get(task, {})
            for metric in named:
                if metric not in known:
                    have = ", ".join(known) or f"no task '{task}' is searched for"
                    raise ConfigError(f"reward.{key}: '{task}.{metric}' is not measured; there is {have}")
