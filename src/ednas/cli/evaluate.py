"""`ednas evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import (
    AsJson,
    DataOptions,
    Device,
    ModelPath,
    Overlap,
    Plugins,
    Tile,
    parse_data_options,
    parse_size,
    parse_tiling,
    run_plugins,
)
from ednas.cli.printing import print_metrics, say


def evaluate(
    model: ModelPath,
    data: Annotated[str, typer.Option(help="A dataset.yaml, a folder of a known format, streets or rooms.")],
    data_option: DataOptions = None,
    split: Annotated[str, typer.Option(help="Which split.")] = "val",
    protocol: Annotated[str, typer.Option(help="standard or adashare.")] = "standard",
    size: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="HEIGHTxWIDTH; default: the model's; with --tile the first image's. An exported model has only its "
            "own, or tiles of it.",
        ),
    ] = None,
    tile: Tile = None,
    overlap: Overlap = None,
    plugin: Plugins = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Also print IoU and accuracy of every class.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write metrics.json here.")] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure a checkpoint or an exported model on a dataset, in either protocol.

    An exported model runs in LiteRT or ONNX Runtime on this computer and is measured by the same code as the
    checkpoint, so that the numbers are comparable. If a training has decoded the training split before, its mean label
    of each pixel is measured beside the network. JSON always holds the classes and the confusion matrix.

    [bold]Examples[/bold]

    ednas evaluate runs/base/checkpoint --data streets --protocol adashare --json

    ednas evaluate runs/deploy/model.tflite --data streets --out runs/deploy/metrics.json

    ednas evaluate runs/crops/checkpoint --data my.yaml --tile 512x1024 --overlap 0.25
    """
    from ednas.cli.progress import counting, decoding
    from ednas.export.evaluate import evaluate_on
    from ednas.export.predictor import open_predictor
    from ednas.files import write_json
    from ednas.tasks.base import check_protocol

    run_plugins(plugin)
    chosen = check_protocol(protocol)
    opened = open_predictor(model, device)
    tiling = parse_tiling(tile, overlap, opened.input_size)
    with decoding() as decode, counting("evaluating") as progress:
        metrics = evaluate_on(
            opened,
            data,
            split=split,
            protocol=chosen,
            data_options=parse_data_options(data_option),
            input_size=parse_size(size) if size else None,
            tiling=tiling,
            recorded=model,
            decode_progress=decode,
            progress=lambda done, total: progress(split, done, total),
            announce=say,
        )
    if out is not None:
        write_json(out, metrics)
    print_metrics(metrics, as_json, f"wrote {out}" if out else "", per_class=per_class)
