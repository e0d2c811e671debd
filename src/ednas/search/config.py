"""The complete configuration of one search: written into the run's folder, and runnable again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from ednas.arch import Architecture, SpaceConfig
from ednas.config import parse, read_yaml
from ednas.exceptions import ConfigError
from ednas.search.controllers import ControllerConfig
from ednas.search.objective import RewardConfig
from ednas.training.config import TrainConfig
from ednas.training.recipe import RECIPES, Recipe

CHANGEABLE = frozenset({"trials", "executor", "workers", "threads", "timeout_s", "device"})
"""Keys that a search may be resumed with other values of: they decide how far and how fast it goes, not where."""


class SearchConfig(TrainConfig):
    """What to search, for which device, and how; a configuration of the trainings of its candidates, and more.

    Of a training's keys, ``architecture`` is the base network whose values the space varies, ``recipe`` the short
    training by which candidates are compared (the proxy task), and ``seed`` gives every random number of the search.

    Attributes:
        architecture: The base network.
        recipe: The proxy recipe.
        space: Which values may be chosen.
        target: The device: a name from :func:`ednas.hw.target_names`, or the path of a YAML file.
        target_latency_ms: The target latency l_h of Eq. 5, or ``baseline`` for the base network's on the same device.
        latency_input_size: ``(height, width)`` that the network will run at on the device; None = that of training.
        max_latency_factor: Candidates above this multiple of the target are not trained (they are recorded as pruned,
            with their cost); None = all are.
        reward: How accuracy and latency make the reward.
        controller: What proposes candidates.
        trials: How many candidates to train; pruned ones do not count.
        executor: ``process`` (a fresh process for every candidate) or ``inline``.
        workers: Candidates at a time.
        threads: Threads that each worker computes with.
        timeout_s: A training that takes longer fails; None = no limit.
        device: Where candidates are trained: ``auto``, ``cpu``, ``cuda``, ...
    """

    architecture: str | dict[str, Any] = "base"
    recipe: Recipe = RECIPES["proxy"]
    space: SpaceConfig = SpaceConfig()
    target: str = "coral_usb"
    target_latency_ms: float | Literal["baseline"] = "baseline"
    latency_input_size: tuple[int, int] | None = None
    max_latency_factor: float | None = Field(default=2.0, ge=1.0, allow_inf_nan=False)
    reward: RewardConfig = RewardConfig()
    controller: ControllerConfig = Field(default_factory=lambda: ControllerConfig().complete())
    trials: int = Field(default=2000, gt=0)
    executor: Literal["process", "inline"] = "process"
    workers: int = Field(default=1, gt=0)
    threads: int = Field(default=1, gt=0)
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    device: str = "auto"

    @field_validator("recipe", mode="before")
    @classmethod
    def _start_from_proxy(cls, value: Any) -> Any:
        """A recipe that names no other changes the proxy recipe."""
        is_change = isinstance(value, Mapping) and "name" not in value and "steps" not in value
        return {"name": "proxy", **value} if is_change else value

    @field_validator("controller")
    @classmethod
    def _complete(cls, value: ControllerConfig) -> ControllerConfig:
        try:
            return value.complete()
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @field_validator("target_latency_ms")
    @classmethod
    def _is_positive(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and not 0 < value < float("inf"):
            raise ValueError("must be above 0 milliseconds, or 'baseline'")
        return value

    def train_config(self, architecture: Architecture, **changes: Any) -> TrainConfig:
        """Return the configuration of the training of one network of this search.

        Args:
            architecture: The network.
            **changes: Other values, for example ``recipe=recipe("full")`` for the final training.
        """
        values = {name: getattr(self, name) for name in TrainConfig.model_fields}
        return TrainConfig(**{**values, "architecture": architecture.to_dict(), **changes})

    def standalone(self) -> Self:
        """Return the same search as it can be started anywhere: architecture spelled out, paths absolute.

        Raises:
            ArchitectureError: The base network cannot be found or is wrong.
        """
        target = Path(self.target)
        return (
            super()
            .standalone()
            .model_copy(update={"target": str(target.absolute()) if target.is_file() else self.target})
        )

    def identity(self) -> dict[str, Any]:
        """Return what must not change when the search is resumed."""
        return {key: value for key, value in self.model_dump(mode="json").items() if key not in CHANGEABLE}


def load_search_config(path: Path | str) -> SearchConfig:
    """Read a configuration.

    Raises:
        ConfigError: The file is missing, not YAML, or a key or value is wrong; the nearest right key is offered.
    """
    return parse(SearchConfig, read_yaml(path), str(path))
