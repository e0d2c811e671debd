"""How far can a search's evaluators be trusted? They judge networks that are trained for longer, too.

Half of the networks are drawn uniformly from those within the limits, half from those that cost about as much as the
limits allow (:data:`BAND`): among networks that cost the same, no evaluator can live on costs. The reference is a
longer training, from other seeds than the search's, of some networks from two, so that the check knows what chance
makes of a ranking. All trainings are kept in the bank: a check that was ended goes on, and a search finds them there.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from ednas.arch import Architecture
from ednas.config import StrictModel
from ednas.exceptions import ConfigError, StudyError
from ednas.files import exclusive, write_json
from ednas.hw.quantities import QUANTITIES
from ednas.metrics import TaskValues, scored_metrics
from ednas.plugins import load_plugins
from ednas.runs import RunFolder
from ednas.search.beginning import Begun, begin, begin_finalists, find_start
from ednas.search.evaluators.base import SMALLEST, Evaluation, Evaluator
from ednas.search.evaluators.setting import Setting
from ednas.search.evaluators.stack import PredictorEvaluator, features_of, fit_results
from ednas.search.evaluators.supernet import SupernetOptions, make_supernet
from ednas.search.evaluators.zero_cost import TASK, ZeroCostEvaluator
from ednas.search.judging import judge_all, make_setting, make_trainer
from ednas.search.objective import lowest
from ednas.search.predictor import MIN_ANCHORS
from ednas.search.progress import SearchCallback
from ednas.search.sampling import Candidate, draw
from ednas.search.verdict import Row, Scores, judge, measure_reference
from ednas.seeding import derive_seed

if TYPE_CHECKING:
    from ednas.search.config import SearchConfig

BAND = 0.1
"""How far a network of the band may be from the limits, as a share of them."""

FEW = 32
"""With fewer networks, the intervals are too wide to tell much."""

FOLDS = 8
"""Into how many parts the networks are divided, each predicted from the others."""

BY_LOSS = "--reward-by training_loss"
"""The option by which a search judges by training losses."""

_log = logging.getLogger(__name__)


class CheckOptions(StrictModel):
    """What a check compares.

    Attributes:
        networks: How many networks are judged.
        doubles: How many of them the reference trains from two seeds.
        longer: How many times longer the reference trains than the search does.
        supernet: How the supernet is trained; None = none is.
    """

    networks: int = Field(default=FEW, ge=MIN_ANCHORS)
    doubles: int = Field(default=8, ge=2)
    longer: float = Field(default=4.0, ge=4.0)
    supernet: SupernetOptions | None = SupernetOptions()


@dataclass(frozen=True)
class Judged:
    """A network of a check.

    Attributes:
        architecture: Its text form.
        log_accuracy: Logarithm of its accuracy by the reference, mean over seeds.
        in_band: Whether it costs about as much as the limits allow.
    """

    architecture: str
    log_accuracy: float
    in_band: bool


@dataclass(frozen=True)
class Floor:
    """How many networks are better than none: than the mean training label of each pixel.

    Attributes:
        task: The task.
        metric: One of those that make its accuracy.
        trivial: What the mean label scores.
        short: Share of the networks that are better after the search's training.
        reference: Share of those that are better after the reference's.
    """

    task: str
    metric: str
    trivial: float
    short: float
    reference: float


@dataclass(frozen=True)
class Check:
    """What came of a check.

    Attributes:
        rows: The evaluators, the best first, then costs and chance.
        judged: The networks that were judged.
        doubles: How many the reference trained from two seeds.
        steps: Steps of the search's trainings.
        reference_steps: Steps of the reference's.
        reliability: Share of the reference's variance that is the networks' own.
        noise: Standard deviation of the logarithm of the accuracy between seeds.
        reference_seconds: Processor seconds of a training of the reference.
        floors: By task and metric, how many networks are better than no network at all.
    """

    rows: Sequence[Row]
    judged: Sequence[Judged]
    doubles: int
    steps: int
    reference_steps: int
    reliability: float
    noise: float
    reference_seconds: float
    floors: Sequence[Floor]

    @property
    def networks(self) -> int:
        """How many networks were judged."""
        return len(self.judged)

    @property
    def in_band(self) -> int:
        """How many of them are in the band of costs."""
        return sum(own.in_band for own in self.judged)

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``check.json``."""
        lists = {
            "rows": [row.to_json() for row in self.rows],
            "judged": [asdict(own) for own in self.judged],
            "floors": [asdict(own) for own in self.floors],
        }
        return {name: lists.get(name, getattr(self, name)) for name in self.__dataclass_fields__}


