"""Gathering a report's content from a run folder, also from one whose search is still running.

What is read, all of it optional:

- ``study.db``: the trials and the search's identity (:class:`ednas.search.StudyReader`);
- ``best.json``: the chosen architecture and the target latency; without it the best trial so far is shown;
- ``config.yaml``: the configuration; shown as it is, and read for the device, the tasks and the number of trials;
- ``noise.json``: how much of the difference between candidates is chance;
- ``trivial.json``: what the mean training label of each pixel scores, without a network;
- ``comparison.json``: models against a baseline (:mod:`ednas.report.comparison`);
- ``predictions/``: pictures (:mod:`ednas.report.pictures`).

The block table counts parameters and MACs where the input size is known. For the heads' part it needs their channels:
``heads`` (a mapping of tasks to channels) in ``best.json``, in the identity or in the configuration. With these, and a
simulated device, the chosen architecture's cost is given layer by layer; else it is what its trial recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ednas.arch import Architecture, load_architecture
from ednas.config import parse
from ednas.exceptions import EdnasError, StudyError, TargetError
from ednas.files import read_json
from ednas.hw import Cost, Target, load_target, simulate
from ednas.metrics import load_metrics
from ednas.report.blocks import block_rows
from ednas.report.comparison import load_comparison
from ednas.report.content import BestModel, ComparisonTable, Gain, ReportData, choice_shares, select_winners
from ednas.report.pictures import INDEX, load_pictures
from ednas.runs import RunFolder
from ednas.search import results
from ednas.search.config import SearchConfig, config_of_run
from ednas.search.evaluators.setting import PROXY
from ednas.search.objective import METRICS
from ednas.search.quantities import ACCURACY, BASELINE
from ednas.search.study import StudyReader
from ednas.search.trial import Judgement, Trial, TrialState

_TOLERANCE = 1e-3
"""Relative difference of latencies that are taken to be the same."""


class Resolved(BaseModel):
    """What a search settled when it began, and its study keeps beside the configuration.

    Attributes:
        target_latency_ms: The target latency as a number, milliseconds.
        limits: The other limits as numbers, by quantity.
        baseline: What the base network costs on the device.
        heads: Output channels by task.
        input_size: ``(height, width)`` on the device.
        target_definition: The device as the search used it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    target_latency_ms: FiniteFloat | None = None
    limits: dict[str, FiniteFloat] = Field(default_factory=dict)
    baseline: dict[str, FiniteFloat] = Field(default_factory=dict)
    heads: dict[str, int] = Field(default_factory=dict)
    input_size: tuple[int, int] | None = None
    target_definition: dict[str, Any] = Field(default_factory=dict, alias="target definition")

    @property
    def all_limits(self) -> dict[str, float]:
        """The target latency, if there is one, and the other limits."""
        return self.limits | ({} if self.target_latency_ms is None else {"latency_ms": self.target_latency_ms})


@dataclass(frozen=True)
class Setting:
    """What was searched, as far as it is known.

    Attributes:
        base: The space's base architecture.
        target: Name of the device.
        device: The device as the search used it; None where it is not known or not simulated.
        target_ms: The target latency, milliseconds.
        limits: What the search limited, by quantity; the target latency too.
        objectives: What the search draws its Pareto set over.
        prune_factor: Candidates above this multiple of a limit were not trained; None = all were, or it is not known.
        baseline_ms: Latency of the base network on the device, milliseconds.
        planned: How many candidates are to be trained.
        tasks: Names of the tasks.
        heads: Output channels by task; empty where unknown.
        input_size: ``(height, width)`` on the device.
    """

    base: Architecture
    target: str
    device: Target | None
    target_ms: float | None
    limits: Mapping[str, float]
    objectives: tuple[str, ...]
    prune_factor: float | None
    baseline_ms: float | None
    planned: int | None
    tasks: tuple[str, ...]
    heads: Mapping[str, int]
    input_size: tuple[int, int] | None


