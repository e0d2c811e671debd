"""`ednas train`, `ednas evaluate`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ednas.cli.models import Device, ModelPath, Overlap, Tile, open_model, parse_tiling
from ednas.cli.options import (
    AllowPlugins,
    DataOptions,
    Plugins,
    all_plugins,
    load_plugins,
    load_teacher_plugin,
    parse_data_options,
    parse_size,
    parse_tasks,
    print_json,
    print_table,
    with_data_options,
)

if TYPE_CHECKING:
    from ednas.data import CachedSplit, DenseDataset
    from ednas.export.manifest import Manifest
    from ednas.metrics import TaskValues
    from ednas.training import Callback, Model, TrainConfig

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]


def train(
    architecture: Annotated[
        str | None, typer.Argument(help="A built-in name, a JSON file (best.json), a checkpoint, or a text form.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A dataset.yaml, a folder of a known format, streets or rooms.")
    ] = None,
    data_option: DataOptions = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks to learn together, like segmentation,depth.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")] = Path("runs/train"),
    config: Annotated[Path | None, typer.Option(help="A YAML file; options given here win over it.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="finetune (own data), mini (CPU), proxy (5k steps), full (20k). Default: mini.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps, instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples a step, instead of the recipe's.")] = None,
    learning_rate: Annotated[
        str | None, typer.Option("--lr", help="Peak rate, instead of the recipe's; auto: that of a range test.")
    ] = None,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Train nothing: suggest a rate by a range test, and draw its curve.")
    ] = False,
    init: Annotated[
        str | None, typer.Option(help="Start from imagenet, a checkpoint or a file of EfficientNet-Lite0's weights.")
    ] = None,
    plugin: Plugins = None,
    allow_plugins: AllowPlugins = False,
    teacher: Annotated[
        str | None, typer.Option(help="Imitate a better network too: its checkpoint, or file.py:function.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="HEIGHTxWIDTH; default: what best.json or a checkpoint is for, else the data's own, which mini "
            "shrinks to about as many pixels as 64x128 have.",
        ),
    ] = None,
    loss_preset: Annotated[str | None, typer.Option(help="Loss weights of Table 8, like cityscapes_jared.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Gives every random number.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Train so many seeds; report mean and standard deviation.")] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the run in --out; if it is finished and --steps are more, lengthen it."
        ),
    ] = False,
    loggers: Annotated[
        list[str] | None,
        typer.Option("--logger", help="Log to wandb or mlflow too, besides CSV and TensorBoard; can be repeated."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads.")] = None,
    device: _Device = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="Train on so many GPUs (with --device cpu: processes) together, by DDP.")
    ] = 1,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Compile the network first (torch.compile; on CUDA with CUDA graphs)."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Train a network for any mix of tasks, evaluate it, and write a checkpoint.

    [bold]Examples[/bold]

    ednas train base --data streets --tasks segmentation,depth --out runs/base

    ednas train base --data streets --tasks depth --out runs/depth        (a single-task baseline)

    ednas train base --data streets --tasks segmentation,depth --find-lr --out runs/rate

    ednas train runs/demo/best.json --data examples/nyuv2.yaml --tasks segmentation,depth,normals --input 96x128
    --steps 3000 --runs 3 --out runs/found

    ednas train base --data streets --teacher runs/large/checkpoint --out runs/taught

    ednas train base --data streets --tasks segmentation,depth --out runs/base --resume --steps 2000     (lengthen it)

    The first line says at which size of the images it trains, and why at that.
    """
    from ednas.arch.files import read_facts
    from ednas.config import read_yaml
    from ednas.exceptions import ConfigError
    from ednas.training import train as run_training
    from ednas.training import train_runs

    _use_threads(threads)
    changes: dict[str, Any] = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "init": init,
        "teacher": teacher,
        "loss_preset": loss_preset,
        "input_size": parse_size(size) if size else None,
    }
    values = {} if config is None else read_yaml(config)
    load_plugins(values.get("plugins"), allow_plugins)
    load_plugins(plugin)
    load_teacher_plugin(values, allow_plugins)
    load_teacher_plugin({"recipe": changes}, allowed=True)
    settings = _train_config(
        values,
        str(config or "train"),
        {
            "architecture": architecture,
            "data": data,
            "tasks": parse_tasks(tasks) if tasks else None,
            "seed": seed,
            "plugins": all_plugins(values, plugin),
        },
        recipe,
        {key: value for key, value in changes.items() if value is not None},
        parse_data_options(data_option),
    )
    from ednas.cli.progress import decoding
    from ednas.training import ProgressBar

    if architecture and settings.recipe.init is None and "steps" in read_facts(architecture):
        _say(f"only the architecture of {architecture} is taken; --init {architecture} starts from its weights")
    if find_lr:
        if resume or runs > 1:
            raise ConfigError("--find-lr: trains no run; leave --resume and --runs out")
        _find_learning_rate(settings, out, device, as_json)
        return
    if devices > 1 and runs > 1:
        raise ConfigError("--devices: one training at a time; leave --runs out, and start one for each --seed")
    if runs == 1:
        with _quiet_helper():
            with decoding() as decode, ProgressBar("training") as bar:
                result = run_training(
                    settings,
                    out,
                    resume=resume,
                    callbacks=[bar],
                    decode_progress=decode,
                    announce=_say,
                    device=device,
                    devices=devices,
                    compiled=compiled,
                    loggers=loggers or (),
                )
            _print_metrics(result.metrics, as_json, f"wrote {result.checkpoint}; `ednas report {out}` shows the curves")
        return
    bars: list[Any] = []

    def callbacks(index: int) -> list[Callback]:
        for bar in bars:
            bar.__exit__(None, None, None)
        bars[:] = [ProgressBar(f"seed {settings.seed + index}").__enter__()]
        return list(bars)

    try:
        with decoding() as decode:
            several = train_runs(
                settings,
                out,
                runs,
                resume=resume,
                callbacks=callbacks,
                decode_progress=decode,
                announce=_say,
                device=device,
                compiled=compiled,
                loggers=loggers or (),
            )
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)
    spread = {
        task: {metric: value["std"] for metric, value in values.items()}
        for task, values in several.summary["tasks"].items()
    }
    _print_metrics(several.metrics, as_json, f"wrote {several.folder}; `ednas report {out}` shows the curves", spread)


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
            help="HEIGHTxWIDTH; default: the model's, with --tile that of the first image. Exported models have no "
            "other, or tiles of it.",
        ),
    ] = None,
    tile: Tile = None,
    overlap: Overlap = None,
    plugin: Plugins = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Print IoU and accuracy of every class too.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write metrics.json here.")] = None,
    device: Device = "auto",
    as_json: _Json = False,
) -> None:
    """Measure a checkpoint or an exported model on a dataset, in either protocol.

    An exported model runs in LiteRT or ONNX Runtime on this computer and is measured by the same code as the
    checkpoint, so that the numbers are comparable. Where the training split is at hand, decoded by a training before,
    its mean label of each pixel is measured beside the network. JSON always holds the classes and the confusion matrix.

    [bold]Examples[/bold]

    ednas evaluate runs/base/checkpoint --data streets --protocol adashare --json

    ednas evaluate runs/deploy/model.tflite --data streets --out runs/deploy/metrics.json

    ednas evaluate runs/crops/checkpoint --data my.yaml --tile 512x1024 --overlap 0.25
    """
    from ednas.cli.progress import counting, decoding
    from ednas.data import open_cache
    from ednas.data.complaints import read_first
    from ednas.data.formats import open_as_trained
    from ednas.data.matching import check_meaning, match_labels
    from ednas.data.reader import check_labels
    from ednas.data.units import mean_depths, other_scales
    from ednas.export.evaluate import evaluate_exported
    from ednas.export.predictor import ExportedModel
    from ednas.files import write_json
    from ednas.tasks.base import check_protocol
    from ednas.training import evaluate as evaluate_checkpoint
    from ednas.training.checkpoint import trained_depths
    from ednas.training.trivial import measure_trivial

    load_plugins(plugin)
    chosen = check_protocol(protocol)
    opened = open_model(model, device)
    if isinstance(opened, ExportedModel):
        about: Model | Manifest = opened.runner.manifest
        measure = partial(evaluate_exported, opened.runner)
    else:
        about, measure = opened, partial(evaluate_checkpoint, opened)
    input_size = about.input_size
    tiling = parse_tiling(tile, overlap, input_size)
    open_split = partial(
        open_as_trained,
        data,
        trained_on=about.dataset,
        trained_with=about.data_options,
        options=parse_data_options(data_option),
    )
    dataset = open_split(split=split)
    check_meaning(dataset.info, about.targets)
    check_labels(dataset, about.targets)
    if size:
        input_size = parse_size(size)
    elif tiling is not None:
        input_size = read_first(dataset).image.shape[:2]
    with decoding() as decode:
        cached = match_labels(open_cache(dataset, input_size, progress=decode), about.targets)
    if not isinstance(opened, ExportedModel):
        for remark in other_scales(trained_depths(model), mean_depths(cached)):
            _say(f"warning: {remark}")
    with counting("evaluating") as progress:
        metrics = measure(cached, chosen, tiling=tiling, progress=lambda done, total: progress(split, done, total))
    if train_split := _decoded_before(partial(open_split, split="train"), cached.size):
        train_split = match_labels(train_split, about.targets)
        metrics["trivial"] = measure_trivial(opened.tasks, train_split, cached, chosen)
    if out is not None:
        write_json(out, metrics)
    _print_metrics(metrics, as_json, f"wrote {out}" if out else "", per_class=per_class)


