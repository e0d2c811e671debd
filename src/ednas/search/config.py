"""The complete configuration of one search: written into the run's folder, and runnable again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from ednas.arch import Architecture, SpaceConfig, load_architecture
from ednas.config import parse, read_yaml
from ednas.exceptions import ConfigError
from ednas.files import is_file
from ednas.hw.quantities import QUANTITIES
from ednas.search.controllers import ControllerConfig, controller_names
from ednas.search.objective import RewardConfig
from ednas.search.quantities import ACCURACY, BASELINE, Limit, Limits, check_names
from ednas.training.config import TrainConfig
from ednas.training.recipe import AUTO, RECIPES, Recipe

CHANGEABLE = frozenset(
    {"trials", "finalists", "repeats", "executor", "workers", "threads", "timeout_s", "device", "objectives"}
)
"""Keys that a search may be resumed with other values of: they decide how far and how fast it goes and what is shown of
it, not where it goes."""

LATENCY, TARGET, FORMER_FACTOR = "latency_ms", "target_latency_ms", "max_latency_factor"


def _none(value: Any) -> Any:
    """``none`` is also what people write for None where there is text only, as on the command line."""
    return None if value == "none" else value


class SearchConfig(TrainConfig):
    """What to search, for which device, and how; a configuration of the trainings of its candidates, and more.

    Of a training's keys, ``architecture`` is the base network whose values the space varies, ``recipe`` the short
    training by which candidates are compared (the proxy task), and ``seed`` gives every random number of the search.

    Attributes:
        architecture: The base network.
        recipe: The proxy recipe.
        space: Which values may be chosen.
        initial: Networks of the space that are judged before any other, each as ``architecture`` takes it, or
            ``baseline`` for the base network: it tells whether what is found is better than what one had. Like other
            candidates, one that is pruned for its cost is not trained.
        target: The device: a name from :func:`ednas.hw.target_names`, the path of a YAML file, or another source of
            latencies as :func:`ednas.hw.sources.load_source` names it, for example ``vela:ethos-u55-128``.
        target_latency_ms: The target latency l_h of Eq. 5: a number, ``baseline`` for the base network's on the same
            device, a multiple of that like ``0.8 * baseline``, or None for no limit. ``limits: {latency_ms: ...}`` is
            the same.
        limits: What else a candidate should not exceed, by the names of
            :data:`~ednas.hw.quantities.QUANTITIES`; values as for the target latency.
        latency_input_size: ``(height, width)`` that the network will run at on the device; None = that of training.
        prune_factor: Candidates above this multiple of the target latency or of another limit are not trained (they are
            recorded as pruned, with their cost); None = all are. ``max_latency_factor``, its former name, is read too.
        objectives: What the Pareto set is drawn over: ``accuracy`` and quantities; None = accuracy, latency and what is
            limited.
        reward: How accuracy and the limited costs make the reward.
        controller: What proposes candidates.
        trials: How many candidates to train; pruned ones do not count.
        finalists: How many of the best to train once more in the end, from another seed, the base network too where it
            is a candidate; the one that is best on average is chosen. 0 = the best of the first time, who may have been
            lucky.
        repeats: How many of all candidates to train once more in the end, from another seed, to say how much of the
            difference between candidates is chance; 0 = none.
        executor: ``process`` (a fresh process for every candidate) or ``inline``.
        workers: Candidates at a time.
        threads: Threads that each worker computes with.
        timeout_s: A training that takes longer fails; None = no limit.
        device: Where candidates are trained: ``auto``, ``cpu``, ``cuda``, ...
    """

    architecture: str | dict[str, Any] = "base"
    recipe: Recipe = RECIPES["proxy"]
    space: SpaceConfig = SpaceConfig()
    initial: tuple[str | dict[str, Any], ...] = ()
    target: str = "coral_usb"
    target_latency_ms: Annotated[Limit | None, BeforeValidator(_none)] = BASELINE
    limits: Limits = Field(default_factory=dict)
    latency_input_size: tuple[int, int] | None = None
    prune_factor: Annotated[float | None, BeforeValidator(_none)] = Field(default=2.0, ge=1.0, allow_inf_nan=False)
    objectives: tuple[str, ...] | None = None
    reward: RewardConfig = RewardConfig()
    controller: ControllerConfig = Field(default_factory=lambda: ControllerConfig().complete())
    trials: int = Field(default=2000, gt=0)
    finalists: int = Field(default=0, ge=0)
    repeats: int = Field(default=0, ge=0)
    executor: Literal["process", "inline"] = "process"
    workers: int = Field(default=1, gt=0)
    threads: int = Field(default=1, gt=0, le=1024)
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    device: str = "auto"

    @model_validator(mode="before")
    @classmethod
    def _read_other_names(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = canonical(values)
        if isinstance(values.get("limits"), Mapping) and LATENCY in values["limits"]:
            raise ValueError(f"limits.{LATENCY} and {TARGET} are two names of the same; give one of them")
        if FORMER_FACTOR in values:
            raise ValueError(f"{FORMER_FACTOR} is the former name of prune_factor; give one of them")
        return values

    @field_validator("recipe", mode="before")
    @classmethod
    def _start_from_proxy(cls, value: Any) -> Any:
        """A recipe that names no other changes the proxy recipe."""
        is_change = isinstance(value, Mapping) and "name" not in value and "steps" not in value
        return {"name": "proxy", **value} if is_change else value

    @field_validator("recipe")
    @classmethod
    def _names_a_rate(cls, value: Recipe) -> Recipe:
        if value.learning_rate == AUTO:
            raise ValueError(f"learning_rate '{AUTO}' is for one network; write what `ednas train --find-lr` suggests")
        return value

    @field_validator("controller")
    @classmethod
    def _complete(cls, value: ControllerConfig, info: ValidationInfo) -> ControllerConfig:
        try:
            return value.complete()
        except ConfigError as error:
            if info.data.get("plugins") and value.name not in controller_names():
                return value  # a plugin may bring it, whose code is not run by reading a configuration
            raise ValueError(str(error)) from None

    @field_validator("target_latency_ms")
    @classmethod
    def _is_positive(cls, value: float | str | None) -> float | str | None:
        if value == 0:
            raise ValueError("must be above 0 milliseconds")
        return value

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        check_names(value, (ACCURACY, *QUANTITIES))
        if len(set(value)) < len(value):
            raise ValueError("an objective is named twice")
        if ACCURACY not in value or len(value) < 2:
            raise ValueError(f"name {ACCURACY} and one quantity at least, like {ACCURACY}, {LATENCY}")
        return value

    def all_limits(self) -> dict[str, float | str]:
        """Return the target latency, if there is one, and the other limits, by quantity."""
        latency = {} if self.target_latency_ms is None else {LATENCY: self.target_latency_ms}
        return {**latency, **self.limits}

    def all_objectives(self) -> tuple[str, ...]:
        """Return what the Pareto set is drawn over, also where the configuration leaves it open."""
        return self.objectives or tuple(dict.fromkeys((ACCURACY, LATENCY, *self.limits)))

    def train_config(self, architecture: Architecture, **changes: Any) -> TrainConfig:
        """Return the configuration of the training of one network of this search.

        Args:
            architecture: The network.
            **changes: Other values, for example ``recipe=recipe("full")`` for the final training.
        """
        values = {name: getattr(self, name) for name in TrainConfig.model_fields}
        return TrainConfig(**{**values, **changes}).with_architecture(architecture)

    def load_initial(self) -> tuple[Architecture, ...]:
        """Return the networks that are judged first.

        Raises:
            ArchitectureError: One cannot be found or is wrong.
        """
        return tuple(load_architecture(self.architecture if given == BASELINE else given) for given in self.initial)

    def standalone(self) -> Self:
        """Return the same search as it can be started anywhere: architectures spelled out, paths absolute.

        Raises:
            ArchitectureError: One cannot be found or is wrong.
        """
        kind, colon, path = self.target.rpartition(":")  # table:FILE.csv
        target = f"{kind}{colon}{Path(path).absolute()}" if is_file(path) else self.target
        initial = tuple(architecture.to_dict() for architecture in self.load_initial())
        return super().standalone().model_copy(update={"target": target, "initial": initial})

    def identity(self) -> dict[str, Any]:
        """Return what must not change when the search is resumed."""
        return {key: value for key, value in self.model_dump(mode="json").items() if key not in CHANGEABLE}


def canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's values with one name for each: what has two is moved, where nothing is there yet.

    ``limits.latency_ms`` is ``target_latency_ms``, and ``max_latency_factor`` is the former name of ``prune_factor``.
    """
    values = dict(values)
    limits = values.get("limits")
    if isinstance(limits, Mapping) and LATENCY in limits and TARGET not in values:
        values[TARGET] = limits[LATENCY]
        values["limits"] = {name: limit for name, limit in limits.items() if name != LATENCY}
    if FORMER_FACTOR in values and "prune_factor" not in values:
        values["prune_factor"] = values.pop(FORMER_FACTOR)
    return values


