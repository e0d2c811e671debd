"""Where training runs: devices and precision by name, through Lightning Fabric."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from ednas.exceptions import ConfigError
from ednas.training.recipe import Precision

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def resolve_device(name: str = "auto") -> torch.device:
    """Return a device that is there.

    Args:
        name: ``auto`` (CUDA, else Apple's MPS, else CPU), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        ConfigError: The name means nothing, or there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device '{name}': write auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cuda":
        index = device.index or 0
        if index >= torch.cuda.device_count():
            raise ConfigError(f"device '{name}': this machine shows {torch.cuda.device_count()} CUDA devices; use cpu")
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device 'mps': not available on this machine; use cpu")
    if device.type not in ("cpu", "mps"):
        raise ConfigError(f"device '{name}': write auto, cpu, cuda, cuda:1 or mps")
    return torch.device(device.type)


def device_name(device: torch.device) -> str:
    """Return what a device is called, for people: ``cpu``, ``cuda (NVIDIA H200)``."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def resolve_precision(name: Precision, device: torch.device) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """Return the precision that ``auto`` means on a device; any other is returned as it is.

    Raises:
        ConfigError: float16 on a device other than CUDA.
    """
    if name == "16-mixed" and device.type != "cuda":
        raise ConfigError(f"precision '16-mixed' needs a CUDA device, not {device.type}; use 32-true or bf16-mixed")
    if name != "auto":
        return name
    if device.type != "cuda":
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def is_helper() -> bool:
    """Whether this process was started by another one, to train together with it."""
    return os.environ.get("LOCAL_RANK", "0") != "0"  # set by Lightning


@contextmanager
def quiet_helper() -> Iterator[None]:
    """Let only the first of several processes that train together speak; errors are everybody's."""
    if not is_helper():
        yield
        return
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def make_fabric(device: str = "auto", precision: Precision = "auto", devices: int = 1) -> Fabric:
    """Return Lightning's Fabric for a device, launched and silent.

    Args:
        device: As :func:`resolve_device` takes it.
        precision: Arithmetic of training.
        devices: Processes to train in together (DDP); more than one restarts the running program once for each.

    Raises:
        ConfigError: There is no such device, or there are not enough.
    """
    place = resolve_device(device)
    if devices < 1 or (place.type == "cuda" and devices > torch.cuda.device_count()):
        raise ConfigError(f"devices = {devices}: this machine shows {max(1, torch.cuda.device_count())}")
    # Lightning tells people about its settings on standard error; here a run's output is its own.
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning.fabric import Fabric

        fabric = Fabric(
            accelerator=place.type,
            devices=[place.index] if place.type == "cuda" and devices == 1 else devices,
            strategy="ddp" if devices > 1 else "auto",
            precision=resolve_precision(precision, place),
        )
        fabric.launch()
    return fabric
