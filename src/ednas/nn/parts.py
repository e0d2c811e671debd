"""Backbones and decoders of users' own: how they are registered, made, and held to what the rest relies on.

A backbone maps a normalised image to features at strides 4, 8, 16 and 32; a decoder maps these to the predictions of
all tasks. Either stands in for ours where an architecture names it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ednas.arch.architecture import FEATURE_STRIDES
from ednas.arch.parts import parse_part
from ednas.exceptions import ArchitectureError, ConfigError

_PROBE = 64
"""Side in pixels of the image by which a part shows what it yields."""

Factory = Callable[..., nn.Module]
"""Makes a part; usually the class itself."""

_backbones: dict[str, Factory] = {}
_decoders: dict[str, Factory] = {}


def register_backbone(name: str, factory: Factory, *, replace: bool = False) -> None:
    """Make a backbone known, so that an architecture may name it: ``base backbone:NAME``.

    Args:
        name: The name: letters, digits, ``_``, ``.`` and ``-``.
        factory: Called as ``factory(**options)``, with the options that the architecture gives it. Returns a module
            that maps a normalised image ``(N, 3, H, W)`` to four features at strides 4, 8, 16 and 32, each
            ``(N, C, ceil(H / stride), ceil(W / stride))``; its channels are seen from what it yields.
        replace: Allow the name to be taken already (in a notebook, where a cell runs twice).

    Raises:
        ConfigError: The name is taken.
        ArchitectureError: It cannot be written in an architecture.
    """
    _register("backbone", _backbones, name, factory, replace)


def register_decoder(name: str, factory: Factory, *, replace: bool = False) -> None:
    """Make a decoder known, so that an architecture may name it: ``base decoder:NAME``.

    Args:
        name: As for :func:`register_backbone`.
        factory: Called as ``factory(in_channels, heads, **options)`` with the channels of the features at strides 4, 8,
            16 and 32, and output channels by task. Returns a module that maps the list of these features to a mapping
            from each task to its prediction at stride 4, ``(N, channels, ceil(H / 4), ceil(W / 4))``.
        replace: Allow the name to be taken already.

    Raises:
        ConfigError: The name is taken.
        ArchitectureError: It cannot be written in an architecture.
    """
    _register("decoder", _decoders, name, factory, replace)


def make_backbone(text: str) -> tuple[nn.Module, tuple[int, ...]]:
    """Make the backbone that an architecture names; return it with the channels of its four features.

    Raises:
        ArchitectureError: It is not registered, refuses its options, or yields something else.
    """
    backbone = _make("backbone", _backbones, text, ())
    features = _try("backbone", text, backbone, torch.zeros(1, 3, _PROBE, _PROBE))
    channels = tuple(feature.shape[1] for feature in check_features(text, features, (_PROBE, _PROBE)))
    return backbone, channels


def make_decoder(text: str, in_channels: Sequence[int], heads: Mapping[str, int]) -> nn.Module:
    """Make the decoder that an architecture names; arguments as those of its factory.

    Raises:
        ArchitectureError: It is not registered, refuses its arguments, or yields something else.
    """
    decoder = _make("decoder", _decoders, text, (tuple(in_channels), dict(heads)))
    sides = [_PROBE // stride for stride in FEATURE_STRIDES]
    features = [torch.zeros(1, count, side, side) for count, side in zip(in_channels, sides, strict=True)]
    check_predictions(text, _try("decoder", text, decoder, features), heads, (sides[0], sides[0]))
    return decoder


def check_features(text: str, features: Any, size: Sequence[int]) -> list[Tensor]:
    """Return what a backbone yields for an image of ``size`` = (height, width), as a list.

    Raises:
        ArchitectureError: It is no sequence of four features at strides 4, 8, 16 and 32.
    """
    if not isinstance(features, list | tuple) or len(features) != len(FEATURE_STRIDES):
        count = len(features) if isinstance(features, list | tuple) else type(features).__name__
        raise ArchitectureError(
            f"backbone '{text}' yields {count}, must be a list of {len(FEATURE_STRIDES)} features, at strides "
            + ", ".join(map(str, FEATURE_STRIDES))
        )
    for feature, stride in zip(features, FEATURE_STRIDES, strict=True):
        found, expected = tuple(feature.shape[2:]), tuple(-(-side // stride) for side in size)
        if found != expected:
            raise ArchitectureError(
                f"backbone '{text}': the feature at stride {stride} of an image of {_size(size)} is {_size(found)}, "
                f"must be {_size(expected)}; let it round up, or keep to sizes that are multiples of "
                f"{FEATURE_STRIDES[-1]}"
            )
    return list(features)


def check_predictions(text: str, predictions: Any, heads: Mapping[str, int], size: Sequence[int]) -> dict[str, Tensor]:
    """Return what a decoder yields, in the order of the heads; ``size`` is that of the features at stride 4.

    Raises:
        ArchitectureError: A task is missing, or its prediction has another shape.
    """
    if not isinstance(predictions, Mapping) or set(predictions) != set(heads):
        found = ", ".join(map(str, predictions)) if isinstance(predictions, Mapping) else type(predictions).__name__
        raise ArchitectureError(
            f"decoder '{text}' yields {found}, must be a mapping from each task to its prediction: {', '.join(heads)}"
        )
    for task, channels in heads.items():
        shape, expected = tuple(predictions[task].shape[1:]), (channels, *size)
        if shape != expected:
            raise ArchitectureError(
                f"decoder '{text}': the prediction of {task} is {_size(shape)}, must be {_size(expected)} "
                f"(channels, height and width at stride {FEATURE_STRIDES[0]})"
            )
    return {task: predictions[task] for task in heads}


def _register(kind: str, known: dict[str, Factory], name: str, factory: Factory, replace: bool) -> None:
    if parse_part(name).options or name != parse_part(name).name:
        raise ArchitectureError(f"{kind} '{name}': register the name alone; options come with the architecture")
    if name in known and not replace:
        raise ConfigError(f"a {kind} '{name}' exists already; choose another name, or pass replace=True")
    known[name] = factory


def _make(kind: str, known: Mapping[str, Factory], text: str, arguments: tuple[Any, ...]) -> nn.Module:
    name, options = parse_part(text)
    if name not in known:
        raise ArchitectureError(
            f"unknown {kind} '{name}'; known: {', '.join(sorted(known)) or 'none'}; give the file that registers it by "
            "--plugin (or plugins: in a configuration)"
        )
    try:
        inspect.signature(known[name]).bind(*arguments, **options)
    except TypeError as error:
        raise ArchitectureError(f"{kind} '{text}': {error}") from None
    try:
        part = known[name](*arguments, **options)
    except Exception as error:  # it is somebody's code, and takes what an architecture says
        reason = " ".join(str(error).split())[:200]
        raise ArchitectureError(f"{kind} '{text}' cannot be made: {type(error).__name__}: {reason}") from error
    if not isinstance(part, nn.Module):
        raise ArchitectureError(f"{kind} '{text}': its factory makes {type(part).__name__}, must be a torch.nn.Module")
    return part


def _try(kind: str, text: str, part: nn.Module, value: Any) -> Any:
    """Return what a fresh part yields for zeros; its statistics stay as they are."""
    part.eval()
    try:
        with torch.no_grad():
            return part(value)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ArchitectureError(
            f"{kind} '{text}' fails for an image of {_PROBE}x{_PROBE}: {type(error).__name__}: {reason}"
        ) from error
    finally:
        part.train()


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
