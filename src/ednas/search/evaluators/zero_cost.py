"""Scores of networks that were never trained: features for a predictor, and a filter of the worst; never a ranking.

``grad_norm`` is the norm of the gradient of the tasks' own losses at the first weights (Abdelfattah et al., ICLR 2021):
of the scores that need no training, those that see the real loss tell dense-prediction networks apart best.
``naswot`` counts in how many units two images differ in where they are on the activation (Mellor et al., ICML 2021);
ReLU6 has three places: off, linear, saturated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field

from ednas.arch import Architecture
from ednas.config import StrictModel
from ednas.search.evaluators.base import Evaluation
from ednas.search.evaluators.setting import Setting, register_evaluator

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ednas.training.config import TrainConfig

TASK = "untrained"
"""Under which the scores stand, in place of a task."""

Score = Literal["grad_norm", "naswot"]
SCORES: tuple[Score, ...] = get_args(Score)

SAMPLES = 16
"""Training images that are looked at."""


class ZeroCostOptions(StrictModel):
    """Which scores there are.

    Attributes:
        scores: Of ``grad_norm`` and ``naswot``; an accuracy (Eq. 6) is their mean.
    """

    scores: tuple[Score, ...] = Field(default=SCORES, min_length=1)


@register_evaluator("zero_cost", ZeroCostOptions)
def make_zero_cost(setting: Setting, options: ZeroCostOptions) -> ZeroCostEvaluator:
    """Return what scores candidates."""
    return ZeroCostEvaluator(setting.training, setting.device, options.scores)


@dataclass(frozen=True)
class ZeroCostEvaluator:
    """Scores a candidate by one batch and one backward pass.

    Attributes:
        config: Data, tasks and losses; architecture and seed come with each candidate.
        device: Where to compute.
        scores: Which scores to tell.
    """

    config: TrainConfig
    device: str = "auto"
    scores: tuple[Score, ...] = SCORES

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        """Score a candidate.

        Raises:
            TrainingError: A score is not finite.
            EdnasError: The configuration or the data are wrong.
        """
        import torch

        from ednas.data.loader import load_samples, spread_rows
        from ednas.plugins import load_plugins
        from ednas.training import prepare_judgement
        from ednas.training.device import resolve_device

        load_plugins(self.config.plugins)
        config = self.config.with_architecture(architecture).model_copy(update={"seed": seed})
        model, split, _ = prepare_judgement(config)
        model.to(resolve_device(self.device))
        batch = load_samples(split, spread_rows(split, SAMPLES), sorted(model.targets), model.device)
        model.network.train()
        codes = ActivationCodes(model.network)
        outputs = model.forward(batch["image"])
        weights = config.recipe.task_weights(model.tasks)
        loss = torch.stack(
            [weights[name] * task.loss(outputs[name], batch[task.target]) for name, task in model.tasks.items()]
        ).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        found: dict[str, float] = {"grad_norm": gradient_norm(model.network), "naswot": codes.score()}
        return Evaluation({TASK: {name: found[name] for name in self.scores}}, dict.fromkeys(self.scores, True))


def gradient_norm(network: nn.Module) -> float:
    """Return the sum over all tensors of the norms of their gradients."""
    return sum(float(p.grad.norm()) for p in network.parameters() if p.grad is not None)


class ActivationCodes:
    """Watches where each image is on every ReLU6 of a network, from the next forward pass on.

    Args:
        network: In the mode in which it is to be scored.
    """

    def __init__(self, network: nn.Module) -> None:
        from torch import nn

        self._agreements: Tensor | None = None
        for module in network.modules():
            if isinstance(module, nn.ReLU6):
                module.register_forward_pre_hook(self._watch)

    def score(self) -> float:
        """Return the logarithm of the determinant of the matrix of agreements: how well the images are told apart."""
        import torch

        if self._agreements is None:
            return 0.0
        return float(torch.linalg.slogdet(self._agreements).logabsdet)

    def _watch(self, _module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        """Add in how many units each two images are at the same place."""
        import torch

        with torch.no_grad():
            flat = inputs[0].detach().flatten(1)
            places = [(flat <= 0), (flat > 0) & (flat < 6), (flat >= 6)]
            agreements = torch.stack([(at := place.float()) @ at.T for place in places]).sum(0).double()
            self._agreements = agreements if self._agreements is None else self._agreements + agreements
