"""`ednas doctor`: what this machine has, for bug reports and first steps."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import typer

from ednas.cli.options import AsJson
from ednas.cli.printing import print_json

_PACKAGES = (
    "ednas", "torch", "lightning", "numpy", "pyglove", "pydantic", "safetensors", "plotly", "h5py", "scipy",
    "ai-edge-litert", "litert-torch", "ai-edge-quantizer", "ethos-u-vela", "onnx", "onnxruntime", "ray",
)  # fmt: skip


def doctor(as_json: AsJson = False) -> None:
    """Print versions, processors, accelerators and what is missing.

    [bold]Example[/bold]

    ednas doctor --json
    """
    import torch

    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "packages": {name: _version(name) for name in _PACKAGES},
    }
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            for name, found in value.items():
                typer.echo(f"{name:15} {found or 'not installed'}")
        else:
            typer.echo(f"{key:15} {value if value != [] else 'none'}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
