"""One step of training: forward, weighted sum of the losses, backward, Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from ednas.tasks import Task
from ednas.training.config import Normalisation
from ednas.training.model import normalise
from ednas.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from lightning.fabric.wrappers import _FabricOptimizer


class TrainingStep:
    """Trains a network by one batch per call.

    Args:
        network: Maps a normalised image to raw outputs by task; moved to Fabric's device and to ``channels_last``, in
            place.
        tasks: By name, as the network's outputs.
        recipe: Optimizer, learning rate and loss weights.
        fabric: Device, precision and, with several processes, the averaging of gradients.
        normalisation: What happens to an image before the network.

    Attributes:
        network: As given.
        optimizer: Adam over its parameters.
        weights: Weight of each task's loss.

    Raises:
        ConfigError: The loss weights do not fit the tasks.
    """

    def __init__(
        self,
        network: nn.Module,
        tasks: Mapping[str, Task],
        recipe: Recipe,
        fabric: Fabric,
        normalisation: Normalisation,
    ) -> None:
        self.weights = recipe.task_weights(tasks)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._tasks = tasks
        self._recipe = recipe
        self._fabric = fabric
        self._normalisation = normalisation
        self._module = fabric.setup_module(self.network)
        self.optimizer = _make_optimizer(self.network, recipe, fabric)
        self._stepper = cast("_FabricOptimizer", fabric.setup_optimizers(self.optimizer))
        self._module.train()

    def __call__(self, batch: Mapping[str, Tensor], step: int) -> Tensor:
        """Train by a batch.

        Args:
            batch: As :class:`ednas.data.loader.BatchLoader` yields it.
            step: Number of the step, from 0, which sets the learning rate.

        Returns:
            The losses before the step, not weighted, one per task, ``(T,)``, detached, on the device.
        """
        self._stepper.zero_grad(set_to_none=True)  # first, so that old gradients take no memory beside activations
        for group in self.optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate_at(step)
        losses = self._losses(batch)
        total = torch.stack([w * loss for w, loss in zip(self.weights.values(), losses, strict=True)]).sum()
        self._fabric.backward(total)
        if self._recipe.grad_clip is not None:
            self._fabric.clip_gradients(
                self._module, self._stepper, max_norm=self._recipe.grad_clip, error_if_nonfinite=False
            )
        self._stepper.step()
        return torch.stack([loss.detach() for loss in losses])

    def _losses(self, batch: Mapping[str, Tensor]) -> list[Tensor]:
        """The losses alone: outputs that no loss needs for its gradient are freed before the backward pass."""
        outputs = self._module(normalise(batch["image"], self._normalisation))
        return [task.loss(outputs.pop(name), batch[task.target]) for name, task in self._tasks.items()]

    def train(self) -> None:
        """Return to training mode, after an evaluation in between."""
        self._module.train()


def _make_optimizer(network: nn.Module, recipe: Recipe, fabric: Fabric) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if recipe.decoupled else torch.optim.Adam
    # The fused step unscales float16 gradients by itself, too late for them to be clipped.
    clips_float16 = recipe.grad_clip is not None and fabric._precision.precision == "16-mixed"
    fused = fabric.device.type in ("cpu", "cuda") and not clips_float16
    return kind(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused)
