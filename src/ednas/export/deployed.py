"""The network as it is deployed: what of a model goes into the exported graph, and in what form."""

from __future__ import annotations

import copy
from importlib.metadata import version

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ednas.arch.architecture import MAX_INPUT_SIZE, MIN_INPUT_SIZE
from ednas.data.colors import palette
from ednas.data.sample import TargetInfo
from ednas.exceptions import ExportError
from ednas.export.converter import Converter
from ednas.export.manifest import (
    Decoding,
    DecodingKind,
    Manifest,
    OutputSpec,
    OutputStride,
    Precision,
    TensorSpec,
)
from ednas.nn.heads import resize_bilinear
from ednas.nn.network import OUTPUT_STRIDE, MultiTaskNetwork
from ednas.tasks import Task
from ednas.training.model import Model

INPUT = "image"
"""Name of an exported model's input; an output has the name of its task."""

SIZE_STEP = 8
"""Heights and widths that can be exported are multiples of it.

The heads double features at stride 8, which must be exactly half of those at stride 4. Below stride 8 sizes are rounded
up, and the neck resizes by other factors than 2 unless the side is a multiple of 128: correct everywhere, but some
accelerators leave such resizes to the host, which the audit tells.
"""


class RawOutputs(nn.Module):
    """A network with folded batch normalisation, on the CPU, in evaluation mode, that puts out raw predictions.

    Args:
        network: What predicts; copied.
        tasks: Names of the tasks, in the order of the outputs.
        output_stride: As :class:`Deployed` says.
    """

    def __init__(self, network: MultiTaskNetwork, tasks: tuple[str, ...], output_stride: OutputStride) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
        if self.network.sharing is not None:
            self.network.sharing.unfold()
        fold_batch_norms(self.network)
        # litert-torch knows weights by their address, and makes contiguous copies that it frees: of two weights of one
        # shape in another layout, the second would be lost to the first.
        self.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.tasks = tasks
        self.output_stride = output_stride

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map a normalised image ``(N, 3, H, W)`` to predictions ``(N, C, H / stride, W / stride)``."""
        predictions = self.network.predict_heads(image)
        return tuple(_to_stride(predictions[task], self.output_stride) for task in self.tasks)


class Deployed(nn.Module):
    """What of a model is deployed; the model itself is not touched.

    Args:
        model: The model.
        input_size: ``(H, W)``, see :func:`check_export_size`.
        output_stride: 4 as the network predicts; 1 upsamples in the graph, by two bilinear doublings, which
            accelerators run where they do not run one of x4; 8 averages 2x2, the bilinear resize by 1/2.
        fuse_argmax: Whether tasks that predict classes put out class ids.

    Attributes:
        raw: The network.
        tasks: Names of the tasks, in the order of the outputs.
        fused: By output, whether it holds class ids.

    Raises:
        ExportError: The input size or the output stride cannot be exported.
    """

    def __init__(
        self,
        model: Model,
        *,
        input_size: tuple[int, int],
        output_stride: OutputStride = 4,
        fuse_argmax: bool = False,
    ) -> None:
        check_export_size(input_size)
        if output_stride not in (1, 4, 8):
            raise ExportError(f"output stride {output_stride}: must be 1, 4 or 8")
        super().__init__()
        self._model = model
        self.input_size = input_size
        self.output_stride = output_stride
        self.tasks = tuple(model.tasks)
        self.fused = tuple(fuse_argmax and task.decoding == "argmax" for task in model.tasks.values())
        self.raw = RawOutputs(model.network, self.tasks, output_stride)
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map a normalised image ``(N, 3, H, W)`` to one output a task, in the order of :attr:`tasks`.

        Returns:
            ``(N, C, H / stride, W / stride)``; class ids are int64 ``(N, H / stride, W / stride)``.
        """
        return tuple(y.argmax(1) if fused else y for y, fused in zip(self.raw(image), self.fused, strict=True))

    def manifest(self, name: str, converter: Converter, precision: Precision) -> Manifest:
        """Return what a file of this network is; its input and outputs are float until a file says otherwise.

        Args:
            name: Of the model, for people.
            converter: The file's format; says where the channels are.
            precision: Of weights and activations.
        """
        model = self._model
        height, width = self.input_size
        size = height // self.output_stride, width // self.output_stride
        outputs = {}
        for (task_name, task), fused in zip(model.tasks.items(), self.fused, strict=True):
            shape = (1, *size) if fused else _shape(task.channels, size, converter)
            decoding = _decoding(task, model.targets[task.target], fused)
            outputs[task_name] = OutputSpec(name=task_name, shape=shape, decoding=decoding)
        return Manifest(
            name=name,
            created_by=version("ednas"),
            runtime=converter.name,
            libraries=converter.versions(),
            architecture=model.architecture.to_dict(),
            tasks=self.tasks,
            targets=dict(model.targets),
            task_options={task: dict(options) for task, options in model.task_options.items()},
            dataset=model.dataset,
            data_options=dict(model.data_options),
            input_size=self.input_size,
            normalisation=model.normalisation,
            output_stride=self.output_stride,
            precision=precision,
            input=TensorSpec(name=INPUT, shape=_shape(3, self.input_size, converter)),
            outputs=outputs,
        )


def check_export_size(input_size: tuple[int, int]) -> None:
    """Check an input size ``(height, width)``.

    Raises:
        ExportError: A side is out of range or no multiple of 8; the message names the nearest size that works.
    """
    nearest = tuple(_nearest(side) for side in input_size)
    if nearest != tuple(input_size):
        text, offer = ("x".join(map(str, size)) for size in (input_size, nearest))
        raise ExportError(
            f"input size {text}: height and width must be multiples of {SIZE_STEP} from {MIN_INPUT_SIZE} to"
            f" {MAX_INPUT_SIZE}; the nearest is {offer}"
        )


def fold_batch_norms(network: nn.Module) -> None:
    """Fold, in place, every batch normalisation that follows a convolution into it.

    Converters do so too, but take longer for it. The network must be in evaluation mode.
    """
    for sequence in network.modules():
        if isinstance(sequence, nn.Sequential):
            for i in range(len(sequence) - 1):
                first, second = sequence[i], sequence[i + 1]
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    sequence[i], sequence[i + 1] = fuse_conv_bn_eval(first, second), nn.Identity()


def _to_stride(y: Tensor, stride: OutputStride) -> Tensor:
    if stride > OUTPUT_STRIDE:
        return F.avg_pool2d(y, stride // OUTPUT_STRIDE)
    for _ in range((OUTPUT_STRIDE // stride).bit_length() - 1):
        y = resize_bilinear(y, (2 * y.shape[2], 2 * y.shape[3]))
    return y


def _decoding(task: Task, target: TargetInfo, fused: bool) -> Decoding:
    kind: DecodingKind = "class_ids" if fused else task.decoding
    if kind not in ("argmax", "class_ids"):
        return Decoding(kind=kind, channels=task.channels, unit=target.unit if kind == "depth" else "")
    colors = tuple((int(r), int(g), int(b)) for r, g, b in palette(task.channels)[: task.channels])
    return Decoding(kind=kind, channels=task.channels, class_names=target.class_names, colors=colors)


def _shape(channels: int, size: tuple[int, int], converter: Converter) -> tuple[int, ...]:
    return (1, *size, channels) if converter.channels_last else (1, channels, *size)


def _nearest(side: int) -> int:
    return min(max(SIZE_STEP * round(side / SIZE_STEP), MIN_INPUT_SIZE), MAX_INPUT_SIZE)
