"""How large the re-enactment is: on which data, by which recipe, from how many seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ednas.exceptions import ConfigError, hint
from ednas.search import SearchConfig
from ednas.search.controllers import ControllerConfig
from ednas.training import MAX_LEARNING_RATE, Recipe, TrainConfig, recipe
from ednas.training.recipe import CITYSCAPES_CROP, NYUV2_CROP

TARGET, COST_SIZE = "coral_usb", (256, 256)
"""Where and at which size the paper measures speed."""

TWO_TASKS, THREE_TASKS = ("segmentation", "depth"), ("segmentation", "depth", "normals")

CITYSCAPES, NYUV2 = "cityscapes", "nyuv2"
"""The paper's datasets: whatever takes their place is called so too."""


@dataclass(frozen=True)
class Problem:
    """What the networks of a table learn.

    Attributes:
        name: Of the paper's dataset.
        data: What stands for it, as :func:`ednas.data.open_dataset` takes it; None = nothing was given.
        tasks: The tasks.
        recipe: How networks are trained.
    """

    name: str
    data: str | None
    tasks: tuple[str, ...]
    recipe: Recipe

    def config(
        self,
        architecture: str = "base",
        *,
        preset: str | None = None,
        tasks: tuple[str, ...] | None = None,
        sharing: str | None = None,
        **changes: Any,
    ) -> TrainConfig:
        """Return a training from the first seed.

        Its loss weights are spelled out, so that what is trained alike is known to be, whatever table asks for it.

        Args:
            architecture: The network.
            preset: Loss weights, by their name in :data:`ednas.tasks.presets.LOSS_PRESETS`; None = 1, and L1 for depth.
            tasks: Learn these alone.
            sharing: How tasks share the backbone.
            **changes: Of the recipe.

        Raises:
            ConfigError: There are no data.
        """
        if self.data is None:
            raise ConfigError(f"{self.name} is needed: give its folder or dataset.yaml by --data {self.name}=PATH")
        learned = tasks or self.tasks
        weights = self.recipe.model_copy(update={"loss_preset": preset})
        losses = {"loss_weights": weights.task_weights(learned), "task_options": weights.options_of(learned)}
        return TrainConfig(
            architecture=architecture,
            data=self.data,
            tasks=learned,
            sharing=sharing,
            recipe=self.recipe.model_copy(update={**losses, **changes}),
        )


@dataclass(frozen=True)
class Budget:
    """How long a search is: regularised evolution, as the paper searches.

    Attributes:
        trials: Candidates that are trained.
        population_size: Networks that are kept.
        tournament_size: Of these, how many are drawn to find a parent.
        steps: Steps of a candidate's training.
    """

    trials: int
    population_size: int
    tournament_size: int
    steps: int


@dataclass(frozen=True)
class Scale:
    """A size of the re-enactment.

    Attributes:
        name: For people and files.
        two_tasks: What stands for CityScapes.
        three_tasks: What stands for NYUv2.
        weak_rate: Learning rate of Table 5's first row, which a higher one outdoes.
        strong_rate: That higher one, "maxLR".
        budget: Of a search.
        note: How it differs from the paper, a sentence; empty if it does not.
        options: What the command line has to be told for it beside its name.
    """

    name: str
    two_tasks: Problem
    three_tasks: Problem
    weak_rate: float
    strong_rate: float
    budget: Budget
    note: str = ""
    options: str = ""

    def search(self, tasks: tuple[str, ...]) -> SearchConfig:
        """Return the search for a network for two tasks that judges candidates by some of them.

        It is the paper's: its space, its controller from random networks, and the base network's latency as the limit.
        """
        training = self.two_tasks.config(
            preset="cityscapes_jared", tasks=tasks, steps=self.budget.steps, learning_rate=self.strong_rate
        )
        options = {"population_size": self.budget.population_size, "tournament_size": self.budget.tournament_size}
        return SearchConfig(
            training=training,
            final_tasks=self.two_tasks.tasks,
            latency_input_size=COST_SIZE,
            target=TARGET,
            prune_factor=1.0,
            controller=ControllerConfig(options=options),
            trials=self.budget.trials,
        )


