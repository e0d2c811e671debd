"""A trained (or fresh) network together with all that is needed to use it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ednas.arch import Architecture
from ednas.data.sample import TargetInfo
from ednas.nn import MultiTaskNetwork
from ednas.tasks import Task, make_tasks
from ednas.training.config import Normalisation


@dataclass(frozen=True)
class Model:
    """A network and what surrounds it: enough to predict, to evaluate and to export, without the dataset.

    Attributes:
        network: Takes a normalised image ``(N, 3, H, W)``; see :class:`~ednas.nn.MultiTaskNetwork`.
        architecture: What the network was built from.
        tasks: By name, in the order of the heads.
        targets: What the dataset said about the targets that the tasks read (classes, units), by target name.
        task_options: Options that the tasks were made with.
        input_size: ``(H, W)`` that the network was trained and is evaluated at.
        normalisation: What happens to an image before the network.
        dataset: Name of the dataset that it was trained on.
        data_options: Options of the dataset's format that it was opened with.
        plugins: Files or modules of the user's own code that its tasks, losses, backbone and decoder may come from.
        steps: Training steps; 0 = not trained.
        seed: Seed of the training run.
    """

    network: MultiTaskNetwork
    architecture: Architecture
    tasks: Mapping[str, Task]
    targets: Mapping[str, TargetInfo]
    input_size: tuple[int, int]
    task_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    normalisation: Normalisation = field(default_factory=Normalisation)
    dataset: str = ""
    data_options: Mapping[str, Any] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    steps: int = 0
    seed: int = 0

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean of red, green and blue that the image is normalised by."""
        return self.normalisation.mean

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of red, green and blue that the image is normalised by."""
        return self.normalisation.std

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that the first task on class labels predicts; empty if there are none."""
        infos = (self.targets[task.target] for task in self.tasks.values())
        return next((info.class_names for info in infos if info.kind == "labels"), ())

    @property
    def params(self) -> int:
        """Number of trainable parameters, heads included."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Model:
        """Move the network to a device, in place, and return the model."""
        self.network.to(device)
        return self

    def with_training(self, *, steps: int, seed: int) -> Model:
        """Return the same model, marked as trained for ``steps`` steps from ``seed``."""
        return dataclasses.replace(self, steps=steps, seed=seed)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map images ``(N, 3, H, W)`` in [0, 1] to the raw output of every task, ``(N, C, H, W)``.

        Whether batch normalisation uses its running statistics is the caller's to say (``network.eval()``).
        """
        outputs: dict[str, Tensor] = self.network(normalise(image, self.normalisation))
        return outputs


def build_model(
    architecture: Architecture,
    tasks: tuple[str, ...],
    targets: Mapping[str, TargetInfo],
    *,
    input_size: tuple[int, int],
    seed: int = 0,
    task_options: Mapping[str, Mapping[str, Any]] | None = None,
    normalisation: Normalisation | None = None,
    dataset: str = "",
    data_options: Mapping[str, Any] | None = None,
    plugins: tuple[str, ...] = (),
) -> Model:
    """Make a model with fresh weights, a pure function of the arguments.

    Args:
        architecture: What the network is built from.
        tasks: Names of the tasks, in the order of the heads.
        targets: The dataset's targets (``dataset.info.targets``).
        input_size: ``(H, W)``.
        seed: Seed of the weights; torch's own generator is not touched.
        task_options: Options by task name.
        normalisation: What happens to an image before the network.
        dataset: Name of the dataset.
        data_options: Options of its format that it was opened with.
        plugins: Files or modules that the user's own parts may come from.

    Raises:
        ConfigError: A task is unknown, does not fit the targets, or has a wrong option.
        ArchitectureError: A backbone or decoder of the user's own is not registered or does not fit.
    """
    made = make_tasks(tasks, targets, task_options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MultiTaskNetwork(architecture, {name: task.channels for name, task in made.items()})
    return Model(
        network=network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        architecture=architecture,
        tasks=made,
        targets={task.target: targets[task.target] for task in made.values()},
        input_size=input_size,
        task_options={name: dict(options) for name, options in (task_options or {}).items() if options},
        normalisation=normalisation or Normalisation(),
        dataset=dataset,
        data_options=dict(data_options or {}),
        plugins=plugins,
        seed=seed,
    )


def normalise(image: Tensor, normalisation: Normalisation) -> Tensor:
    """Normalise images ``(N, 3, H, W)`` in [0, 1]; the result is in ``channels_last`` memory format."""
    mean, std = (image.new_tensor(values).view(1, 3, 1, 1) for values in (normalisation.mean, normalisation.std))
    return (image.contiguous(memory_format=torch.channels_last) - mean).div_(std)
