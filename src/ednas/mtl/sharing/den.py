"""Deep elastic networks (Ahn et al., 2019): one backbone, of whose blocks each task runs a part of the channels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ednas.arch import Architecture
from ednas.mtl.sharing.paths import TaskPaths, Way, parse_ways, ways_text
from ednas.nn.blocks import BN_EPS, BN_MOMENTUM, ConvBNAct, ResidualBlock, initialise
from ednas.nn.overlap import overlap
from ednas.nn.sharing import LearnedOptions, gumbel_noise, register_sharing
from ednas.seeding import derive_seed

LEVELS = (0.0, 0.25, 0.5, 1.0)
"""Shares of a block's inner channels; the channels of a smaller one are the first of a larger one."""

FULL = len(LEVELS) - 1

WHOLE = 0.75
"""How often the weights learn as a whole; else at levels that are drawn."""

FORGETS = 0.9
"""What a step leaves of the mean rewards so far."""


@register_sharing("den")
class DEN(TaskPaths):
    """A backbone of whose blocks each task runs a part of the inner channels, or nothing.

    The last normalisation of a block is each level's own. Blocks that do not begin with an expansion are run whole.
    Where the paper's selector is a network that looks at an image, each task has logits here, so that a network is one
    graph; they learn by REINFORCE, of the reward ``(1 - density**2) / rho - loss + 1`` over its running mean.

    Args:
        architecture: The stem and blocks.
        tasks: Names of the tasks.
        **options: Those of :class:`Options`.

    Attributes:
        norms: The last normalisation of a block at all levels but its largest, by ``NUMBER_LEVEL``.
        unfolded: What is run in a deployed network in place of a part of a block, by ``NUMBER_LEVEL``.
        mean_rewards: Running means of the tasks' rewards, ``(T,)``, while levels are learned.
        rewarded: Whether there were any.

    Raises:
        ArchitectureError: The levels are none of these tasks and blocks.
    """

    class Options(LearnedOptions):
        """Options of the sharing ``den``.

        Attributes:
            levels: Of each block for each task: ``segmentation:3321|depth:3103``, of 0, a quarter, half, all of the
                channels; empty = they are learned.
            rho: The larger, the less small networks are worth.
            exploration: What the share of levels that are drawn uniformly is multiplied by in each step.
        """

        levels: str = ""
        rho: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
        exploration: Annotated[float, Field(ge=0, le=1)] = 0.99

    def __init__(self, architecture: Architecture, tasks: Sequence[str], **options: Any) -> None:
        own = self.Options(**options)
        ways = None
        if own.levels:
            ways = parse_ways(own.levels, tasks, len(architecture.blocks), len(LEVELS), "sharing 'den': levels")
        super().__init__(architecture, tasks, own, ways, len(LEVELS))
        self._options = own
        self._widths: dict[int, list[int]] = {}
        self.norms = nn.ModuleDict()
        self.unfolded = nn.ModuleDict()
        self._change_blocks(self._trim)
        self.apply(initialise)
        if not self.is_settled:
            self.mean_rewards: Tensor
            self.rewarded: Tensor
            self.register_buffer("mean_rewards", torch.zeros(len(tasks)))
            self.register_buffer("rewarded", torch.zeros((), dtype=torch.bool))
        self._drawn: list[Way] = []
        self._explores = 1.0
        self._is_rewarded = False

    def _trim(self, number: int, block: nn.Module) -> nn.Module:
        """Return a block with no more channels than tasks run of it; note the widths of its levels."""
        if not (parts := _expanding_parts(block)):
            return block
        widths = self._widths[number] = [math.ceil(level * parts[0].conv.out_channels) for level in LEVELS]
        *lower, largest = sorted(self._choices(number) - {0}) if self.is_settled else range(1, len(LEVELS))
        for level in lower:
            self.norms[f"{number}_{level}"] = nn.BatchNorm2d(parts[-1].conv.out_channels, BN_EPS, BN_MOMENTUM)
        return block if largest == FULL else _narrowed(block, widths[largest])

    def run(self, number: int, block: nn.Module, x: Tensor, choice: int) -> Tensor:
        """Run the first channels of a block."""
        name = f"{number}_{choice}"
        y: Tensor
        if name in self.unfolded:
            return cast("Tensor", self.unfolded[name](x))
        if name not in self.norms:
            return cast("Tensor", block(x))
        *parts, last = _expanding_parts(block)
        y = x
        for part in parts:
            y = _run_first(part, y, self._widths[number][choice])
        conv = last.conv
        y = self.norms[name](F.conv2d(y, conv.weight[:, : y.shape[1]], None, conv.stride, conv.padding))
        return x + y if block.shortcut else y

    def unfold(self) -> None:
        """Give every level of a block that is not its largest weights of its own, in place."""
        _, *blocks = self._layers
        for name, norm in self.norms.items():
            number, level = map(int, name.split("_"))
            own = _narrowed(blocks[number], self._widths[number][level])
            state = blocks[number].state_dict()
            shapes = {key: value.shape for key, value in own.state_dict().items()}
            own.load_state_dict({key: state[key][overlap(shape, state[key].shape)[1]] for key, shape in shapes.items()})
            _expanding_parts(own)[-1].norm.load_state_dict(norm.state_dict())
            self.unfolded[name] = own.to(next(norm.parameters()).device).train(self.training)

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map ``(N, 3, H, W)`` to each group's features."""
        return self.take(image, self._drawn) if self.training and self._drawn else super().forward(image)

    def begin_step(self, step: int, steps: int, seed: int) -> None:
        """Draw levels: of the tasks' own where they learn, of anyone's where weights do."""
        generator = torch.Generator().manual_seed(derive_seed(seed, "sharing", step))
        self._is_rewarded = self.moves_units(step, steps)
        if self._is_rewarded:
            self._explores = self._options.exploration ** self.since_warm_up(step, steps)
            odds = [self._log_odds(logits).detach().cpu() for logits in self.units]
            noise = [gumbel_noise(own.shape, generator) for own in odds]
            self._drawn = [tuple((own + n).argmax(1).tolist()) for own, n in zip(odds, noise, strict=True)]
            return
        way = (FULL,) * self._count
        if torch.rand((), generator=generator) >= WHOLE:
            way = tuple(torch.randint(len(LEVELS), (self._count,), generator=generator).tolist())
        self._drawn = [way] * len(self._tasks)

    def _log_odds(self, logits: Tensor) -> Tensor:
        """Return the logarithms of the probabilities that levels are drawn with, ``(L, levels)``."""
        return (self._explores / len(LEVELS) + (1 - self._explores) * logits.softmax(1)).log()

    def penalty(self, losses: Tensor) -> Tensor | None:
        """Return what moves the levels' probabilities towards those of higher rewards."""
        if not self._is_rewarded:
            return None
        shares = torch.tensor(
            [[*map(self._share, range(self._count), way)] for way in self._drawn], device=losses.device
        )
        rewards = (1 - shares.mean(1) ** 2) / self._options.rho - losses + 1
        means = torch.where(self.rewarded, self.mean_rewards, rewards)
        self.rewarded.fill_(True)
        self.mean_rewards.copy_(FORGETS * means + (1 - FORGETS) * rewards)
        drawn = [
            self._log_odds(logits)[range(self._count), list(way)].sum()
            for logits, way in zip(self.units, self._drawn, strict=True)
        ]
        return -((rewards - means) * torch.stack(drawn)).sum()

    def _share(self, number: int, level: int) -> float:
        """Return how much of a block is run: of one that cannot be narrowed all, if anything."""
        return LEVELS[level] if number in self._widths else float(level > 0)

    def pattern(self) -> Mapping[str, Any]:
        """Return the most probable levels."""
        return {"levels": ways_text(self._tasks, self.most_probable())}


