"""Ways to settle conflicts between tasks' gradients, from the library TorchJD (``pip install "ednas[mtl]"``)."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from ednas.config import StrictModel
from ednas.exceptions import ConfigError
from ednas.mtl.weighting.base import GradientWeighting, register_weighting
from ednas.seeding import derive_seed

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _FromLibrary(GradientWeighting):
    """Weights that TorchJD finds in the Gramian."""

    def __init__(self, tasks: int, seed: int = 0) -> None:
        super().__init__(tasks, seed)
        try:
            self._find = self._load()
        except ImportError as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f'weighting: needs TorchJD and its solvers; pip install "ednas[mtl]" ({reason})'
            ) from None

    @abstractmethod
    def _load(self) -> Callable[[Tensor], Tensor]:
        """Return the library's weighting, a function of the Gramian."""

    def weigh(self, gramian: Tensor, losses: Tensor, step: int) -> Tensor:
        """Return the weights."""
        with torch.random.fork_rng(devices=[]):  # some draw, from torch's own generator
            torch.manual_seed(derive_seed(self.seed, "weighting", step))
            return self._find(gramian).to(losses)


@register_weighting("pcgrad")
class PCGrad(_FromLibrary):
    """Takes from each gradient what goes against another one (Yu et al., 2020)."""

    def _load(self) -> Callable[[Tensor], Tensor]:
        from torchjd.aggregation import PCGradWeighting

        return PCGradWeighting()


@register_weighting("cagrad")
class CAGrad(_FromLibrary):
    """Stays near the mean gradient, and helps the task that is helped least (Liu et al., 2021).

    Args:
        tasks: Number of tasks.
        seed: The run's.
        **options: Those of :class:`Options`.
    """

    class Options(StrictModel):
        """Options of the weighting ``cagrad``.

        Attributes:
            c: How far from the mean gradient it may go, as a share of that one's norm.
        """

        c: NonNegative = 0.4

    def __init__(self, tasks: int, seed: int = 0, *, c: float = 0.4) -> None:
        self._c = c
        super().__init__(tasks, seed)

    def _load(self) -> Callable[[Tensor], Tensor]:
        from torchjd.aggregation import CAGradWeighting

        return CAGradWeighting(self._c)


@register_weighting("imtl")
class IMTL(_FromLibrary):
    """Goes where all tasks' gradients have projections of one length (IMTL-G; Liu et al., 2021)."""

    def _load(self) -> Callable[[Tensor], Tensor]:
        from torchjd.aggregation import IMTLGWeighting

        return IMTLGWeighting()


@register_weighting("aligned")
class AlignedMTL(_FromLibrary):
    """Makes the gradients orthogonal and equally long (Senushkin et al., 2023).

    Args:
        tasks: Number of tasks.
        seed: The run's.
        **options: Those of :class:`Options`.
    """

    class Options(StrictModel):
        """Options of the weighting ``aligned``.

        Attributes:
            scale: Which singular value becomes their length.
        """

        scale: Literal["min", "median", "rmse"] = "min"

    def __init__(self, tasks: int, seed: int = 0, *, scale: Literal["min", "median", "rmse"] = "min") -> None:
        self._scale: Literal["min", "median", "rmse"] = scale
        super().__init__(tasks, seed)

    def _load(self) -> Callable[[Tensor], Tensor]:
        from torchjd.aggregation import AlignedMTLWeighting

        return AlignedMTLWeighting(scale_mode=self._scale)


@register_weighting("upgrad")
class UPGrad(_FromLibrary):
    """Projects each gradient to where no task loses, and takes the mean (Quinton and Rey, 2024)."""

    def _load(self) -> Callable[[Tensor], Tensor]:
        from torchjd.aggregation import UPGradWeighting

        return UPGradWeighting()


@register_weighting("nash")
class Nash(_FromLibrary):
    """Goes where tasks would agree in Nash's bargaining game (Navon et al., 2022).

    Where gradients conflict so much that the library's solver finds no answer, the last weights stay.

    Args:
        tasks: Number of tasks.
        seed: The run's.
        **options: Those of :class:`Options`.
    """

    class Options(StrictModel):
        """Options of the weighting ``nash``.

        Attributes:
            every: Steps after which the game is played anew; in between the weights stay.
            max_norm: Largest norm of the sum of the gradients; 0 = no limit.
        """

        every: PositiveInt = 1
        max_norm: NonNegative = 1.0

    def __init__(self, tasks: int, seed: int = 0, *, every: int = 1, max_norm: float = 1.0) -> None:
        super().__init__(tasks, seed)
        self._every = every
        self._max_norm = max_norm
        self.last: Tensor
        self.register_buffer("last", torch.ones(tasks, dtype=torch.float64))

    def _load(self) -> Callable[[Tensor], Tensor]:
        from torchjd.aggregation import NashMTL

        solver = NashMTL(self.tasks, max_norm=0).weighting

        def solve(gramian: Tensor) -> Tensor:
            # It begins with its last solution, which it keeps where a resumed run would not find it.
            solver.prvs_alpha = self.last.cpu().numpy()
            values, vectors = torch.linalg.eigh(gramian)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # CVXPY's, of how the library states its problem
                found: Tensor = solver(vectors * values.clamp(min=0).sqrt())  # a matrix whose Gramian it is
            return found

        return solve

    def weigh(self, gramian: Tensor, losses: Tensor, step: int) -> Tensor:
        """Return the weights."""
        if step % self._every == 0:
            self.last.copy_(super().weigh(gramian, self.last, step))
        weights = self.last.cpu()
        norm = (weights @ gramian @ weights).sqrt()
        if 0 < self._max_norm < norm:
            weights = weights * (self._max_norm / norm)
        return weights.to(losses)