def _find_learning_rate(settings: TrainConfig, out: Path, device: str, as_json: bool) -> None:
    """Make a range test, write its points and its curve, and print the suggestion."""
    from ednas.cli.progress import decoding
    from ednas.files import write_text
    from ednas.report.range_test import draw_range_test, range_test_table
    from ednas.training import ProgressBar, find_learning_rate

    with decoding() as decode, ProgressBar("range test") as bar:
        test = find_learning_rate(settings, callbacks=[bar], decode_progress=decode, device=device)
    test.save(out)
    write_text(out / "find_lr.svg", draw_range_test(test))
    if as_json:
        print_json(test.to_dict())
        return
    print_table(range_test_table(test))
    typer.echo(f"suggested learning rate: {test.suggestion:g}; take it by --lr {test.suggestion:g}")
    typer.echo(f"wrote {out / 'find_lr.svg'}")


def _decoded_before(open_split: Callable[[], DenseDataset], size: tuple[int, int]) -> CachedSplit | None:
    """Return a split if there is one, and it is at hand without decoding it."""
    from ednas.data.cache import find_cache
    from ednas.exceptions import EdnasError

    with suppress(EdnasError):
        return find_cache(open_split(), size)
    return None


def _train_config(
    values: dict[str, Any],
    where: str,
    given: dict[str, Any],
    recipe: str | None,
    changes: dict[str, Any],
    data_options: dict[str, Any],
) -> TrainConfig:
    """Put a configuration together: the values of a file, then options."""
    from ednas.config import parse
    from ednas.training import TrainConfig
    from ednas.training.recipe import merge_recipe

    values |= {key: value for key, value in given.items() if value is not None}
    if recipe is not None:
        merge_recipe(recipe, {})  # a name that is none, with steps, would be a recipe of one's own
    if recipe is not None or changes:
        base = values.get("recipe", "mini") if recipe is None else recipe
        named = {"name": base} if isinstance(base, str) else dict(base)
        values["recipe"] = named | changes
    return parse(TrainConfig, with_data_options(values, data_options), where)