def _expanding_parts(block: nn.Module) -> list[ConvBNAct]:
    """Return the parts of a block that expands its input at first, and so can be run with fewer channels inside."""
    if not isinstance(block, ResidualBlock):
        return []
    parts = [part for part in block.children() if isinstance(part, ConvBNAct)]
    return parts if len(parts) == len(block) > 1 and parts[0].conv.groups == 1 else []


def _run_first(part: ConvBNAct, x: Tensor, width: int) -> Tensor:
    """Run the first channels of a convolution, of its normalisation and of its activation."""
    conv, norm = part.conv, part.norm
    inputs, groups = (slice(None), width) if conv.groups > 1 else (slice(x.shape[1]), 1)
    y = F.conv2d(x, conv.weight[:width, inputs], None, conv.stride, conv.padding, groups=groups)
    mean, variance = norm.get_buffer("running_mean")[:width], norm.get_buffer("running_var")[:width]
    y = F.batch_norm(y, mean, variance, norm.weight[:width], norm.bias[:width], norm.training, BN_MOMENTUM, BN_EPS)
    return F.relu6(y, inplace=True)


def _narrowed(block: nn.Module, width: int) -> ResidualBlock:
    """Return a block like another one, with fewer channels inside."""
    parts = _expanding_parts(block)
    made = {}
    for name, part in zip([name for name, _ in block.named_children()], parts, strict=True):
        conv = part.conv
        made[name] = ConvBNAct(
            conv.in_channels if part is parts[0] else width,
            conv.out_channels if part is parts[-1] else width,
            conv.kernel_size[0],
            conv.stride[0],
            width if conv.groups > 1 else 1,
            act=part is not parts[-1],
        )
    return ResidualBlock(made, shortcut=bool(block.shortcut))
