"""Each task's gradient alone, of what tasks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class TaskGradients:
    """Gathers the gradients of each task's loss, and puts them together.

    What several tasks have a gradient of, they share; whatever the network is like.

    Args:
        network: Whose parameters' gradients.
        tasks: Number of tasks T.
    """

    def __init__(self, network: nn.Module, tasks: int) -> None:
        self._parameters = dict(network.named_parameters())
        self._gradients: list[dict[str, Tensor]] = [{} for _ in range(tasks)]

    def add(self, losses: Sequence[Tensor], backward: Callable[..., None]) -> None:
        """Add the gradients of the tasks' losses, by one backward pass each.

        Args:
            losses: T losses of one forward pass.
            backward: Called as ``backward(loss, retain_graph=...)``; leaves the gradient in the parameters.
        """
        for number, (loss, gradients) in enumerate(zip(losses, self._gradients, strict=True), 1):
            backward(loss, retain_graph=number < len(losses))
            for name, parameter in self._parameters.items():
                if parameter.grad is not None:
                    gradients[name] = gradients[name] + parameter.grad if name in gradients else parameter.grad
                    parameter.grad = None

    def gramian(self) -> Tensor:
        """Return the inner products of the tasks' gradients of what they share, ``(T, T)``, float64, on the CPU."""
        shared = self._shared()
        if not shared:
            return torch.zeros(len(self._gradients), len(self._gradients), dtype=torch.float64)
        rows = [
            torch.cat([gradients.get(name, torch.zeros_like(self._parameters[name])).flatten() for name in shared])
            for gradients in self._gradients
        ]
        matrix = torch.stack(rows).float()
        return (matrix @ matrix.T).double().cpu()

    def combine(self, weights: Tensor) -> None:
        """Leave in the parameters the sum of the gradients times weights ``(T,)``; unweighed where one task has one."""
        shared = self._shared()
        for name, parameter in self._parameters.items():
            if name in shared:
                first, *others = (w * own[name] for w, own in zip(weights, self._gradients, strict=True) if name in own)
                parameter.grad = sum(others, first)  # lies in memory as the parameter does, unlike a stack
            else:
                parameter.grad = next((own[name] for own in self._gradients if name in own), None)
        for own in self._gradients:
            own.clear()

    def _shared(self) -> list[str]:
        count = Counter(name for gradients in self._gradients for name in gradients)
        return [name for name in self._parameters if count[name] > 1]
