"""The complete configuration of one search: written into the run's folder, and runnable again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from ednas.arch import Architecture, SpaceConfig, load_architecture
from ednas.config import StrictModel, parse, read_yaml
from ednas.exceptions import ConfigError
from ednas.files import is_file
from ednas.hw.quantities import QUANTITIES
from ednas.mtl.weighting.searched import SEARCHED
from ednas.runs import RunFolder
from ednas.search.controllers import ControllerConfig, controller_names
from ednas.search.evaluators.setting import PROXY, EvaluatorConfig, evaluator_names
from ednas.search.filtering import FilterConfig
from ednas.search.objective import METRICS, RewardConfig
from ednas.search.quantities import ACCURACY, BASELINE, Limit, Limits, check_names
from ednas.training.config import TrainConfig
from ednas.training.recipe import AUTO, check_size, recipe

CHANGEABLE = frozenset(
    {
        "trials", "finalists", "repeats", "executor", "workers", "threads", "timeout_s", "device", "ray_address",
        "gpus_per_trial", "objectives", "bank",
    }
)  # fmt: skip
"""Keys that a search may be resumed with other values of: they decide how far and how fast it goes and what is shown of
it, not where it goes. Where the controller follows the objectives, they belong to the search's identity after all."""

FINALISTS = 4
"""How many of the best are trained in the end, where candidates are judged otherwise than finalists."""

LATENCY, TARGET = "latency_ms", "target_latency_ms"


def _none(value: Any) -> Any:
    """``none`` is also what people write for None where there is text only, as on the command line."""
    return None if value == "none" else value


