"""What a report says, as plain values: the boundary between where the facts come from and how they look.

:func:`ednas.report.collect` fills a :class:`ReportData` from a run folder, :func:`ednas.report.render` turns it into
HTML. A part that is not there yet (a search still runs, nothing was compared) is empty or None, and its section is
left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ednas.arch import Architecture, Block
from ednas.arch.block import block_fields, block_kinds
from ednas.exceptions import ArchitectureError
from ednas.metrics import TaskUnits, TaskValues
from ednas.search.objective import Objective
from ednas.search.trial import Judgement, Trial

if TYPE_CHECKING:
    from ednas.hw import Cost, Target

MIN_WINNERS = 5
WINNER_SHARE = 0.1

_Place = tuple[int, str]
"""Block number and field."""

_Value = tuple[float, str]
"""A number to sort by, and the text to show."""


@dataclass(frozen=True)
class BlockRow:
    """One row of a block table (Table 6 with costs).

    Attributes:
        index: 0 for the stem, from 1 for the blocks, empty for the neck and the heads.
        layer: ``Conv2D``, ``IBN``, ``FusedIBN``, ``BiFPN x4``, ``Head: depth``.
        stride: Stride, or None where it has no single one.
        kernel: Kernel size.
        filters: Output channels.
        expansion: Expansion ratio; None where there is none.
        params: Parameters.
        macs: Multiply-accumulates of one image.
        output: Output ``(height, width, channels)``.
        colour: That of the block's kind, as pictures show it; empty for the others.
    """

    index: str
    layer: str
    stride: int | None = None
    kernel: int | None = None
    filters: int | None = None
    expansion: int | None = None
    params: int | None = None
    macs: int | None = None
    output: tuple[int, int, int] | None = None
    colour: str = ""


@dataclass(frozen=True)
class BestModel:
    """The architecture that the search chose.

    Attributes:
        architecture: The architecture.
        rows: Its block table.
        tasks: Names of the tasks, one head each.
        number: The trial's number, where it comes from a search.
        params: Parameters of the whole network.
        params_backbone: Parameters of stem and blocks.
        macs: Multiply-accumulates of one image.
        input_size: ``(height, width)`` that the counts and the cost hold for.
        cost: What one inference costs on the search's device; without layers where only the whole is known.
        target: The device, if it is a simulated one.
    """

    architecture: Architecture
    rows: tuple[BlockRow, ...]
    tasks: tuple[str, ...] = ()
    number: int | None = None
    params: int | None = None
    params_backbone: int | None = None
    macs: int | None = None
    input_size: tuple[int, int] | None = None
    cost: Cost | None = None
    target: Target | None = None


@dataclass(frozen=True)
class ModelRow:
    """One model of a comparison.

    Attributes:
        name: The model.
        values: Its metrics by task.
        spread: Standard deviation over several seeds, by task and metric; may be empty.
        delta: Mean gain over the tasks, percent (Eq. 12); None for the baseline.
        task_deltas: Gain by task, percent (Eq. 11).
        metric_deltas: Gain by task and metric, percent (Eq. 9 and 10); positive is better.
        latency_ms: Latency on the target device, milliseconds.
        params: Parameters, in all.
        params_shared: Those that more than one task's predictions depend on.
        macs: Multiply-accumulates of one image, all tasks together; a multiply-accumulate is two operations.
        runs: Networks that run for that, one after the other.
        training_seconds: Processor seconds of a training.
    """

    name: str
    values: TaskValues = field(default_factory=dict)
    spread: TaskValues = field(default_factory=dict)
    delta: float | None = None
    task_deltas: Mapping[str, float] = field(default_factory=dict)
    metric_deltas: TaskValues = field(default_factory=dict)
    latency_ms: float | None = None
    params: int | None = None
    params_shared: int | None = None
    macs: int | None = None
    runs: int | None = None
    training_seconds: float | None = None


@dataclass(frozen=True)
class ComparisonTable:
    """Models against a baseline.

    Attributes:
        models: The rows; the baseline, if it is among them, is the one whose ``delta`` is None.
        metrics: Every task with its metrics, in the order of the columns.
        higher_is_better: Directions of the metrics.
        units: Units of the metrics whose unit is the label's; may be empty.
        baseline: Name of the baseline; may be empty.
        protocol: Evaluation protocol; may be empty.
    """

    models: tuple[ModelRow, ...]
    metrics: Mapping[str, tuple[str, ...]]
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    units: TaskUnits = field(default_factory=dict)
    baseline: str = ""
    protocol: str = ""


@dataclass(frozen=True)
class Picture:
    """One image with what was predicted for one task.

    Attributes:
        sample: Name of the image.
        task: Name of the task.
        image: The image, PNG.
        label: The label as a picture, PNG; None where there is none.
        predictions: Model names and their predictions as pictures, PNG.
        legend: What the colours mean, PNG; None where there is nothing to tell.
    """

    sample: str
    task: str
    image: bytes
    label: bytes | None
    predictions: tuple[tuple[str, bytes], ...]
    legend: bytes | None = None


@dataclass(frozen=True)
class ChoiceShare:
    """How often the winners chose a value, beside all trials.

    Attributes:
        block: Its number, from 1.
        field: What was chosen: ``kind``, or a field of the block as people call it, ``filters`` the last.
        value: The value as text: ``FusedIBN``, ``5``, ``6``, ``×1.5``.
        winners: Share of the winners with this value, 0 to 1.
        everyone: Share of all scored trials with this value, 0 to 1.
    """

    block: int
    field: str
    value: str
    winners: float
    everyone: float


@dataclass(frozen=True)
class Gain:
    """How much better the best trial is than the base network, by the search's own judgement.

    Attributes:
        percent: Of the base network's accuracy.
        seeds: Trainings of each that this is the mean of.
    """

    percent: float
    seeds: int


@dataclass(frozen=True)
class ReportData:
    """Everything in a report.

    Attributes:
        title: Heading.
        created: When the report was made.
        config: The configuration as YAML text; empty where there is none.
        target: Name of the device; may be empty.
        baseline_latency_ms: Latency of the baseline on the device, milliseconds.
        baseline_accuracy: Accuracy of the baseline on the search's scale, where it was measured.
        gain: Of the best trial over the base network, where both were judged.
        baseline_trial: Number of the trial that judged the base network.
        judgements: What trials were found to be worth by another seed, by number.
        pruned_by: How many candidates were too far above the limit of each quantity to be trained.
        next_command: What to run next, as it is typed; empty where it is not known.
        target_latency_ms: The latency that the search aimed at, milliseconds.
        planned_trials: How many trials the search is to have.
        trials: The candidates.
        signal_ratio: How many times further candidates differ in accuracy than one candidate does between seeds.
        trivial: What the mean training label of each pixel scores, without a network; may be empty.
        trivial_accuracy: Its accuracy on the search's scale, where it predicts all tasks.
        judged_by: How a candidate's accuracy was found, a sentence.
        judged_alike: Whether ``judgements`` were found in the same way.
        objectives: What the Pareto front is drawn over.
        pareto: Numbers of the trials on it, in the order of :func:`ednas.search.results.pareto`.
        choices: Which values the winners share.
        stage_depths: Blocks in each stage of the architectures that these are about.
        winners: How many trials count as winners in ``choices``.
        best: The chosen architecture.
        comparison: Models against the baseline.
        pictures: Predictions beside labels.
    """

    title: str
    created: datetime
    config: str = ""
    target: str = ""
    baseline_latency_ms: float | None = None
    baseline_accuracy: float | None = None
    gain: Gain | None = None
    baseline_trial: int | None = None
    judgements: Mapping[int, Judgement] = field(default_factory=dict)
    pruned_by: Mapping[str, int] = field(default_factory=dict)
    next_command: str = ""
    target_latency_ms: float | None = None
    planned_trials: int | None = None
    trials: tuple[Trial, ...] = ()
    signal_ratio: float | None = None
    trivial: TaskValues = field(default_factory=dict)
    trivial_accuracy: float | None = None
    judged_by: str = ""
    judged_alike: bool = True
    objectives: tuple[str, ...] = Objective.objectives
    pareto: tuple[int, ...] = ()
    choices: tuple[ChoiceShare, ...] = ()
    stage_depths: tuple[int, ...] = ()
    winners: int = 0
    best: BestModel | None = None
    comparison: ComparisonTable | None = None
    pictures: tuple[Picture, ...] = ()


def select_winners(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Return the best 10 % of the scored trials by reward, 5 at least, best first."""
    scored = sorted((trial for trial in trials if trial.scored), key=lambda trial: (-(trial.reward or 0), trial.number))
    return tuple(scored[: max(MIN_WINNERS, math.ceil(len(scored) * WINNER_SHARE))])