def with_given(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's canonical values with others, which win; limits are added to those that are there.

    Args:
        values: The values, as they were read.
        given: The others; None = as it is.
    """
    given = canonical({key: value for key, value in given.items() if value is not None})
    own = values.get("limits")
    if "limits" in given and isinstance(own, Mapping):
        given["limits"] = {**own, **given["limits"]}
    return {**values, **given}


def with_evolution(values: Mapping[str, Any], options: Mapping[str, int | None]) -> dict[str, Any]:
    """Return a configuration's values with other options of its controller; what is none is left to be refused.

    Args:
        values: The values, as they were read.
        options: Of the controller, which is evolution where the values have none; None = as it is.
    """
    given = {key: value for key, value in options.items() if value is not None}
    own: Any = values.get("controller")
    own = {"name": "evolution"} if own is None else own
    if not given or not isinstance(own, Mapping) or not isinstance(own.get("options", {}), Mapping):
        return dict(values)
    return {**values, "controller": {**own, "options": {**own.get("options", {}), **given}}}


def load_search_config(path: Path | str) -> SearchConfig:
    """Read a configuration.

    Raises:
        ConfigError: The file is missing, not YAML, or a key or value is wrong; the nearest right key is offered.
    """
    return parse(SearchConfig, read_yaml(path), str(path))
