"""What a search settles before its first candidate: the space, the costs, what is searched for, the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ednas.arch import Architecture, SearchSpace
from ednas.arch.space import Genes
from ednas.exceptions import ArchitectureError, ConfigError, StudyError
from ednas.scoring import violation
from ednas.search.evaluators.base import Evaluator
from ednas.search.objective import CostModel, Objective, RememberedCost, check_feasible, lowest
from ednas.search.quantities import ACCURACY, resolve
from ednas.search.sampling import draw_varied
from ednas.search.study import StudyReader
from ednas.seeding import derive_seed

if TYPE_CHECKING:
    from ednas.data.cache import CachedSplit
    from ednas.hw.sources import Source
    from ednas.search.config import SearchConfig
    from ednas.search.controllers import Controller
    from ednas.training.config import TrainConfig
    from ednas.training.model import Model

REMEMBERED = 4096
"""Networks whose costs are kept: no candidate is proposed twice, but the base network is asked for often."""


@dataclass(frozen=True)
class DeviceCost:
    """What a candidate costs on a device: a :data:`~ednas.search.objective.CostModel`.

    Attributes:
        source: Where the costs come from: the simulator of a target, a compiler, a device.
        heads: Output channels by task.
        input_size: ``(height, width)`` on the device, where the architecture does not say.
    """

    source: Source
    heads: Mapping[str, int]
    input_size: tuple[int, int]

    def __call__(self, architecture: Architecture) -> dict[str, float]:
        """Return the costs, and the network's counts; what the source does not know is absent.

        Raises:
            TargetError: The device cannot run the network.
        """
        from ednas.hw import counts

        size = architecture.input_size or self.input_size
        cost = self.source.network_cost(architecture, self.heads, size)
        params, macs = counts(architecture, self.heads, size)
        return {**cost.quantities(), "params": params, "macs": macs}


@dataclass(frozen=True)
class Begun:
    """What a search settles before its first candidate.

    Attributes:
        space: What may be proposed.
        cost: What a candidate costs.
        objective: What is searched for, its limits as numbers.
        controller: What proposes.
        initial: Networks that are judged first, as genes.
        heads: Output channels by task.
        input_size: ``(height, width)`` on the device, where an architecture does not say.
        model: The base network, untrained.
        train: What candidates are trained on.
        held_out: What they are judged on.
        identity: What must not change when the search is resumed.
    """

    space: SearchSpace
    cost: CostModel
    objective: Objective
    controller: Controller
    initial: Sequence[Genes]
    heads: Mapping[str, int]
    input_size: tuple[int, int]
    model: Model
    train: CachedSplit
    held_out: CachedSplit
    identity: dict[str, Any]


def begin(
    config: SearchConfig,
    evaluator: Evaluator | None,
    stored: Mapping[str, Any],
    decode_progress: Callable[[int, int], None] | None,
) -> Begun:
    """Settle what can be known before the first candidate; ``stored`` is the identity of a search to be resumed."""
    from ednas.hw.sources import load_source
    from ednas.training import prepare_judgement
    from ednas.training.find_sharing import learned_sharing

    source, base = load_source(config.target), config.training.load_architecture()
    if learned_sharing(config.training) is not None:
        raise ConfigError(
            f"sharing '{base.sharing}' leaves open what is shared, which a search does not learn; take what "
            "`ednas train` finds (find_sharing.json)"
        )
    space = SearchSpace(base, config.space)
    training = config.train_config(base)
    model, train_split, held_out = prepare_judgement(training, decode_progress)
    if evaluator is None:
        _check_weights(config, model)
    elif config.finalists_longer != 1 or config.finalists_input_size is not None:
        key = "finalists_input_size" if config.finalists_longer == 1 else "finalists_longer"
        raise ConfigError(f"{key}: is about the package's own trainings, not an evaluator of your own")
    heads = {name: task.channels for name, task in _final_model(config, training, model).tasks.items()}
    size = config.latency_input_size or config.finalists_input_size or model.input_size
    cost = RememberedCost(DeviceCost(source, heads, size), REMEMBERED)
    # What is measured is never the same twice: a resumed search goes on with the limits that it began with.
    baseline = (source.target is None and stored.get("baseline")) or dict(cost(base))
    objective = _objective(config, baseline)
    if not stored:
        _check_limits(config, space, cost, objective.limits)
    initial = _initial_genes(config, space)
    fingerprint = space.fingerprint()
    # Kept, since a later version of the cost model might have others drawn.
    known = stored.get("varied networks") if stored.get("space fingerprint") == fingerprint else None
    varied = known or _draw_varied(config, source, space, cost, objective)
    identity = {
        **config.identity(),
        "target_latency_ms": objective.limits.get("latency_ms"),
        "limits": {name: objective.limits[name] for name in config.limits},
        # Without what a later version of the cost model tells besides.
        "baseline": {name: cost for name, cost in baseline.items() if name in stored.get("baseline", baseline)},
        "heads": heads,
        "input_size": list(size),
        "target definition": source.definition(),
        "space fingerprint": fingerprint,
        "data digest": train_split.digest,
        "evaluator": _name_evaluator(config, evaluator),
        "judged alike": config.judged_alike,
    }
    if varied:
        identity["varied networks"] = varied
    if stored.get("data digest") == train_split.digest:
        identity["data"] = stored["data"]  # the same images, wherever they are now
    sizes = [len(decision.candidates) for decision in space.decisions]
    seed = config.training.seed
    initial += [space.encode(Architecture.from_text(text)) for text in varied]
    controller = config.controller.make(sizes, seed, objective.limits, initial, objective.objectives)
    if controller.follows_objectives:
        identity["objectives"] = list(objective.objectives)
    return Begun(
        space=space,
        cost=cost,
        objective=objective,
        controller=controller,
        initial=initial,
        heads=heads,
        input_size=size,
        model=model,
        train=train_split,
        held_out=held_out,
        identity=identity,
    )


def begin_finalists(config: SearchConfig, begun: Begun, decode_progress: Callable[[int, int], None] | None) -> Begun:
    """Return what a search has settled with the data as its finalists see them."""
    from ednas.training import prepare_judgement

    if config.finalists_input_size is None:
        return begun
    training = config.for_finalists().train_config(begun.space.base)
    model, train_split, held_out = prepare_judgement(training, decode_progress)
    return replace(begun, model=model, train=train_split, held_out=held_out)


def stored_identity(path: Path) -> dict[str, Any]:
    """Return the identity of the search that is to be resumed; empty if there is none."""
    try:
        with StudyReader(path) as study:
            return study.identity
    except StudyError:  # no search yet, or one whose damage is reported when it is opened for writing
        return {}


def _initial_genes(config: SearchConfig, space: SearchSpace) -> list[Genes]:
    try:
        return [space.encode(architecture) for architecture in config.load_initial()]
    except ArchitectureError as error:
        raise ConfigError(f"initial: {error}; leave that network out, or widen the space") from None


def _draw_varied(
    config: SearchConfig, source: Source, space: SearchSpace, cost: CostModel, objective: Objective
) -> list[str]:
    """Return the networks that are judged after the initial ones, as texts."""
    if not config.varied:
        return []
    if source.target is None:
        raise ConfigError(
            f"varied: to draw networks takes the latencies of thousands, for which {config.target} is too slow; leave "
            "it out, or choose a simulated target"
        )

    def accept(own: Mapping[str, float]) -> bool:
        return not violation(own, objective.limits)

    start = find_start(space, cost, objective)
    drawn = draw_varied(space, cost, accept, config.varied, start, derive_seed(config.training.seed, "varied"))
    return [candidate.architecture.to_text() for candidate in drawn]


def find_start(space: SearchSpace, cost: CostModel, objective: Objective) -> Genes:
    """Return a network that is within the limits: the base, or one that :func:`lowest` finds."""
    try:
        base: Genes | None = space.encode(space.base)
    except ArchitectureError:  # the base need not be in the space
        base = None
    return lowest(space, cost, partial(violation, limits=objective.limits), base)[0]


def _final_model(config: SearchConfig, training: TrainConfig, judged: Model) -> Model:
    """Return a network with the heads that the one that is found will have."""
    from ednas.training import prepare_judgement

    if config.final_tasks is None:
        return judged
    own = {task: options for task, options in training.recipe.task_options.items() if task in config.final_tasks}
    recipe = training.recipe.model_copy(update={"task_options": own, "loss_weights": {}})
    return prepare_judgement(training.model_copy(update={"tasks": config.final_tasks, "recipe": recipe}))[0]


def _name_evaluator(config: SearchConfig, evaluator: Evaluator | None) -> Any:
    """Return what must be the same when the search is resumed."""
    if evaluator is not None:
        return type(evaluator).__qualname__
    return config.evaluator.complete().model_dump(mode="json")


def _objective(config: SearchConfig, baseline: Mapping[str, float]) -> Objective:
    """Return what is searched for, with limits as numbers; ``baseline`` is what the base network costs."""
    limits, objectives = config.all_limits(), config.all_objectives()
    for name in (*limits, *objectives):
        if name not in (ACCURACY, *baseline):
            raise ConfigError(
                f"{'limits' if name in limits else 'objectives'}: {config.target} does not model {name}; leave it out, "
                f"or choose a target that does ({config.target} models {', '.join(baseline)})"
            )
    resolved = {name: resolve(limit, baseline[name]) for name, limit in limits.items()}
    return Objective(resolved, config.reward, config.prune_factor, objectives)


def _check_limits(config: SearchConfig, space: SearchSpace, cost: CostModel, limits: Mapping[str, float]) -> None:
    """Find limits that nothing in the space meets now, not after a night."""
    try:
        start = space.encode(space.base)
    except ArchitectureError:  # the base need not be in the space
        start = None
    check_feasible(space, cost, limits, start, config.target)


def _check_weights(config: SearchConfig, model: Model) -> None:
    """Find a misspelt weight or reference now, not after the first training."""
    metrics = {name: task.metrics(config.training.protocol).higher_is_better for name, task in model.tasks.items()}
    for key, values in (("weights", config.reward.weights), ("reference", config.reward.reference)):
        for task, named in values.items():
            known = metrics.get(task, {})
            for metric in named:
                if metric not in known:
                    have = ", ".join(known) or f"no task '{task}' is searched for"
                    raise ConfigError(f"reward.{key}: '{task}.{metric}' is not measured; there is {have}")