def check_evaluators(
    config: SearchConfig,
    out: Path | str,
    options: CheckOptions | None = None,
    *,
    networks: Sequence[Architecture] = (),
    callbacks: Sequence[SearchCallback] = (),
    decode_progress: Callable[[int, int], None] | None = None,
) -> Check:
    """Check the evaluators that a search could use, and write ``check.json`` into a folder.

    Args:
        config: The search; its recipe is that of the proxy and of the anchors.
        out: The folder: trainings are in its bank, unless the configuration names another.
        options: What is compared.
        networks: Which networks to judge; none = those that :func:`choose_networks` draws.
        callbacks: Told how far it is.
        decode_progress: Called with samples done and in all while the dataset is decoded.

    Raises:
        ConfigError: The configuration is wrong, or the space has too few networks within the limits.
        ArchitectureError: One of the networks is not in the space.
        StudyError: Too few networks could be trained; or a bank is damaged.
        EdnasError: Data, device or architecture are wrong, or the folder cannot be written.
    """
    config, options, folder = config.standalone(), options or CheckOptions(), RunFolder(out)
    if folder.is_training or folder.is_search:
        raise ConfigError(f"{out}: holds a run; choose another folder for a check")
    load_plugins(config.training.plugins)
    with exclusive(folder.path):
        begun = begin(config, None, {}, decode_progress)
        config.save(folder.config)
        if networks:
            chosen = [Candidate(begun.space.encode(own), own, begun.cost(own)) for own in networks]
        else:
            chosen = choose_networks(begun, options.networks, config.training.seed)
        if not networks and len(chosen) < options.networks:
            raise ConfigError(
                f"the space has only {len(chosen)} networks to judge within the limits; raise a limit, widen the space "
                "or lower the number of networks"
            )
        if len(chosen) < FEW:
            _log.warning("with %d networks the intervals are wide; take %d or more", len(chosen), FEW)
        final = begin_finalists(config, begun, decode_progress)
        check = _Checker(config, begun, final, folder, options, callbacks).run(chosen)
    write_json(folder.check, check.to_json())
    return check


def choose_networks(begun: Begun, count: int, seed: int) -> list[Candidate]:
    """Return networks within the limits and in the band in turns, the base first where it is one of them.

    Args:
        begun: The search.
        count: How many.
        seed: Of the draws.
    """
    limits = begun.objective.limits

    def is_within(cost: Mapping[str, float]) -> bool:
        return all(cost[name] <= limit for name, limit in limits.items())

    start = find_start(begun.space, begun.cost, begun.objective)
    if not limits:
        return draw(begun.space, begun.cost, is_within, count, start, derive_seed(seed, "check"))
    far = partial(_distance, limits=limits)
    near, cost = lowest(begun.space, begun.cost, far, start, enough=BAND)
    found: list[list[Candidate]] = [[], []]
    if far(cost) <= BAND:
        found[0] = [Candidate(near, begun.space.decode(near), cost)]
        found[0] += draw(begun.space, begun.cost, lambda c: far(c) <= BAND, count, near, derive_seed(seed, "band"))
    found[1] = draw(begun.space, begun.cost, is_within, count, start, derive_seed(seed, "check"))
    mixed = [own[place] for place in range(count) for own in found if place < len(own)]
    return list({candidate.genes: candidate for candidate in mixed}.values())[:count]