def collect(run_folder: Path | str) -> ReportData:
    """Return what a run folder has to tell; see the module's description for the files.

    Raises:
        StudyError: The folder does not exist or holds none of the files, or the study is damaged.
        EdnasError: One of the files is damaged; the message names it.
    """
    run = RunFolder(run_folder)
    known = (run.study, run.best, run.config, run.comparison)
    if not any(file.exists() for file in known):
        names = ", ".join(file.name for file in known)
        raise StudyError(f"{run.path}: no run to report on (none of {names} is there)")
    identity, trials, judgements = _read_study(run.study)
    config = config_of_run(run, identity)
    best = _read_best(run.best)
    setting = _read_setting(config, parse(Resolved, identity, str(run.study), StudyError), best)
    comparison = load_comparison(run.comparison) if run.comparison.is_file() else None
    objectives = _known_objectives(setting, trials)
    judged_base = results.find_trial(trials, setting.base)
    winners = select_winners(trials)
    has_trivial = run.trivial.is_file()
    has_pictures = (run.predictions / INDEX).is_file()
    return ReportData(
        title=f"{'Search in' if trials else 'Report on'} {run.path.resolve().name}",
        created=datetime.now().astimezone(),
        config=next((file.read_text(encoding="utf-8") for file in (run.config, run.methods) if file.is_file()), ""),
        target=setting.target,
        baseline_latency_ms=_baseline_latency(setting, judged_base, comparison),
        baseline_accuracy=None if judged_base is None else judged_base.accuracy,
        gain=_gain(best, trials, judgements, identity, setting.base),
        baseline_trial=None if judged_base is None else judged_base.number,
        judgements=judgements,
        pruned_by=_pruned_by(trials, setting),
        next_command=results.next_command(run.path, config) if best and config else "",
        target_latency_ms=setting.target_ms,
        planned_trials=setting.planned,
        trials=trials,
        signal_ratio=_number(read_json(run.noise, StudyError).get("ratio")) if run.noise.is_file() else None,
        trivial=load_metrics(run.trivial).tasks if has_trivial else {},
        trivial_accuracy=_number(read_json(run.trivial, StudyError).get("accuracy")) if has_trivial else None,
        judged_by=_judged_by(config),
        judged_alike=results.judged_alike(identity),
        objectives=objectives,
        pareto=tuple(trial.number for trial in results.pareto(trials, objectives)),
        choices=choice_shares(winners, trials, setting.base),
        stage_depths=tuple(map(len, setting.base.stages())),
        winners=len(winners),
        best=_describe_best(best, trials, setting),
        comparison=comparison,
        pictures=load_pictures(run.predictions) if has_pictures else (),
    )


def _judged_by(config: SearchConfig | None) -> str:
    """Say how candidates' accuracies were found."""
    name = PROXY if config is None else config.evaluator.name
    if config is not None and config.reward.by != METRICS:
        return (
            "Candidates are compared by their training losses in its place: it is the reciprocal of the geometric mean "
            "of the tasks' losses over the last half of a short training"
            f"{'' if name == PROXY else ', as they are predicted from those of other networks'}."
        )
    held_out = "on a part of the training split that no candidate learns from"
    return {
        PROXY: f"It is measured {held_out}, after a short training.",
        "supernet": f"It is measured {held_out}, with the weights that a supernet has for a candidate.",
        "predictor": "It is predicted from the short trainings of other networks.",
        "stack": "It is predicted from the short trainings of other networks, and what a supernet says.",
    }.get(name, f"It is what the evaluator {name} says.")


def _read_study(path: Path) -> tuple[dict[str, Any], tuple[Trial, ...], dict[int, Judgement]]:
    if not path.is_file():
        return {}, (), {}
    with StudyReader(path) as study:
        return study.identity, tuple(study.trials()), study.judgements()


def _gain(
    best: Mapping[str, Any],
    trials: Sequence[Trial],
    judgements: Mapping[int, Judgement],
    identity: Mapping[str, Any],
    base: Architecture,
) -> Gain | None:
    """Compare the best trial with the base network, where both were judged again by that, else by the first time."""
    again = results.judged_again(trials, judgements, identity)
    for seeds, judged in ((2 if results.judged_alike(identity) else 1, again), (1, trials)):
        found = next((trial for trial in judged if trial.number == best.get("trial")), None)
        reference = results.find_trial(judged, base)
        if found is not None and found.accuracy is not None and reference is not None and reference.accuracy:
            return Gain(100 * (found.accuracy / reference.accuracy - 1), seeds)
    return None


def _pruned_by(trials: Sequence[Trial], setting: Setting) -> dict[str, int]:
    """Count the pruned trials that are above what each limit allows; one may be above several."""
    pruned = [trial.cost for trial in trials if trial.state is TrialState.PRUNED]
    allowed = {name: limit * (setting.prune_factor or 1.0) for name, limit in setting.limits.items()}
    counts = {name: sum(cost.get(name, 0.0) > most for cost in pruned) for name, most in allowed.items()}
    return {name: count for name, count in counts.items() if count}


