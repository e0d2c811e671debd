"""`ednas train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ednas.cli.options import (
    AllowPlugins,
    AsJson,
    DataOptions,
    Plugins,
    parse_data_options,
    parse_size,
    parse_tasks,
    run_plugins,
)
from ednas.cli.printing import print_json, print_metrics, print_table, say
from ednas.exceptions import ConfigError
from ednas.plugins import all_plugins, configured_plugins, teacher_plugins

if TYPE_CHECKING:
    from ednas.training import TrainConfig


def train(
    architecture: Annotated[
        str | None, typer.Argument(help="A built-in name, a JSON file (best.json), a checkpoint, or a text form.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A dataset.yaml, a folder of a known format, streets or rooms.")
    ] = None,
    data_option: DataOptions = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks to learn together, like segmentation,depth.")] = None,
    sharing: Annotated[
        str | None,
        typer.Option(
            help="How tasks share the backbone: hard (all of it), single (nothing), branching, mtan, cross_stitch, "
            "sluice or nddr, with options like branching(at=6). Default: as the architecture says, else hard."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")] = Path("runs/train"),
    config: Annotated[
        Path | None, typer.Option(help="A YAML file; options on the command line replace its values.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="finetune (own data), mini (CPU), proxy (5k steps), full (20k). Default: mini.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps, instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples a step, instead of the recipe's.")] = None,
    learning_rate: Annotated[
        str | None,
        typer.Option("--lr", help="Highest learning rate, instead of the recipe's; auto: found by a range test."),
    ] = None,
    find_lr: Annotated[
        bool,
        typer.Option("--find-lr", help="Train nothing: suggest a learning rate by a range test, and draw its curve."),
    ] = False,
    init: Annotated[
        str | None, typer.Option(help="Start from imagenet, a checkpoint or a file of EfficientNet-Lite0's weights.")
    ] = None,
    plugin: Plugins = None,
    allow_plugins: AllowPlugins = False,
    teacher: Annotated[
        str | None, typer.Option(help="Also imitate a better network: its checkpoint, or file.py:function.")
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
    weighting: Annotated[
        str | None,
        typer.Option(
            help="What each loss counts in a step: fixed (as the recipe says), searched, log_sum, uncertainty, uw_so, "
            "dwa, rlw, stch, famo, gradnorm, or by gradients pcgrad, cagrad, imtl, nash, aligned, upgrad, with options "
            "like dwa(window=50). Default: fixed."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random numbers.")] = None,
    runs: Annotated[
        int, typer.Option(min=1, help="Number of seeds to train; reports mean and standard deviation.")
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in --out; a finished run is lengthened if --steps is larger."),
    ] = False,
    loggers: Annotated[
        list[str] | None,
        typer.Option("--logger", help="Also log to wandb or mlflow, besides CSV and TensorBoard; can be repeated."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs (with --device cpu: processes) to train on together, by DDP.")
    ] = 1,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Compile the network first (torch.compile; on CUDA with CUDA graphs)."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a network for any mix of tasks, evaluate it, and write a checkpoint.

    [bold]Examples[/bold]

    ednas train base --data streets --tasks segmentation,depth --out runs/base

    ednas train base --data streets --tasks depth --out runs/depth        # a single-task baseline

    ednas train base --data streets --tasks segmentation,depth --find-lr --out runs/rate

    ednas train runs/demo/best.json --data examples/nyuv2.yaml --tasks segmentation,depth,normals --input 96x128
    --steps 3000 --runs 3 --out runs/found

    ednas train base --data streets --tasks segmentation,depth --weighting "dwa(window=50)" --out runs/dwa

    ednas train base --data streets --tasks segmentation,depth --sharing mtan --out runs/mtan

    ednas train base --data streets --teacher runs/large/checkpoint --out runs/taught

    ednas train base --data streets --tasks segmentation,depth --out runs/base --resume --steps 2000     # lengthen it

    The first line is the size of the images that it trains on, and the reason.
    """
    import torch

    from ednas.arch.files import read_facts
    from ednas.cli.progress import decoding, training_bars
    from ednas.config import parse, read_yaml
    from ednas.training import TrainConfig, train_runs
    from ednas.training import train as run_training
    from ednas.training.config import with_data_options
    from ednas.training.device import quiet_helper
    from ednas.training.recipe import with_recipe

    if threads is not None:
        torch.set_num_threads(threads)
    changes = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "init": init,
        "teacher": teacher,
        "loss_preset": loss_preset,
        "weighting": weighting,
        "input_size": parse_size(size) if size else None,
    }
    values = {} if config is None else read_yaml(config)
    run_plugins(configured_plugins(values), allow_plugins)
    run_plugins(plugin)
    run_plugins(teacher_plugins(values), allow_plugins)
    run_plugins(teacher_plugins({"recipe": changes}))
    given = {
        "architecture": architecture,
        "data": data,
        "tasks": parse_tasks(tasks) if tasks else None,
        "sharing": sharing,
        "seed": seed,
        "plugins": all_plugins(values, plugin),
    }
    values |= {key: value for key, value in given.items() if value is not None}
    values = with_data_options(with_recipe(values, recipe, changes, default="mini"), parse_data_options(data_option))
    settings = parse(TrainConfig, values, str(config or "train"))
    if architecture and settings.recipe.init is None and "steps" in read_facts(architecture):
        say(f"only the architecture of {architecture} is taken; --init {architecture} starts from its weights")
    if find_lr:
        if resume or runs > 1:
            raise ConfigError("--find-lr: trains no run; leave --resume and --runs out")
        _find_learning_rate(settings, out, device, as_json)
        return
    if devices > 1 and runs > 1:
        raise ConfigError("--devices: one training at a time; leave --runs out, and start one for each --seed")
    shared: dict[str, Any] = {"resume": resume, "announce": say, "device": device, "compiled": compiled}
    shared["loggers"] = loggers or ()
    last = f"`ednas report {out}` shows the curves"
    with quiet_helper():
        with decoding() as decode, training_bars() as begin:
            if runs == 1:
                bars = begin("training")
                result = run_training(settings, out, devices=devices, callbacks=bars, decode_progress=decode, **shared)
            else:
                several = train_runs(
                    settings,
                    out,
                    runs,
                    callbacks=lambda index: begin(f"seed {settings.seed + index}"),
                    decode_progress=decode,
                    **shared,
                )
        if runs == 1:
            print_metrics(result.metrics, as_json, f"wrote {result.checkpoint}; {last}")
        else:
            print_metrics(several.metrics, as_json, f"wrote {several.folder}; {last}", several.spread)


def _find_learning_rate(settings: TrainConfig, out: Path, device: str, as_json: bool) -> None:
    """Make a range test, write its points and its curve, and print the suggestion."""
    from ednas.cli.progress import decoding, training_bars
    from ednas.files import write_text
    from ednas.report.range_test import draw_range_test
    from ednas.report.tables.range_test import range_test_table
    from ednas.training import find_learning_rate

    with decoding() as decode, training_bars() as begin:
        test = find_learning_rate(settings, callbacks=begin("range test"), decode_progress=decode, device=device)
    test.save(out)
    write_text(out / "find_lr.svg", draw_range_test(test))
    if as_json:
        print_json(test.to_dict())
        return
    print_table(range_test_table(test))
    typer.echo(f"suggested learning rate: {test.suggestion:g}; take it by --lr {test.suggestion:g}")
    typer.echo(f"wrote {out / 'find_lr.svg'}")
