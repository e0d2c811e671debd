"""What a training run is: complete, checked, and written beside its results so that it can be run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from ednas.arch import Architecture, load_architecture
from ednas.config import StrictModel, parse, read_yaml
from ednas.exceptions import ConfigError, EdnasError, nearest
from ednas.files import exists, is_file
from ednas.tasks import EvaluationProtocol
from ednas.training.recipe import RECIPES, LearningRate, Recipe, merge_recipe

Finite = Annotated[float, Field(allow_inf_nan=False)]
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Normalisation(StrictModel):
    """What happens to an image in [0, 1] before the network sees it: ``(image - mean) / std`` per channel.

    Attributes:
        mean: Of red, green and blue.
        std: Of red, green and blue, above 0.
    """

    mean: tuple[Finite, Finite, Finite] = (0.5, 0.5, 0.5)
    std: tuple[Above0, Above0, Above0] = (0.25, 0.25, 0.25)


class TrainConfig(StrictModel):
    """Everything that decides the outcome of a training run.

    Attributes:
        architecture: What :func:`ednas.arch.load_architecture` takes (a zoo name, a JSON file, a checkpoint folder, the
            text form), or an architecture's JSON form.
        data: What :func:`ednas.data.open_dataset` takes: a path, or a built-in scene (``streets``, ``rooms``).
        tasks: The tasks to train together; one task makes a single-task baseline.
        sharing: How tasks share the backbone, with options like ``cross_stitch(start=0.8)``, whatever the architecture
            says; None = as it says. See :mod:`ednas.nn.sharing`.
        recipe: How to train. In YAML also a name (``recipe: mini``), or a name with changes
            (``recipe: {name: mini, steps: 100}``).
        seed: Of the weights, of the order of the samples and of their augmentation.
        data_options: Options of the dataset's format.
        normalisation: Mean and standard deviation that the image is normalised by; None = those that the weights of
            ``recipe.init`` were trained with, and 0.5 and 0.25 from scratch.
        protocol: How the result is measured, ``standard`` or ``adashare``.
        plugins: Python files or modules of the user's own tasks, losses, backbones, decoders and formats, imported
            before anything else.

    Example:
        >>> TrainConfig(data="streets", recipe="mini", tasks=("depth",)).recipe.steps
        800
    """

    architecture: str | dict[str, Any] = "base"
    data: str
    tasks: tuple[str, ...] = ("segmentation", "depth")
    sharing: str | None = None
    recipe: Recipe = RECIPES["mini"]
    seed: NonNegativeInt = 0
    data_options: Mapping[str, Any] = Field(default_factory=dict)
    normalisation: Normalisation | None = None
    protocol: EvaluationProtocol = "standard"
    plugins: tuple[str, ...] = ()

    @field_validator("recipe", mode="before")
    @classmethod
    def _expand_recipe(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            return value
        name = str(value.get("name", ""))
        if "steps" in value and name not in RECIPES:
            if near := nearest(name, RECIPES, cutoff=0.8):
                # A slip of the pen would make it a recipe of one's own, with the defaults of everything else.
                raise ValueError(f"unknown recipe '{name}'; did you mean '{near}'? Call one of your own otherwise")
            return value
        try:
            return merge_recipe(name or "mini", value)
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _weighting_is_known(self) -> Self:
        if not self.plugins:  # one of these may bring it
            try:
                self.recipe.weighting.complete()
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return self

    @field_validator("tasks")
    @classmethod
    def _tasks_are_distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name one task at least")
        if len(set(value)) < len(value):
            raise ValueError("a task is named twice")
        return value

    def load_architecture(self) -> Architecture:
        """Return the architecture.

        Raises:
            ArchitectureError: It cannot be found or is wrong.
        """
        architecture = load_architecture(self.architecture)
        return architecture if self.sharing is None else architecture.with_parts(sharing=self.sharing)

    def with_architecture(self, architecture: Architecture) -> Self:
        """Return the same run of another network; an input size of that network replaces the recipe's."""
        changes: dict[str, Any] = {"architecture": architecture.to_dict()}
        if architecture.input_size is not None:
            changes["recipe"] = self.recipe.model_copy(update={"input_size": None})
        return self.model_copy(update=changes)

    def standalone(self) -> Self:
        """Return the same run as it can be started anywhere: architecture spelled out, paths absolute.

        Raises:
            ArchitectureError: The architecture cannot be found or is wrong.
        """
        changes: dict[str, Any] = {
            "architecture": self.load_architecture().to_dict(),
            "sharing": None,
            "data": _absolute(self.data),
            # A file may be an option's value; the name of a folder may be anything.
            "data_options": {
                name: _absolute(value) if isinstance(value, str) and is_file(value) else value
                for name, value in self.data_options.items()
            },
            "plugins": tuple(_absolute(plugin) for plugin in self.plugins),
        }
        places = {"init": self.recipe.init, "teacher": self.recipe.teacher}
        found = {name: _absolute(place) for name, place in places.items() if place is not None}
        changes["recipe"] = self.recipe.model_copy(update=found)
        return self.model_copy(update=changes)

    def files(self) -> list[Path]:
        """Return the files and folders that a standalone run reads: they must lie at the same places wherever it is."""
        named = (self.data, self.recipe.init, self.recipe.teacher, *self.plugins)
        paths = [Path(_file_of(name)) for name in named if name is not None]
        return [path for path in paths if path.is_absolute()]

    def with_learning_rate(self, rate: LearningRate) -> Self:
        """Return the same run at another learning rate."""
        return self.model_copy(update={"recipe": self.recipe.model_copy(update={"learning_rate": rate})})