def _read_best(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = read_json(path, StudyError)
    if not isinstance(value, dict) or "architecture" not in value:
        raise StudyError(f"{path}: holds no 'architecture'; let the search write it again")
    return value


def _read_setting(config: SearchConfig | None, ran: Resolved, best: Mapping[str, Any]) -> Setting:
    """Gather the setting: what ran, and where that is unknown, what was asked for.

    Raises:
        ArchitectureError: The base architecture cannot be found or is damaged.
    """
    target_ms = _number(best.get("target_ms")) or ran.target_latency_ms
    asked = {} if config is None else config.all_limits()
    if target_ms is None:
        target_ms = _number(asked.get("latency_ms"))
    limits = {name: number for name, limit in asked.items() if (number := _number(limit)) is not None}
    limits |= ran.limits | ({} if target_ms is None else {"latency_ms": target_ms})
    baseline_ms = ran.baseline.get("latency_ms")
    if baseline_ms is None and asked.get("latency_ms") == BASELINE:
        baseline_ms = target_ms
    named = "" if config is None else config.target
    objectives = best.get("objectives") or (config.all_objectives() if config else (ACCURACY, *limits))
    sizes = (ran.input_size, config and config.latency_input_size, config and config.training.recipe.input_size)
    heads = best["heads"] if isinstance(best.get("heads"), Mapping) else ran.heads
    return Setting(
        base=load_architecture("base") if config is None else config.training.load_architecture(),
        target=ran.target_definition.get("name") or named,
        device=_device(ran.target_definition, named),
        target_ms=target_ms,
        limits=limits,
        objectives=tuple(objectives),
        prune_factor=None if config is None else config.prune_factor,
        baseline_ms=baseline_ms,
        planned=None if config is None else config.trials,
        tasks=() if config is None else config.training.tasks,
        heads={str(task): int(_number(count) or 1) for task, count in heads.items()},
        input_size=next((size for size in sizes if size), None),
    )


def _describe_best(best: Mapping[str, Any], trials: Sequence[Trial], setting: Setting) -> BestModel | None:
    """Return the architecture of ``best.json``, else that of the best trial so far, with its block table."""
    number, cost = best.get("trial"), best.get("cost")
    if best:
        architecture = load_architecture(best["architecture"])
    else:
        known = {name: limit for name, limit in setting.limits.items() if all(name in trial.cost for trial in trials)}
        leader = results.best(trials, known)
        if leader is None:
            return None
        architecture = Architecture.from_text(leader.architecture, name=f"trial_{leader.number}")
        number, cost = leader.number, leader.cost
    tasks = (
        tuple(setting.heads) or setting.tasks or next((tuple(trial.metrics) for trial in trials if trial.metrics), ())
    )
    params, macs = _number(_get(cost, "params")), _number(_get(cost, "macs"))
    described = BestModel(
        architecture=architecture,
        rows=block_rows(architecture),
        tasks=tasks,
        number=number if isinstance(number, int) else None,
        params=None if params is None else round(params),
        macs=None if macs is None else round(macs),
    )
    size = architecture.input_size or setting.input_size
    if size is not None:
        described = _with_counts(described, setting.heads, size)
    return _with_cost(described, setting, cost if isinstance(cost, Mapping) else {})


def _with_counts(best: BestModel, heads: Mapping[str, int], size: tuple[int, int]) -> BestModel:
    """Add parameters and MACs; without the heads' channels, those of stem, blocks and neck."""
    from ednas.hw import summarise

    try:
        summary = summarise(best.architecture, heads or {"unknown": 1}, size)
    except EdnasError:  # a backbone or decoder of the user's own, whose code a report does not run
        return replace(best, input_size=size)
    rows = block_rows(best.architecture, summary)
    return replace(
        best,
        rows=rows if heads else rows[: len(best.rows)],
        params=summary.params if heads else best.params,
        params_backbone=summary.params_backbone,
        macs=summary.macs if heads else best.macs,
        input_size=summary.input,
    )


def _with_cost(best: BestModel, setting: Setting, recorded: Mapping[str, Any]) -> BestModel:
    """Add the cost: simulated, with its layers, where all is known that it takes; else what the trial recorded."""
    latency_ms = _number(recorded.get("latency_ms"))
    if setting.device and setting.heads and best.input_size:
        from ednas.hw.graph.trace import trace_network

        try:
            cost = simulate(trace_network(best.architecture, setting.heads, best.input_size), setting.device)
        except EdnasError:  # a device that has changed since must not cost the user the report
            pass
        else:
            if latency_ms is not None and not math.isclose(latency_ms, cost.latency_ms, rel_tol=_TOLERANCE):
                note = f"the search recorded {latency_ms:.3g} ms, with another version of the cost model or the device"
                cost = replace(cost, notes=(*cost.notes, note))
            return replace(best, cost=cost, target=setting.device)
    if latency_ms is None:
        return best
    totals = Cost(
        setting.target or "the device",
        latency_ms,
        energy_mj=_number(recorded.get("energy_mj")),
        area_mm2=_number(recorded.get("area_mm2")),
        peak_memory_kb=_number(recorded.get("peak_memory_kb")),
    )
    return replace(best, cost=totals)


def _device(definition: Mapping[str, Any], name: str) -> Target | None:
    """Return the device as the search stored it, else by its name; None if it is not a simulated one, or is damaged."""
    try:
        if definition:
            return parse(Target, definition, "target definition", TargetError)
        return load_target(name) if name else None
    except TargetError:
        return None


def _known_objectives(setting: Setting, trials: Sequence[Trial]) -> tuple[str, ...]:
    """Return the objectives that every trial has a value of."""
    scored = [trial for trial in trials if trial.scored]
    return tuple(name for name in setting.objectives if name == ACCURACY or all(name in trial.cost for trial in scored))


def _baseline_latency(setting: Setting, judged: Trial | None, comparison: ComparisonTable | None) -> float | None:
    if judged is not None:
        return judged.latency_ms
    if setting.baseline_ms is not None or comparison is None:
        return setting.baseline_ms
    return next((model.latency_ms for model in comparison.models if model.name == comparison.baseline), None)


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
