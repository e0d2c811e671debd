"""Quantisation-aware fine-tuning: a trained network learns to live with int8 before it is converted.

It is trained in the arithmetic of the int8 file (the quantiser's ``static_wi8_ai8``), simulated in floating point:
weights are rounded per output channel, after batch normalisation has been folded into them, and what an operator yields
is rounded per tensor, after the ReLU6 that the runtime fuses with it; so is the image. Rounding has no gradient of use,
so that gradients pass it as if it were not there (straight-through).

The graph that is rounded is the one that converters get, from :func:`torch.export.export`. What comes out is an
ordinary network of the same architecture: it is quantised as any other is, and loses less by it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ednas.config import parse
from ednas.data.augment import AugmentConfig
from ednas.data.cache import CachedSplit
from ednas.data.loader import BatchLoader
from ednas.data.matching import match_labels
from ednas.nn import MultiTaskNetwork
from ednas.nn.heads import resize_bilinear
from ednas.seeding import derive_seed
from ednas.training.callbacks import Callback
from ednas.training.device import make_fabric
from ednas.training.loop import fit
from ednas.training.model import Model
from ednas.training.recipe import Recipe

QMIN, QMAX = -128, 127
"""Range of int8; weights, which are symmetric, do not use -128."""

STEPS, LEARNING_RATE = 200, 3e-4
"""Of :func:`finetune`, where the caller says nothing."""

_SMALLEST_RANGE = 1e-9
"""The quantiser's: a tensor of zeros has a scale, too."""

_aten = torch.ops.aten
_RELU6 = _aten.hardtanh.default


def finetune(
    model: Model,
    data: CachedSplit,
    *,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = 16,
    seed: int = 0,
    augment: AugmentConfig | None = AugmentConfig(scale=(0.8, 1.25)),  # noqa: B008 (frozen)
    loss_weights: Mapping[str, float] | None = None,
    device: str = "auto",
    progress: Callback | None = None,
) -> Model:
    """Train a model on under simulated int8, so that it loses less when it is quantised.

    Batch normalisation keeps its statistics; its scales and offsets learn, as the weights do. The result is a pure
    function of the arguments: on a CPU with the same number of threads, bit for bit.

    Args:
        model: A trained model; it is not changed.
        data: The training split, at the size that the model will be exported at.
        steps: Steps to train for.
        learning_rate: Highest learning rate; reached after a tenth of the steps, then falling to 0 along a cosine.
        batch_size: Samples in a step, at least 2.
        seed: Of the order of the samples and of their augmentation.
        augment: What happens to the samples; best what the model was trained with. None = nothing.
        loss_weights: Weight of each task's loss, 1 where absent; best those that the model was trained with.
        device: As :func:`ednas.training.resolve_device` takes it.
        progress: Called every 10 steps and after the last, for example a
            :class:`~ednas.training.ProgressBar`.

    Returns:
        A model with the same architecture, tasks and device, in evaluation mode; its ``steps`` count these in.

    Raises:
        ConfigError: ``steps``, ``learning_rate``, ``batch_size`` or ``loss_weights`` make no sense, or there is no such
            device.
        DataError: The data lack a target of the model, or have another one under its name.
        TrainingError: The loss is no longer finite; names the task and the step.
    """
    settings = {
        "name": "qat",
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "warmup_steps": steps // 10,
        "weight_decay": 0.0,
        "augment": augment,
        "loss_weights": loss_weights or {},
        "precision": "32-true",  # the half precisions are coarser than some int8 scales
    }
    recipe = parse(Recipe, settings, "fine-tuning")
    data = match_labels(data, model.targets)
    fabric = make_fabric(device, recipe.precision)
    network = copy.deepcopy(model.network).to(fabric.device)
    loader = BatchLoader(
        data, batch_size, derive_seed(seed, "qat"), augment, sorted(model.targets), device=fabric.device
    )
    fit(
        Int8Network(network, data.size),
        model.tasks,
        loader,
        recipe,
        normalisation=model.normalisation,
        fabric=fabric,
        callbacks=() if progress is None else (progress,),
    )
    tuned = dataclasses.replace(model, network=network.to(model.device).eval())
    return tuned.with_training(steps=model.steps + steps, seed=model.seed)