class SearchConfig(StrictModel):
    """What to search, for which device, and how.

    Attributes:
        training: How candidates are trained, and on what. Its ``architecture`` is the base network whose values the
            space varies, its ``recipe`` the short training by which candidates are compared (the proxy task; ``proxy``
            if nothing is said), and its ``seed`` gives every random number of the search.
        final_tasks: What the network that is found will learn, where candidates learn others: a transfer search (Table
            5) judges by ``training: {tasks: [segmentation]}`` what ``final_tasks: [segmentation, depth]`` shall learn.
            Costs are those of a network with heads for these. None = what candidates learn.
        space: Which values may be chosen.
        initial: Networks of the space that are judged before any other, each as ``architecture`` takes it, or
            ``baseline`` for the base network: it tells whether what is found is better than what one had. Like other
            candidates, one that is pruned for its cost is not trained.
        varied: How many networks are judged next that are drawn from those within the limits and differ as wholes
            (:func:`~ednas.search.sampling.draw_varied`), whatever the controller. Only for a simulated device.
        target: The device: a name from :func:`ednas.hw.target_names`, the path of a YAML file, or another source of
            latencies as :func:`ednas.hw.sources.load_source` names it, for example ``vela:ethos-u55-128``.
        target_latency_ms: The target latency l_h of Eq. 5: a number, ``baseline`` for the base network's on the same
            device, a multiple of that like ``0.8 * baseline``, or None for no limit. ``limits: {latency_ms: ...}`` is
            the same.
        limits: What else a candidate should not exceed, by the names of
            :data:`~ednas.hw.quantities.QUANTITIES`; values as for the target latency.
        latency_input_size: ``(height, width)`` that the network will run at on the device; None = that of the
            finalists' training.
        prune_factor: Candidates above this multiple of the target latency or of another limit are not trained (they are
            recorded as pruned, with their cost); None = all are.
        objectives: What the Pareto set is drawn over, and the controller ``nsga2`` looks for: ``accuracy`` and
            quantities; None = accuracy, latency and what is limited.
        reward: How accuracy and the limited costs make the reward.
        evaluator: What judges candidates: ``proxy`` trains each for a short while, the others learn from some trainings
            what all come to (docs/search.md).
        filter: What looks at candidates before they are trained, for the evaluator ``proxy``: those that it thinks
            least of are recorded as pruned. None = all that are cheap enough are trained.
        bank: A file of trainings that were done before, to which new ones are added; None = ``bank.jsonl`` in the run's
            folder, for the evaluators that learn from trainings.
        controller: What proposes candidates.
        trials: How many candidates to train; pruned ones do not count.
        finalists: How many of the best to train once more in the end, from another seed, the base network too where it
            is a candidate; the one that is best on average is chosen. 0 = the best of the first time, who may have been
            lucky. Where candidates are not judged as finalists are (:attr:`judged_alike`), the finalists' trainings
            alone decide; None = 4 there, and 0 elsewhere.
        finalists_longer: How many times as many steps the finalists are trained for as candidates are.
        finalists_input_size: ``(height, width)`` that the finalists are trained at; None = as candidates are. At half
            the height and width, candidates cost less and may be told apart as well (docs/search.md).
        repeats: How many of all candidates to train once more in the end, from another seed, to say how much of the
            difference between candidates is chance; 0 = none. Only where candidates are judged as finalists are.
        executor: ``process`` (a fresh process for every candidate), ``inline`` (this process) or ``ray`` (a fresh
            process on a machine of a Ray cluster).
        workers: Candidates at a time; None = one, and with ``ray`` as many as the machines have room for.
        threads: Threads that each worker computes with; with ``ray`` also the processors that each holds.
        timeout_s: A training that takes longer fails; None = no limit.
        device: Where candidates are trained: ``auto``, ``cpu``, ``cuda``, ...
        ray_address: For ``ray``: ``HOST:PORT`` of the cluster's head, ``auto`` for the cluster that this machine
            belongs to, or None for a Ray of the search's own on this machine.
        gpus_per_trial: For ``ray``: GPUs that each candidate holds; 0.25 lets four share one, 0 leaves them alone.
    """

    training: TrainConfig
    final_tasks: tuple[str, ...] | None = None
    space: SpaceConfig = SpaceConfig()
    initial: tuple[str | dict[str, Any], ...] = ()
    varied: int = Field(default=0, ge=0)
    target: str = "coral_usb"
    target_latency_ms: Annotated[Limit | None, BeforeValidator(_none)] = BASELINE
    limits: Limits = Field(default_factory=dict)
    latency_input_size: tuple[int, int] | None = None
    prune_factor: Annotated[float | None, BeforeValidator(_none)] = Field(default=2.0, ge=1.0, allow_inf_nan=False)
    objectives: tuple[str, ...] | None = None
    reward: RewardConfig = RewardConfig()
    evaluator: EvaluatorConfig = Field(default_factory=lambda: EvaluatorConfig().complete())
    filter: FilterConfig | None = None
    bank: str | None = None
    controller: ControllerConfig = Field(default_factory=lambda: ControllerConfig().complete())
    trials: int = Field(default=2000, gt=0)
    finalists: int | None = Field(default=None, ge=0)
    finalists_longer: float = Field(default=1.0, ge=1.0, allow_inf_nan=False)
    finalists_input_size: tuple[int, int] | None = None
    repeats: int = Field(default=0, ge=0)
    executor: Literal["process", "inline", "ray"] = "process"
    workers: int | None = Field(default=None, gt=0)
    threads: int = Field(default=1, gt=0, le=1024)
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    device: str = "auto"
    ray_address: Annotated[str | None, BeforeValidator(_none)] = None
    gpus_per_trial: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_other_names(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        if misplaced := next((key for key in values if key in TrainConfig.model_fields), None):
            raise ValueError(f"{misplaced} is a key of the training; write it under training:")
        values = canonical(values)
        if isinstance(values.get("limits"), Mapping) and LATENCY in values["limits"]:
            raise ValueError(f"limits.{LATENCY} and {TARGET} are two names of the same; give one of them")
        return values

    @field_validator("training", mode="before")
    @classmethod
    def _start_from_proxy(cls, value: Any) -> Any:
        """A recipe that is missing is the proxy recipe, one that names no other changes it."""
        if isinstance(value, TrainConfig) and "recipe" not in value.model_fields_set:
            return value.model_copy(update={"recipe": recipe("proxy")})
        if not isinstance(value, Mapping):
            return value
        own = value.get("recipe", {})
        is_change = isinstance(own, Mapping) and "name" not in own and "steps" not in own
        return {**value, "recipe": {"name": "proxy", **own}} if is_change else value

    @field_validator("final_tasks")
    @classmethod
    def _names_tasks_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (not value or len(set(value)) < len(value)):
            raise ValueError("name one task at least, and each once")
        return value

    @field_validator("training")
    @classmethod
    def _names_a_rate(cls, value: TrainConfig) -> TrainConfig:
        if value.recipe.learning_rate == AUTO:
            raise ValueError(
                f"recipe: learning_rate '{AUTO}' is for one network; write what `ednas train --find-lr` suggests"
            )
        if value.recipe.weighting.name == SEARCHED:
            raise ValueError(f"recipe: weighting '{SEARCHED}' is for one network; write the loss_weights that it finds")
        return value

    @field_validator("controller")
    @classmethod
    def _complete(cls, value: ControllerConfig, info: ValidationInfo) -> ControllerConfig:
        try:
            return value.complete()
        except ConfigError as error:
            training = info.data.get("training")
            if training is not None and training.plugins and value.name not in controller_names():
                return value  # a plugin may bring it, whose code is not run by reading a configuration
            raise ValueError(str(error)) from None

    @field_validator("evaluator", "filter")
    @classmethod
    def _complete_evaluator(cls, value: EvaluatorConfig | None, info: ValidationInfo) -> EvaluatorConfig | None:
        if value is None:
            return None
        try:
            return value.complete()
        except ConfigError as error:
            training = info.data.get("training")
            if training is not None and training.plugins and value.name not in evaluator_names():
                return value  # a plugin may bring it
            raise ValueError(str(error)) from None

    @field_validator("finalists_input_size")
    @classmethod
    def _is_a_size(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        return check_size(value)

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

    @model_validator(mode="after")
    def _check_ray(self) -> Self:
        if self.executor != "ray" and (self.ray_address is not None or self.gpus_per_trial):
            key = "gpus_per_trial" if self.ray_address is None else "ray_address"
            raise ValueError(f"{key} is for searches through Ray; add executor: ray")
        if self.gpus_per_trial > 1 and self.gpus_per_trial % 1:
            raise ValueError("gpus_per_trial: a part of one GPU, like 0.25, or a whole number of them")
        if self.executor == "ray" and self.device.startswith("cuda") and not self.gpus_per_trial:
            raise ValueError(f"device: {self.device} needs gpus_per_trial above 0 where Ray hands out the GPUs")
        return self

    @model_validator(mode="after")
    def _check_judgements(self) -> Self:
        if self.reward.by != METRICS and not self._tells_losses:
            raise ValueError(
                f"reward.by: evaluator '{self.evaluator.name}' tells no training losses; choose {PROXY} or predictor, "
                f"or by: {METRICS}"
            )
        if self.repeats and not self.judged_alike:
            raise ValueError(
                "repeats: candidates are not judged as finalists are, so that two judgements of one cannot be "
                "compared; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _check_filter(self) -> Self:
        if self.filter is not None and self.evaluator.name != PROXY:
            raise ValueError(
                f"filter: is there to save trainings, but evaluator '{self.evaluator.name}' does not train each "
                f"candidate; leave it out, or choose evaluator {PROXY}"
            )
        if self.filter is not None and self.filter.name == PROXY:
            raise ValueError(f"filter: {PROXY} trains what it judges; choose another evaluator, like zero_cost")
        return self

    @property
    def _tells_losses(self) -> bool:
        return self.evaluator.name not in evaluator_names() or self.evaluator.tells_losses  # a plugin may bring it

    @property
    def judged_alike(self) -> bool:
        """Whether candidates are judged in the search as finalists are in the end: by the same kind of training."""
        same = self.finalists_longer == 1 and self.finalists_input_size is None
        return same and self.evaluator.trains_all and self.reward.by == METRICS

    @property
    def final_judgements(self) -> int:
        """How many of the best are trained in the end."""
        if self.finalists is not None:
            return self.finalists
        return 0 if self.judged_alike else FINALISTS

    def with_recipe(self, **changes: Any) -> SearchConfig:
        """Return the same with another training of candidates."""
        recipe = self.training.recipe.model_copy(update=changes)
        return self.model_copy(update={"training": self.training.model_copy(update={"recipe": recipe})})

    def for_finalists(self) -> SearchConfig:
        """Return the same with the finalists' training."""
        size = {} if self.finalists_input_size is None else {"input_size": self.finalists_input_size, "pixels": None}
        return self.with_recipe(steps=round(self.finalists_longer * self.training.recipe.steps), **size)

    @property
    def learned_in_the_end(self) -> tuple[str, ...]:
        """What the network that is found will learn."""
        return self.final_tasks or self.training.tasks

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
        values = {name: getattr(self.training, name) for name in TrainConfig.model_fields}
        return TrainConfig(**{**values, **changes}).with_architecture(architecture)

    def load_initial(self) -> tuple[Architecture, ...]:
        """Return the networks that are judged first.

        Raises:
            ArchitectureError: One cannot be found or is wrong.
        """
        return tuple(
            load_architecture(self.training.architecture if given == BASELINE else given) for given in self.initial
        )

    def standalone(self) -> Self:
        """Return the same search as it can be started anywhere: architectures spelled out, paths absolute.

        Raises:
            ArchitectureError: One cannot be found or is wrong.
        """
        kind, colon, path = self.target.rpartition(":")  # table:FILE.csv
        target = f"{kind}{colon}{Path(path).absolute()}" if is_file(path) else self.target
        initial = tuple(architecture.to_dict() for architecture in self.load_initial())
        bank = None if self.bank is None else str(Path(self.bank).absolute())
        changes = {"training": self.training.standalone(), "target": target, "initial": initial, "bank": bank}
        return self.model_copy(update=changes)

    def identity(self) -> dict[str, Any]:
        """Return what must not change when the search is resumed, the training's values among the others."""
        values = self.model_dump(mode="json")
        return {key: value for key, value in {**values.pop("training"), **values}.items() if key not in CHANGEABLE}

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration's values that an identity holds, still unchecked."""
        values: dict[str, Any] = {key: identity[key] for key in cls.model_fields if key in identity}
        if not isinstance(values.get("evaluator"), Mapping):  # the proxy, or one that is an object
            values.pop("evaluator", None)
        return {**values, "training": {key: identity[key] for key in TrainConfig.model_fields if key in identity}}


def canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's values with one name for each: ``limits.latency_ms`` is ``target_latency_ms``."""
    values = dict(values)
    limits = values.get("limits")
    if isinstance(limits, Mapping) and LATENCY in limits and TARGET not in values:
        values[TARGET] = limits[LATENCY]
        values["limits"] = {name: limit for name, limit in limits.items() if name != LATENCY}
    return values


def training_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the training in a search's configuration, as it was read.

    Raises:
        ConfigError: They are no mapping.
    """
    training = values.get("training", {})
    if not isinstance(training, Mapping):
        raise ConfigError("training: must be a mapping of keys to values")
    return dict(training)


def with_given(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's canonical values with others, which win; limits, reward and filter are merged.

    Args:
        values: The values, as they were read.
        given: The others; None = as it is.
    """
    given = canonical({key: value for key, value in given.items() if value is not None})
    for key in ("limits", "reward", "filter"):
        own = values.get(key)
        if key in given and isinstance(own, Mapping):
            given[key] = {**own, **given[key]}
    return {**values, **given}


def with_chosen(values: Mapping[str, Any], key: str, name: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's values with another controller, evaluator or filter; what is none is left to be refused.

    Args:
        values: The values, as they were read.
        key: ``controller``, ``evaluator`` or ``filter``.
        name: The one to take; if it is another one, without the options of the one that is there. None = as it is.
        options: Its options, which are added to those that it has.
    """
    own = values.get(key) or {}
    if (name is None and not options) or not isinstance(own, Mapping):
        return dict(values)
    defaults = {"controller": ControllerConfig().name, "evaluator": EvaluatorConfig().name}
    known, kept = own.get("name", defaults.get(key)), own.get("options", {})
    if name not in (None, known):
        known, kept = name, {}
    if not isinstance(kept, Mapping):
        return dict(values)
    named = {} if known is None else {"name": known}
    return {**values, key: {**own, **named, "options": {**kept, **options}}}


def load_search_config(path: Path | str) -> SearchConfig:
    """Read a configuration.

    Raises:
        ConfigError: The file is missing, not YAML, or a key or value is wrong; the nearest right key is offered.
    """
    return parse(SearchConfig, read_yaml(path), str(path))


def config_of_run(run: RunFolder, identity: Mapping[str, Any]) -> SearchConfig | None:
    """Return the configuration of a run; without its file that of the study, which lacks what does not decide a search.

    Args:
        run: The run's folder.
        identity: That of its study.

    Returns:
        None for a study of somebody's own program.

    Raises:
        ConfigError: The configuration is wrong.
    """
    if run.config.is_file():
        return load_search_config(run.config)
    if "data" not in identity:
        return None
    return parse(SearchConfig, SearchConfig.from_identity(identity), str(run.study))
