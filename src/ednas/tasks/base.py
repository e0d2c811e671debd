"""What a task is, and how users add tasks of their own.

A task says which label it learns from, how many channels its head has, what its loss and metrics are, and what its
output looks like. The package has three (segmentation, depth, normals); others come from outside, without a change
here. A task of one's own is a class in any file:

.. code-block:: python

    class EdgeTask(Task):
        name = "edges"
        target = "segmentation"  # reads the class labels and derives the borders between classes
        channels = 1

        def __init__(self, target_info: TargetInfo, positive_weight: float = 5.0) -> None: ...
        def loss(self, prediction, target): ...
        def metrics(self, protocol="standard"): ...
        def decode(self, prediction): ...
        def picture(self, decoded): ...

    register_task("edges", EdgeTask)

``examples/edge_task.py`` is this task in full. :func:`ednas.load_plugin` imports such a file, after which
``make_task("edges", dataset.info.targets["segmentation"])`` works as for a built-in task.

This module imports no torch, so that listing tasks is quick.
"""

from __future__ import annotations

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from ednas.exceptions import ConfigError, hint

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from ednas.data.legend import Legend
    from ednas.data.sample import TargetInfo, TargetKind

EvaluationProtocol = Literal["standard", "adashare"]
"""How metrics are measured: the field's definitions, or those of AdaShare, which the paper's numbers follow."""

PROTOCOLS: tuple[str, ...] = get_args(EvaluationProtocol)


TaskDecoding = Literal["argmax", "depth", "normals", "raw"]
"""What :meth:`Task.decode` does, for programs that read an exported model: the class of the largest channel, a clamp at
0, a division by the length, or something of the task's own."""