class Int8Network(nn.Module):
    """A network in simulated int8. It shares its parameters with the network: training one trains the other.

    In training mode a tensor's range is that of its batch. In evaluation mode it is what :meth:`calibrate` has seen, as
    in the converted file.

    Args:
        network: The network.
        input_size: ``(H, W)`` of the images.
    """

    def __init__(self, network: MultiTaskNetwork, input_size: tuple[int, int]) -> None:
        super().__init__()
        self._tasks = tuple(network.channels)
        image = torch.zeros(1, 3, *input_size, device=next(network.parameters()).device)
        # Not strict: no bytecode is analysed, which takes a fifth of the time.
        program = torch.export.export(_Heads(network).eval(), (image,), strict=False)
        self._graph = _simulate_int8(program.module(check_guards=False))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map a normalised image ``(N, 3, H, W)`` to predictions ``(N, C, H, W)``; the last resizing is the host's."""
        outputs = zip(self._tasks, self._graph(image), strict=True)
        return {task: resize_bilinear(output, image.shape[2:]) for task, output in outputs}

    @torch.no_grad()
    def calibrate(self, image: Tensor) -> None:
        """Widen the range of every tensor to what normalised images ``(N, 3, H, W)`` bring about, without rounding."""
        self._round(False)
        self._graph(image)
        self._round(True)

    def _round(self, rounding: bool) -> None:
        for module in self._graph.modules():
            if isinstance(module, RoundedConv | RoundedTensor):
                module.rounding = rounding


class BatchNorm(NamedTuple):
    """A batch normalisation: ``scale * (x - mean) / sqrt(variance + eps) + offset`` by channel."""

    scale: nn.Parameter
    offset: nn.Parameter
    mean: Tensor
    variance: Tensor
    eps: float


class RoundedConv(nn.Module):
    """A convolution with int8 weights, the batch normalisation behind it folded into them.

    Args:
        weight: ``(out, in / groups, h, w)``.
        bias: ``(out,)``; None = 0.
        norm: The batch normalisation, whose statistics stay as they are; None = none.
        stride: Of the convolution, as its padding, dilation and groups.

    Attributes:
        rounding: Whether weights are rounded.
    """

    def __init__(
        self,
        weight: nn.Parameter,
        bias: nn.Parameter | None,
        norm: BatchNorm | None,
        stride: list[int],
        padding: list[int],
        dilation: list[int],
        groups: int,
    ) -> None:
        super().__init__()
        self.rounding = True
        self._convolve = partial(F.conv2d, stride=stride, padding=padding, dilation=dilation, groups=groups)
        self._norm = norm
        # Named as attributes, so that the optimizer finds them.
        self.weight, self.bias = weight, bias
        if norm is not None:
            self.scale, self.offset = norm.scale, norm.offset

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in, H, W)`` to ``(N, out, H', W')``."""
        weight, bias = self.folded()
        y: Tensor = self._convolve(x, round_weight(weight) if self.rounding else weight, bias)
        return y

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias of the one convolution that does what both layers do."""
        if self._norm is None:
            return self.weight, self.bias
        scale, offset, mean, variance, eps = self._norm
        factor = scale * torch.rsqrt(variance + eps)
        bias = offset + factor * (-mean if self.bias is None else self.bias - mean)
        return self.weight * factor.view(-1, 1, 1, 1), bias


