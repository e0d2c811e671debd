"""An export format of one's own: programs that PyTorch saves (``.pt2``), for servers that run PyTorch without ednas.

Nothing in the package changes for it: this file is loaded as a plugin, and commands name the format or its files.

    ednas export runs/base/checkpoint --format pt2 --plugin examples/own_format.py --data streets --out runs/pt2
    ednas evaluate runs/pt2/model.pt2 --plugin examples/own_format.py --data streets
    ednas predict runs/pt2/model.pt2 photo.jpg --plugin examples/own_format.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ednas import Converter, register_converter
from ednas.export.converter import Array, Session, read_manifest
from ednas.export.deployed import Deployed
from ednas.export.manifest import METADATA_NAME, Manifest, TensorSpec
from ednas.export.runtime import one_line_errors


def convert(deployed: Deployed, path: Path) -> None:
    """Write a network as a program."""
    image = torch.zeros(1, 3, *deployed.input_size)
    torch.export.save(torch.export.export(deployed, (image,)), path)


def embed(path: Path, manifest: Manifest) -> Manifest:
    """Put the manifest into the file; input and outputs are already as it says."""
    program, _ = load(path)
    torch.export.save(program, path, extra_files={METADATA_NAME: manifest.to_json()})
    return manifest


def embedded(path: Path) -> str | None:
    """Return the manifest's text."""
    return load(path)[1] or None


def load(path: Path) -> tuple[torch.export.ExportedProgram, str]:
    """Return the program of a file and the manifest's text."""
    extra: dict[str, Any] = {METADATA_NAME: ""}
    with one_line_errors(f"{path}: PyTorch cannot load it"):
        return torch.export.load(path, extra_files=extra), extra[METADATA_NAME]


def open_session(path: Path, threads: int) -> Session:
    """Load a file; outputs are in the order of the manifest's tasks."""
    manifest, module = read_manifest(path), load(path)[0].module()
    torch.set_num_threads(threads)

    def run(image: Array) -> dict[str, Array]:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(image))
        return {task: output.numpy() for task, output in zip(manifest.tasks, outputs, strict=True)}

    with one_line_errors(f"{path}: cannot be run"):
        outputs = run(np.zeros(manifest.input.shape, np.float32))
    return Session(
        inputs=[manifest.input],
        outputs=[TensorSpec(name=task, shape=values.shape) for task, values in outputs.items()],
        run=run,
    )


register_converter(
    Converter(
        name="pt2",
        suffix=".pt2",
        packages=("torch",),
        convert=convert,
        finish=embed,
        read_manifest=embedded,
        open=open_session,
    )
)
