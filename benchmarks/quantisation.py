"""What int8 costs a trained network, and what quantisation-aware fine-tuning gives back.

Measures four models on validation data: the checkpoint in PyTorch, the same as an int8 TFLite file in LiteRT, the
fine-tuned network in PyTorch, and that as an int8 file. Fine-tuning also trains on, so that the last int8 column alone
proves nothing: what rounding costs a network is the step from its float column to the int8 column beside it.

    ednas train base --data streets --tasks segmentation,depth --recipe mini --steps 300 --input 64x128 --out runs/short
    python benchmarks/quantisation.py runs/short/checkpoint --data streets --steps 200
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from ednas.data import CachedSplit, open_cache, open_dataset
from ednas.export.evaluate import evaluate_exported
from ednas.export.qat import finetune
from ednas.export.run import ExportConfig, export_model
from ednas.export.runtime import open_model
from ednas.metrics import scored_metrics
from ednas.report.labels import metric_heading, show_metric
from ednas.scoring import metric_gain
from ednas.training import Model, evaluate, load_checkpoint


def int8(model: Model, data: str, validation: CachedSplit) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the int8 model's metrics, and its outputs' signal-to-noise ratios."""
    with tempfile.TemporaryDirectory() as folder:
        config = ExportConfig(int8=True, data=data, max_drop_percent=1e9)
        result = export_model(model, Path(folder) / "export", config)
        return evaluate_exported(open_model(result.model), validation), result.check.snr_db


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", required=True, help="its dataset")
    parser.add_argument("--steps", type=int, default=200, help="of fine-tuning")
    options = parser.parse_args()
    model = load_checkpoint(options.checkpoint)
    training, validation = (open_cache(open_dataset(options.data, name), model.input_size) for name in ("train", "val"))
    tuned = finetune(model, training, steps=options.steps)
    columns: list[dict[str, Any]] = []
    ratios: list[dict[str, float]] = []
    for network in (model, tuned):
        columns.append(evaluate(network, validation))
        quantised, snr = int8(network, options.data, validation)
        columns.append(quantised)
        ratios.append(snr)
    headings = ("float", "int8", "cost %", f"fine-tuned {options.steps} steps, float", "int8", "cost %")
    print(f"| | {' | '.join(headings)} |\n|---|{'---:|' * len(headings)}")
    for task, values in columns[0]["tasks"].items():
        for metric in scored_metrics(values):
            up = columns[0]["higher_is_better"][metric]
            found = [column["tasks"][task][metric] for column in columns]
            shown = [show_metric(metric, value) for value in found]
            first, second = (-metric_gain(found[i + 1], found[i], higher_is_better=up) for i in (0, 2))
            cells = (*shown[:2], f"{first:+.2f}", *shown[2:], f"{second:+.2f}")
            print(f"| {task}: {metric_heading(metric)} | {' | '.join(cells)} |")
        first_db, second_db = (ratio[task] for ratio in ratios)
        print(f"| {task}: signal to noise | | {first_db:.1f} dB | | | {second_db:.1f} dB | |")


if __name__ == "__main__":
    main()