def _say(line: str) -> None:
    """Say what happens on standard error, so that standard output stays the result's."""
    from ednas.exceptions import one_line

    typer.echo(one_line(line), err=True)


@contextmanager
def _quiet_helper() -> Iterator[None]:
    """Let only the first of several processes that train together speak; errors are everybody's."""
    from ednas.training.device import is_helper

    if not is_helper():
        yield
        return
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _use_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _print_metrics(
    metrics: dict[str, Any], as_json: bool, note: str, spread: TaskValues | None = None, *, per_class: bool = False
) -> None:
    if as_json:
        print_json(metrics)
        return
    from ednas.report.tables import classes_table, metrics_table
    from ednas.training.trivial import shortcomings

    if "params" in metrics:
        about = f"{metrics['params'] / 1e6:.2f} M parameters"
    else:
        about = f"{metrics['model']}: {metrics['precision']} in {metrics['runtime']}, stride {metrics['output_stride']}"
    typer.echo(f"protocol {metrics['protocol']}, {about}")
    print_table(metrics_table(metrics, spread))
    for task, classes in metrics["classes"].items() if per_class else ():
        print_table(classes_table(task, classes))
    for line in shortcomings(metrics):
        typer.echo(f"warning: {line}")
    if note:
        typer.echo(note)