def with_data_options(values: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's values with other options of the data; what is no mapping is left to be refused."""
    own = values.get("data_options", {})
    if not options or not isinstance(own, Mapping):
        return dict(values)
    return {**values, "data_options": {**own, **options}}


def load_config(path: Path | str, **overrides: Any) -> TrainConfig:
    """Read a training configuration from YAML.

    Args:
        path: The file.
        **overrides: Keys that replace those of the file.

    Raises:
        ConfigError: The file is missing or wrong; an unknown key comes with the nearest known one.
    """
    return parse(TrainConfig, {**read_yaml(path), **overrides}, str(path))


def difference(first: TrainConfig, second: TrainConfig) -> str | None:
    """Name the first setting in which two runs differ, as ``recipe.steps: 400 and 100``; None if in nothing.

    Settings that do not change the trained weights (how often something is saved or logged, the batch size of the
    evaluation, names for people) do not count.
    """
    return _first_difference(_decisive(first), _decisive(second), "")


def identity(config: TrainConfig) -> str:
    """Return what tells a run's settings from others, whatever its seed: a short text of hexadecimal digits."""
    values = {**_decisive(config), "seed": 0}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _decisive(config: TrainConfig) -> dict[str, Any]:
    with suppress(EdnasError):  # a file that has gone: the settings are compared as they are written
        config = config.standalone()
    values = config.model_dump(mode="json")
    for key in ("name", "eval_batch_size", "checkpoint_every", "log_every"):
        values["recipe"].pop(key)
    if isinstance(values["architecture"], dict):
        values["architecture"].pop("name", None)
    return values


def _first_difference(first: Any, second: Any, where: str) -> str | None:
    if isinstance(first, dict) and isinstance(second, dict):
        for key in [*first, *(key for key in second if key not in first)]:
            found = _first_difference(first.get(key), second.get(key), f"{where}.{key}" if where else str(key))
            if found is not None:
                return found
        return None
    return None if first == second else f"{where}: {first!r:.60} and {second!r:.60}"


def _file_of(place: str) -> str:
    """Return the file of ``FILE.py:FUNCTION``; anything else as it is."""
    file = place.rpartition(":")[0]
    return file if file.endswith(".py") else place


def _absolute(place: str) -> str:
    """Return a path as one that is right everywhere; what is no path, as it is."""
    if (file := _file_of(place)) != place:
        return _absolute(file) + place.removeprefix(file)
    return str(Path(place).absolute()) if exists(place) else place