class RoundedTensor(nn.Module):
    """Rounds one tensor of the graph to int8.

    Attributes:
        rounding: Whether it does; without, it takes note of the range.
        low: Smallest value of the range, at most 0.
        high: Largest value of the range, at least 0.
    """

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.rounding = True
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor to one of the same shape."""
        if not self.rounding:
            low, high = x.detach().aminmax()
            self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
            return x
        return round_tensor(x, *(x.detach().aminmax() if self.training else (self.low, self.high)))


def round_weight(weight: Tensor) -> Tensor:
    """Round a convolution's weight ``(out, in, h, w)`` to int8: symmetric, with a scale for every output channel."""
    largest = weight.detach().abs().amax((1, 2, 3))
    scale = largest.clamp(min=_SMALLEST_RANGE) / QMAX
    zero_point = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero_point, 0, QMIN, QMAX)


def round_tensor(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Round a tensor to int8: asymmetric, with one scale for the range from ``low`` to ``high``, widened to hold 0.

    Values out of the range are clipped, and get no gradient.
    """
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = (high - low).clamp(min=_SMALLEST_RANGE) / (QMAX - QMIN)
    zero_point = (QMIN - low / scale).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, QMIN, QMAX)


class _Heads(nn.Module):
    """What of a network runs in int8, as a module of its own."""

    def __init__(self, network: MultiTaskNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._network.predict_heads(image).values())


def _simulate_int8(program: fx.GraphModule) -> fx.GraphModule:
    """Put the rounding into an exported graph."""
    graph = program.graph
    for node in list(graph.nodes):
        if node.target == _aten.conv2d.default:
            _round_weight(program, node)
        elif node.target == _aten.hardtanh_.default:
            node.target = _RELU6  # in place it would overwrite what the sum before it is to others
    graph.eliminate_dead_code()
    for node in list(graph.nodes):
        if node.op in ("placeholder", "call_module") or node.target == _aten.add.Tensor:
            _round_result(program, node)
    graph.lint()
    return fx.GraphModule(program, graph)


def _round_weight(program: fx.GraphModule, conv: fx.Node) -> None:
    """Replace a convolution, and a batch normalisation behind it, by a :class:`RoundedConv`."""
    x, weight, bias, *options = _arguments(program, conv)
    norm, last = None, conv
    user = next(iter(conv.users))
    if user.target == _aten.batch_norm.default:
        _, scale, offset, mean, variance, _training, _momentum, eps, _cudnn = _arguments(program, user)
        norm, last = BatchNorm(scale, offset, mean, variance, eps), user
    name = f"rounded_{conv.name}"
    program.add_submodule(name, RoundedConv(weight, bias, norm, *options))
    _replace(last, name, x)


def _round_result(program: fx.GraphModule, node: fx.Node) -> None:
    """Round what a node yields, after a ReLU6 that the runtime fuses with it."""
    user = next(iter(node.users))
    last = user if user.target == _RELU6 and len(node.users) == 1 else node
    name = f"rounded_{last.name}_result"
    program.add_submodule(name, RoundedTensor())
    rounded = _replace(last, name, last)
    for user in list(rounded.users):
        if user.target == _aten.upsample_bilinear2d.vec:  # yields new values, on the scale of its input
            _replace(user, name, user)


def _replace(node: fx.Node, module: str, argument: fx.Node) -> fx.Node:
    """Let all users of a node use ``module(argument)`` instead."""
    with node.graph.inserting_after(node):
        new = node.graph.call_module(module, (argument,))
    node.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
    return new


def _arguments(program: fx.GraphModule, node: fx.Node) -> list[Any]:
    """All arguments of an operator, in order; parameters and buffers as tensors."""
    operator = cast(torch._ops.OpOverload, node.target)
    given = [
        node.args[i] if i < len(node.args) else node.kwargs.get(argument.name, argument.default_value)
        for i, argument in enumerate(operator._schema.arguments)
    ]
    return [_tensor(program, value) for value in given]


def _tensor(program: fx.GraphModule, value: Any) -> Any:
    stored = isinstance(value, fx.Node) and value.op == "get_attr"
    return attrgetter(str(value.target))(program) if stored else value