def choice_shares(winners: Sequence[Trial], trials: Iterable[Trial], base: Architecture) -> tuple[ChoiceShare, ...]:
    """Count, block by block, how often winners and all scored trials chose each value.

    Args:
        winners: The winners, see :func:`select_winners`.
        trials: All trials of the search.
        base: The search's base; filters are given as multiples of its filters.

    Returns:
        Shares in the order of blocks, fields and values; empty where no architecture is known. A field in which all
        trials agree about a block was not searched there and is left out.

    Raises:
        ArchitectureError: A trial's architecture text is damaged.
    """
    count_all, of_all = _count_choices((trial for trial in trials if trial.scored), base)
    count_best, of_best = _count_choices(winners, base)
    if not of_all or not of_best:
        return ()
    seen: dict[_Place, set[_Value]] = {}
    for place, value in count_all:
        seen.setdefault(place, set()).add(value)
    values: dict[str, set[_Value]] = {}
    for (_, name), some in seen.items():
        values.setdefault(name, set()).update(some if len(some) > 1 else ())
    return tuple(
        ChoiceShare(
            block=place[0],
            field=place[1],
            value=value[1],
            winners=count_best[place, value] / of_best,
            everyone=count_all[place, value] / of_all,
        )
        for place, some in seen.items()
        if len(some) > 1
        for value in sorted(values[place[1]])
    )