class TaskMetrics(ABC):
    """Metrics of one task, gathered batch by batch.

    Attributes:
        higher_is_better: Every metric's name and direction, in the order of :meth:`compute`.
        units: Units of metrics that depend on the data or are not built in, for tables; may be empty.
    """

    higher_is_better: Mapping[str, bool]
    units: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch.

        Args:
            prediction: Raw output of the network ``(N, C, h, w)``; resized to the target's size if sizes differ.
            target: The batch's target, as it comes from the data.

        Raises:
            TrainingError: The prediction has the wrong shape or holds NaN or infinite values.
            DataError: The target has the wrong shape or holds impossible values.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return the metrics of everything taken in since the last reset.

        Raises:
            DataError: Nothing valid was taken in.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget everything taken in."""

    def classes(self) -> dict[str, dict[str, float | None]]:
        """Return ``iou`` and ``acc`` in percent by class name, None where not defined; empty without classes.

        Raises:
            DataError: Nothing valid was taken in.
        """
        return {}

    def confusion(self) -> list[list[int]]:
        """Return how many pixels of each class (row) were predicted as each (column); empty without classes.

        Raises:
            DataError: Nothing valid was taken in.
        """
        return []

    def remark(self) -> str:
        """Say what is wrong with the predictions that no metric tells; empty, as by default, if nothing is."""
        return ""


class Task(ABC):
    """A dense prediction task.

    A subclass sets the attributes; where its class says no ``target``, that is the name. Its constructor takes the
    :class:`~ednas.data.sample.TargetInfo` of its target and then options by keyword.

    Attributes:
        name: Name of the task, of its head and of its part in ``metrics.json``.
        target: Name of the dataset's target that the task learns from.
        channels: Number of output channels of the task's head; of the class where it does not depend on the data.
        decoding: What :meth:`decode` does; ``raw`` where a subclass has a ``decode`` of its own and says nothing.
    """

    name: str
    target: str
    channels: int
    decoding: TaskDecoding = "raw"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__ and not hasattr(cls, "target"):
            cls.target = cls.name
        if "decode" in cls.__dict__ and "decoding" not in cls.__dict__:
            cls.decoding = "raw"

    @abstractmethod
    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Training loss of a batch.

        Args:
            prediction: Raw output of the network, ``(N, C, h, w)``.
            target: The batch's target.

        Returns:
            A scalar; 0, still attached to the graph, where no pixel has a valid label.
        """

    def imitation(self, prediction: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:  # noqa: ARG002
        """Say how far a batch's output is from a teacher's, over all pixels, with and without a label.

        By default the mean absolute difference of the raw outputs, which is right for values and usable for logits.

        Args:
            prediction: Raw output of the network, ``(N, C, h, w)``.
            teacher: Raw output of the teacher for the same images, of the same shape; has no gradient.
            temperature: Above 0; softens outputs that are logits of classes, and means nothing to others.

        Returns:
            A scalar, 0 where the outputs are the same.
        """
        return (prediction.float() - teacher.float()).abs().mean()

    @abstractmethod
    def metrics(self, protocol: EvaluationProtocol = "standard") -> TaskMetrics:
        """Return metrics with fresh state.

        Raises:
            ConfigError: Unknown protocol.
        """

    @abstractmethod
    def decode(self, prediction: Tensor) -> Tensor:
        """Turn raw output ``(N, C, H, W)`` into what the task predicts (class ids, depth, unit normals)."""

    def decode_target(self, target: Tensor) -> Tensor:
        """Bring a batch's target into the form that :meth:`decode` yields; the identity by default.

        A task that derives its labels from another target overrides this, so that ``picture`` can show them.
        """
        return target

    def trivial(self, targets: Iterable[Tensor]) -> Tensor | None:  # noqa: ARG002
        """Predict without a network: what each pixel's label is on average.

        It says what the metrics are worth: a network that is no better has learned nothing from its images. Optional.

        Args:
            targets: Batches of the training data's target.

        Returns:
            Raw output ``(1, C, H, W)``, the same for every image; None, as by default, if there is no such prediction.
        """
        return None

    @abstractmethod
    def picture(self, decoded: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
        """Paint one decoded image or label.

        Args:
            decoded: One image of what :meth:`decode` or :meth:`decode_target` yields, without the batch axis.

        Returns:
            RGB, ``uint8`` ``(H, W, 3)``; pixels without a label have a colour of their own.
        """

    def legend(self, decoded: npt.NDArray[np.generic]) -> Legend:  # noqa: ARG002
        """Say what the colours of a picture mean; by default nothing.

        Args:
            decoded: As for :meth:`picture`.

        Returns:
            Every colour that such a picture can have and a name for it; what draws it leaves out those it has not.
        """
        from ednas.data.legend import Legend

        return Legend()

    def paint(
        self,
        decoded: npt.NDArray[np.generic],
        value_range: tuple[float, float] | None = None,  # noqa: ARG002
    ) -> tuple[npt.NDArray[np.uint8], Legend]:
        """Return a picture and its legend.

        Args:
            decoded: As for :meth:`picture`.
            value_range: Smallest and largest value of the colour scale, of a task that has one; by default it has none.
        """
        return self.picture(decoded), self.legend(decoded)

    def sky(self, decoded: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_] | np.bool_:  # noqa: ARG002
        """Return where a decoded image says sky, ``(H, W)``; by default nowhere."""
        import numpy as np

        return np.False_

    def with_sky(
        self,
        decoded: npt.NDArray[Any],
        sky: npt.NDArray[np.bool_] | np.bool_,  # noqa: ARG002
        label: npt.NDArray[Any] | None = None,  # noqa: ARG002
    ) -> npt.NDArray[Any]:
        """Return a decoded image as it is painted where the classes of the image say sky; by default as it is.

        Args:
            decoded: As for :meth:`picture`.
            sky: Where ``(H, W)``; False = nowhere.
            label: The decoded label, where there is one: what it knows is right, whatever the classes say.
        """
        return decoded


TaskFactory = Callable[..., Task]
"""Makes a task from a ``TargetInfo`` and options by keyword; usually the class itself."""


@dataclass(frozen=True)
class _Entry:
    factory: TaskFactory
    target: str


# Imported on first use: each module registers its task, and needs torch to do so.
_BUILT_IN = {
    "segmentation": "ednas.tasks.segmentation.task",
    "depth": "ednas.tasks.depth",
    "normals": "ednas.tasks.normals",
}
_registry: dict[str, _Entry] = {}


def register_task(name: str, factory: TaskFactory, *, target: str | None = None, replace: bool = False) -> None:
    """Make a task known by name.

    Args:
        name: The name, for configurations and the command line.
        factory: Called as ``factory(target_info, **options)``; usually a subclass of :class:`Task`.
        target: The dataset's target that the task reads; by default the factory's attribute ``target``, else ``name``.
        replace: Allow the name to be taken already (in a notebook, where a cell runs twice).

    Raises:
        ConfigError: The name is empty or taken.
    """
    if not name:
        raise ConfigError("a task needs a name that is not empty")
    built_in = name in _BUILT_IN and getattr(factory, "__module__", None) == _BUILT_IN[name]
    if name in task_names() and not built_in and not replace:
        raise ConfigError(f"a task '{name}' exists already; choose another name, or pass replace=True")
    if target is None:
        declared = getattr(factory, "target", None)
        target = declared if isinstance(declared, str) else name
    if name in _BUILT_IN and not built_in:
        importlib.import_module(_BUILT_IN[name])  # else it would come later and take the name back
    _registry[name] = _Entry(factory, target)


def task_names() -> list[str]:
    """Names of all known tasks, sorted."""
    return sorted({*_registry, *_BUILT_IN})


def task_target(name: str) -> str:
    """Name of the dataset's target that a task reads.

    Raises:
        ConfigError: Unknown task, with the nearest known name.
    """
    return _entry(name).target


def task_channels(name: str) -> int | None:
    """Number of output channels of a task's head; None where it depends on the data, as that of classes does.

    Raises:
        ConfigError: Unknown task, with the nearest known name.
    """
    channels = getattr(_entry(name).factory, "channels", None)
    return channels if isinstance(channels, int) else None


def takes_losses(name: str) -> bool:
    """Whether a task has the option ``loss``, and so takes registered losses (:func:`ednas.tasks.register_loss`).

    Raises:
        ConfigError: Unknown task, with the nearest known name.
    """
    return "loss" in inspect.signature(_entry(name).factory).parameters


def make_task(name: str, target_info: TargetInfo, **options: Any) -> Task:
    """Make a task for a target of a dataset.

    Args:
        name: A built-in or registered task.
        target_info: What the dataset says about the target ``task_target(name)``.
        options: The task's own options, for example ``loss="jared"`` for depth.

    Raises:
        ConfigError: Unknown task (with the nearest known name), unknown option, an option's value is wrong, the
            target is of the wrong kind for the task, or a user's own factory makes no complete task.
    """
    factory = _entry(name).factory
    try:
        signature = inspect.signature(factory)
        signature.bind(target_info, **options)
    except TypeError as error:
        raise ConfigError(f"task '{name}': {_describe_options(signature, options, error)}") from None
    task = factory(target_info, **options)
    missing = [attribute for attribute in ("name", "target", "channels") if not hasattr(task, attribute)]
    if missing or not isinstance(task, Task):
        what = f"sets no '{missing[0]}'" if isinstance(task, Task) else "is no subclass of ednas.tasks.Task"
        raise ConfigError(f"task '{name}': {type(task).__name__} {what}")
    return task


def make_tasks(
    names: Iterable[str],
    targets: Mapping[str, TargetInfo],
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Task]:
    """Make several tasks for one dataset.

    Args:
        names: The tasks, in the order of the result.
        targets: The dataset's targets (``dataset.info.targets``).
        options: Options by task name.

    Raises:
        ConfigError: As :func:`make_task`; a task is named twice; the dataset lacks the target that a task reads; or
            options are given for a task that is not made.
    """
    names = list(names)
    for name in options or {}:
        if name not in names:
            raise ConfigError(f"options for task '{name}', which is not among the tasks {', '.join(names)}")
    tasks: dict[str, Task] = {}
    for name in names:
        if name in tasks:
            raise ConfigError(f"task '{name}' is named twice")
        target = task_target(name)
        if target not in targets:
            raise ConfigError(
                f"task '{name}' reads the target '{target}', but the dataset has {', '.join(sorted(targets)) or 'none'}"
            )
        tasks[name] = make_task(name, targets[target], **(options or {}).get(name, {}))
    return tasks


def check_kind(task: str, target_info: TargetInfo, *kinds: TargetKind) -> None:
    """Check that a target is of a kind that a task can learn from.

    Raises:
        ConfigError: It is not.
    """
    if target_info.kind not in kinds:
        raise ConfigError(
            f"task '{task}' needs a target of kind {' or '.join(kinds)}, but the dataset's is '{target_info.kind}'"
        )


def check_protocol(protocol: str) -> EvaluationProtocol:
    """Check the name of an evaluation protocol, and return it.

    Raises:
        ConfigError: Unknown protocol, with the nearest known name.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol '{protocol}'; {hint(protocol, PROTOCOLS)}")
    return cast(EvaluationProtocol, protocol)


def _entry(name: str) -> _Entry:
    if name not in _registry and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    if name not in _registry:
        raise ConfigError(f"unknown task '{name}'; {hint(name, task_names())}")
    return _registry[name]


def _describe_options(signature: inspect.Signature, options: Mapping[str, Any], error: TypeError) -> str:
    known = [p.name for p in signature.parameters.values() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)][1:]
    unknown = next((option for option in options if option not in known), None)
    return str(error) if unknown is None else f"no option '{unknown}'; {hint(unknown, known)}"