class _Checker:
    """Trains, judges and compares."""

    def __init__(
        self,
        config: SearchConfig,
        begun: Begun,
        final: Begun,
        folder: RunFolder,
        options: CheckOptions,
        callbacks: Sequence[SearchCallback],
    ) -> None:
        recipe = config.training.recipe
        self._config = config.with_recipe(evaluate_every=max(1, recipe.steps // 4))
        self._longer = config.model_copy(update={"finalists_longer": options.longer}).for_finalists()
        self._begun = begun
        self._final = final
        self._folder = folder
        self._options = options
        self._callbacks = callbacks

    def run(self, candidates: Sequence[Candidate]) -> Check:
        """Check the evaluators on networks."""
        texts = [candidate.architecture.to_text() for candidate in candidates]
        seed = self._config.training.seed
        proxy = self._train(self._config, self._begun, texts, seed, "training by the proxy")
        reference = partial(self._train, self._longer, self._final)
        first = reference(texts, seed + 1, "training the reference")
        second = reference(texts[: self._options.doubles], seed + 2, "training the reference from another seed")
        sound = [c for c, text in zip(candidates, texts, strict=True) if text in proxy and text in first]
        if len(sound) < MIN_ANCHORS:
            raise StudyError(f"only {len(sound)} networks could be trained, {MIN_ANCHORS} are needed; see the warnings")
        texts = [candidate.architecture.to_text() for candidate in sound]
        trainings = [[run[text] for run in (first, second) if text in run] for text in texts]
        limits = self._begun.objective.limits
        truth = measure_reference(
            [[self._log_accuracy(one) for one in own] for own in trainings],
            {
                task: [float(np.mean([self._log_accuracy(one, task) for one in own])) for own in trainings]
                for task in trainings[0][0].tasks
            },
            [not limits or _distance(candidate.cost, limits) <= BAND for candidate in sound],
        )
        scores = [*self._scores(sound, [proxy[text] for text in texts]), *_costs(sound, seed)]
        return Check(
            judge(scores, truth),
            [
                Judged(text, accuracy, in_band)
                for text, accuracy, in_band in zip(texts, truth.accuracy.tolist(), truth.in_band.tolist(), strict=True)
            ],
            sum(len(own) > 1 for own in trainings),
            self._config.training.recipe.steps,
            self._longer.training.recipe.steps,
            truth.reliability,
            truth.noise,
            _mean_seconds([first[text] for text in texts]),
            list(self._floors([proxy[text] for text in texts], [first[text] for text in texts])),
        )

    def _floors(self, short: Sequence[Evaluation], reference: Sequence[Evaluation]) -> Iterator[Floor]:
        """Yield how many networks are better than the mean label, on the data that each training is measured on."""
        trivial = self._trivial(self._begun)
        final = trivial if self._final is self._begun else self._trivial(self._final)
        for task, values in trivial.items():
            for metric in scored_metrics(values):
                yield Floor(
                    task,
                    metric,
                    values[metric],
                    _share_above(short, task, metric, values[metric]),
                    _share_above(reference, task, metric, final[task][metric]),
                )

    def _trivial(self, begun: Begun) -> TaskValues:
        from ednas.training.trivial import measure_trivial

        protocol = self._config.training.protocol
        found: TaskValues = measure_trivial(begun.model.tasks, begun.train, begun.held_out, protocol)["tasks"]
        return found

    def _train(
        self, config: SearchConfig, begun: Begun, texts: Sequence[str], seed: int, what: str
    ) -> dict[str, Evaluation]:
        trainer = make_trainer(config, begun, self._folder)
        return judge_all(trainer, texts, seed, what, self._callbacks)

    def _scores(self, candidates: Sequence[Candidate], proxy: Sequence[Evaluation]) -> Iterator[Scores]:
        """Yield what each evaluator says of the networks."""
        from ednas.training.supernet.file import TrainedSupernet

        texts = [candidate.architecture.to_text() for candidate in candidates]
        training = _mean_seconds(proxy)
        yield from self._proxies(proxy, training)
        setting = make_setting(self._config, self._begun, self._folder, self._callbacks)
        zero_cost = _Opinion.by("zero-cost", ZeroCostEvaluator(setting.training, setting.device), setting, texts)
        for metric, title in (("grad_norm", "gradient norm"), ("naswot", "NASWOT")):
            values = np.array([found.tasks[TASK][metric] for found in zero_cost.evaluations])
            options = f"--evaluator zero_cost --evaluator-option 'scores=[{metric}]'"
            yield Scores(title, values, seconds=zero_cost.seconds, options=options)
        anchors = len(texts) * training
        learned = f"--evaluator-option anchors={len(texts)}"
        options = f"--evaluator predictor {learned}"
        yield from self._predicted("predictor", candidates, proxy, [zero_cost], anchors, options)
        if self._options.supernet is None:
            return
        evaluator = make_supernet(setting, self._options.supernet)
        supernet = _Opinion.by("supernet", evaluator, setting, texts)
        trained = TrainedSupernet.load(evaluator.folder)
        once, title = trained.notes.cpu_seconds, f"supernet, {self._options.supernet.steps} steps"
        folder = evaluator.folder
        options = f"--evaluator supernet --evaluator-option folder={folder}"
        yield self._by_accuracy(title, supernet.evaluations, supernet.seconds, once, options)
        options = f"--evaluator stack {learned} --evaluator-option 'supernet={{folder: {folder}}}'"
        yield from self._predicted("stack", candidates, proxy, [zero_cost, supernet], once + anchors, options)

    def _proxies(self, proxy: Sequence[Evaluation], seconds: float) -> Iterator[Scores]:
        """Yield the short training, what it said on the way, and the sum of its losses."""
        steps = self._config.training.recipe.steps
        yield self._by_accuracy(f"proxy, {steps} steps", proxy, seconds, options="--evaluator proxy")
        on_the_way = [{point.step: point.metrics for point in one.curve if point.metrics} for one in proxy]
        for step in sorted(set.intersection(*map(set, on_the_way))):
            seen = [
                Evaluation(points[step], one.higher_is_better) for points, one in zip(on_the_way, proxy, strict=True)
            ]
            yield self._by_accuracy(f"proxy, its first {step} steps", seen, seconds * step / steps)
        title, options = f"proxy, training loss of the last {steps // 2} steps", f"--evaluator proxy {BY_LOSS}"
        yield _by_losses(title, proxy, seconds, options=options)

    def _predicted(
        self,
        name: str,
        candidates: Sequence[Candidate],
        anchors: Sequence[Evaluation],
        judged: Sequence[_Opinion],
        once: float,
        options: str,
    ) -> Iterator[Scores]:
        """Yield what a predictor says of each network that learned from the others: by metrics, by training losses."""
        rows = [
            features_of(candidate.architecture, candidate.cost, {own.name: own.evaluations[i] for own in judged})
            for i, candidate in enumerate(candidates)
        ]
        names = sorted({feature for row in rows for feature in row})
        genes = [candidate.genes for candidate in candidates]
        order = np.random.default_rng(self._config.training.seed).permutation(len(rows)).tolist()
        found: dict[int, Evaluation] = {}
        for part in np.array_split(order, min(FOLDS, len(rows))):
            rest = sorted(set(order) - set(part.tolist()))
            learned = fit_results([rows[i] for i in rest], [genes[i] for i in rest], [anchors[i] for i in rest], names)
            predictor = PredictorEvaluator(
                self._begun.space, self._begun.cost, {}, names, learned, anchors[0].higher_is_better
            )
            own = part.tolist()
            found |= zip(own, predictor.predict([rows[i] for i in own], [genes[i] for i in own]), strict=True)
        seconds = sum(own.seconds for own in judged)
        evaluations = [found[i] for i in range(len(rows))]
        yield self._by_accuracy(name, evaluations, seconds, once, options)
        yield _by_losses(f"{name}, by training loss", evaluations, seconds, once, f"{options} {BY_LOSS}")

    def _by_accuracy(
        self, name: str, evaluations: Sequence[Evaluation], seconds: float, once: float = 0.0, options: str = ""
    ) -> Scores:
        """Return the accuracies that an evaluator measured or predicted."""
        tasks = {
            task: np.array([self._log_accuracy(one, task) for one in evaluations]) for task in evaluations[0].tasks
        }
        values = np.array([self._log_accuracy(one) for one in evaluations])
        return Scores(name, values, tasks, seconds, once, options=options)

    def _log_accuracy(self, evaluation: Evaluation, task: str | None = None) -> float:
        """Return the logarithm of the accuracy (Eq. 6), of all tasks or of one."""
        tasks = evaluation.tasks if task is None else {task: evaluation.tasks[task]}
        return math.log(max(self._begun.objective.accuracy(replace(evaluation, tasks=tasks)), SMALLEST))


@dataclass(frozen=True)
class _Opinion:
    """What an evaluator said of all networks, and the processor seconds that one took."""

    name: str
    evaluations: Sequence[Evaluation]
    seconds: float

    @classmethod
    def by(cls, name: str, evaluator: Evaluator, setting: Setting, texts: Sequence[str]) -> _Opinion:
        """Have networks judged.

        Raises:
            StudyError: One could not be.
        """
        found = setting.judge(evaluator, texts, f"judging by {name}")
        if missing := [text for text in texts if text not in found]:
            raise StudyError(f"{name}: could not judge {missing[0]}; see the warnings")
        evaluations = [found[text] for text in texts]
        return cls(name, evaluations, _mean_seconds(evaluations))


def _by_losses(
    name: str, evaluations: Sequence[Evaluation], seconds: float, once: float = 0.0, options: str = ""
) -> Scores:
    """Return what the training losses say that an evaluator measured or predicted."""
    late = [one.late_losses() for one in evaluations]
    tasks = {task: -np.array([losses[task] for losses in late]) for task in late[0]}
    return Scores(name, np.mean(list(tasks.values()), axis=0), tasks, seconds, once, options=options)


def _costs(candidates: Sequence[Candidate], seed: int) -> Iterator[Scores]:
    """Yield what any evaluator should be better than: costs, of which more is better, and chance."""
    for name in ("macs", "params", "latency_ms"):
        if all(name in candidate.cost for candidate in candidates):
            values = np.array([candidate.cost[name] for candidate in candidates])
            yield Scores(QUANTITIES[name].title, values, seconds=0.0, is_cost=True)
    chance = np.random.default_rng(derive_seed(seed, "chance")).permutation(len(candidates)).astype(np.float64)
    yield Scores("chance", chance, seconds=0.0, is_cost=True)


def _distance(cost: Mapping[str, float], limits: Mapping[str, float]) -> float:
    """Return how far the cost that is nearest to its limit, or furthest above it, is from that, as a share of it."""
    return abs(max(cost[name] / limit for name, limit in limits.items()) - 1)


def _share_above(evaluations: Sequence[Evaluation], task: str, metric: str, trivial: float) -> float:
    """Return the share of networks whose metric is better than what is trivial."""
    sign = 1 if evaluations[0].higher_is_better.get(metric) else -1
    return float(np.mean([sign * own.tasks[task][metric] > sign * trivial for own in evaluations]))


def _mean_seconds(evaluations: Sequence[Evaluation]) -> float:
    return float(np.mean([evaluation.cpu_seconds for evaluation in evaluations]))