def _count_choices(trials: Iterable[Trial], base: Architecture) -> tuple[Counter[tuple[_Place, _Value]], int]:
    """Count the choices of trials by block and field; of how many trials, those without an architecture left out."""
    total = 0
    blocks: Counter[tuple[int, str]] = Counter()
    for trial in trials:
        if not trial.architecture:
            continue
        texts = [part for part in trial.architecture.split() if part != "|"][1 : len(base.blocks) + 1]
        if len(texts) < len(base.blocks):
            raise ArchitectureError(f"architecture: {trial.architecture!r:.80} is not an architecture's text form")
        blocks.update(enumerate(texts))
        total += 1
    # Only then the fields, of blocks that are few and come again and again.
    counts: Counter[tuple[_Place, _Value]] = Counter()
    for (index, text), count in sorted(blocks.items(), key=lambda item: item[0][0]):
        for name, value in _choices(Block.from_text(text), base.blocks[index]):
            counts[(index + 1, name), value] += count
    return counts, total


def _choices(block: Block, origin: Block) -> Iterator[tuple[str, _Value]]:
    """Yield a block's choices by field."""
    yield "kind", (float(block_kinds().index(block.kind)), block.label)
    for own in block_fields(type(block)):
        if own.name not in ("stride", "filters"):
            value = getattr(block, own.name)
            yield own.title, (float(value), str(value))
    multiplier = round(block.filters / origin.filters, 2)
    yield "filters", (multiplier, f"×{multiplier:g}")