MINI_RATE = float(recipe("mini").learning_rate)
WEAK = 3e-4 / MAX_LEARNING_RATE
"""The paper's low learning rate as a share of its high one."""

ONE_RATE = (
    "All rows but Table 5's first are trained at a high learning rate; the paper's are at 3e-4 outside Table 5, where "
    "networks are far from what they can reach and gains are larger."
)
"""Why gains of Tables 1 to 4 and 9 are not to be compared by their size."""

Data = Mapping[str, str]
"""Datasets that the user gives, by the names of the paper's."""


def mini(data: Data) -> Scale:
    """What two processor cores do: street scenes at 64x128, and NYUv2 (or rooms) at 96x128, by the recipe ``mini``.

    The paper's low learning rate is for 20,000 steps: within 800 a network hardly learns at it. So all tables train at
    the high one, and the low one, at the same ratio, is Table 5's alone.
    """
    given = {CITYSCAPES: "streets", NYUV2: "rooms", **data}
    recipes = recipe("mini", input_size=(64, 128)), recipe("mini", input_size=(96, 128))
    return Scale("mini", *_problems(given, recipes), WEAK * MINI_RATE, MINI_RATE, Budget(44, 12, 4, 200), ONE_RATE)


def gpu(data: Data) -> Scale:
    """What a GPU does in hours: AdaShare's sizes and crops, by the optimizer of ``mini`` for five times its steps."""
    changes = {"steps": 4_000, "batch_size": 16, "warmup_steps": 100, "checkpoint_every": 500}
    recipes = _cropped("mini", **changes)
    return Scale("gpu", *_problems(data, recipes), WEAK * MINI_RATE, MINI_RATE, Budget(200, 25, 6, 800), ONE_RATE)


def paper(data: Data) -> Scale:
    """What the paper prints: Adam at 3e-4 for 20,000 iterations, and 1e-2 in Table 5."""
    problems = _problems(data, _cropped("full"))
    return Scale("paper", *problems, 3e-4, MAX_LEARNING_RATE, Budget(2000, 50, 10, 5000))


SCALES = {"mini": mini, "gpu": gpu, "paper": paper}
"""Sizes by name."""


def make_scale(name: str, data: Data, steps: int | None = None) -> Scale:
    """Return a size of the re-enactment.

    Args:
        name: One of :data:`SCALES`.
        data: Datasets to take.
        steps: Steps of every training, instead of the scale's; those of a search's candidates stay.

    Raises:
        ConfigError: There is no such size or dataset.
    """
    if name not in SCALES:
        raise ConfigError(f"scale '{name}': {hint(name, SCALES)}")
    for key in data:
        if key not in (CITYSCAPES, NYUV2):
            raise ConfigError(f"data '{key}': {hint(key, (CITYSCAPES, NYUV2))}")
    scale = SCALES[name](data)
    # Of a path, its last part: what is written must not tell where somebody's files are.
    options = [f"--data {key}={Path(value).name}" for key, value in data.items()]
    if steps is not None:
        options.append(f"--steps {steps}")
        two, three = (
            replace(problem, recipe=problem.recipe.model_copy(update={"steps": steps}))
            for problem in (scale.two_tasks, scale.three_tasks)
        )
        scale = replace(scale, two_tasks=two, three_tasks=three)
    return replace(scale, options=" ".join(options))


def _problems(data: Data, recipes: tuple[Recipe, Recipe]) -> tuple[Problem, Problem]:
    two, three = recipes
    return (
        Problem(CITYSCAPES, data.get(CITYSCAPES), TWO_TASKS, two),
        Problem(NYUV2, data.get(NYUV2), THREE_TASKS, three),
    )


def _cropped(name: str, **changes: Any) -> tuple[Recipe, Recipe]:
    """Return a recipe at AdaShare's sizes, with its crops."""

    def own(size: tuple[int, int], crop: tuple[int, int]) -> Recipe:
        return recipe(name, input_size=size, augment={"scale": (0.5, 1.5), "crop": crop}, **changes)

    return own((256, 512), CITYSCAPES_CROP), own((480, 640), NYUV2_CROP)
