"""Small ncnn ``.param`` files."""

from __future__ import annotations

from pathlib import Path

from ednas.hw.graph.layers import LayerGraph
from ednas.hw.ncnn.param_file import MAGIC, Call, read_calls
from ednas.hw.ncnn.reader import load_ncnn

IMAGE = "Input data 0 1 data 0=32 1=16 2=8"
"""An input of 16x32 with 8 channels."""


def ncnn_text(*lines: str) -> str:
    """Return a file with these layers."""
    return "\n".join([MAGIC, f"{len(lines)} {len(lines)}", *lines]) + "\n"


def ncnn_graph(folder: Path, *lines: str, input_size: tuple[int, int] | None = None) -> LayerGraph:
    """Return the network of a file with these layers."""
    path = folder / "network.param"
    path.write_text(ncnn_text(*lines), encoding="utf-8")
    return load_ncnn(path, input_size)


def ncnn_call(folder: Path, line: str) -> Call:
    """Return a layer as the file holds it."""
    path = folder / "network.param"
    path.write_text(ncnn_text(line), encoding="utf-8")
    (call,) = read_calls(path)
    return call
