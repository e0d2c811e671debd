"""`ednas arch`: architectures and the search space."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import AsJson, Plugins, parse_heads, parse_size, run_plugins
from ednas.cli.printing import print_json, print_table

app = typer.Typer(help="Look at architectures and at the search space.", no_args_is_help=True)

DEFAULT_HEADS = "segmentation:19,depth"


@app.command("show")
def show(
    architecture: Annotated[str, typer.Argument(help="A built-in name, a JSON file, a checkpoint, or a text form.")],
    size: Annotated[
        str | None,
        typer.Option("--input", help="HEIGHTxWIDTH; default: the checkpoint's, the search's or its own, or 256x256."),
    ] = None,
    tasks: Annotated[str, typer.Option(help="Tasks with their output channels.")] = DEFAULT_HEADS,
    svg: Annotated[Path | None, typer.Option(help="Also draw the network into this SVG file.")] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Print an architecture like Table 6, with parameters and MACs per block, and the totals.

    [bold]Examples[/bold]

    ednas arch show base

    ednas arch show runs/demo/best.json --input 128x256 --tasks segmentation:19,depth,normals --json

    ednas arch show "base backbone:plain(width=16)" --plugin examples/own_network.py
    """
    from ednas.arch import load_architecture, stored_input_size
    from ednas.files import write_text
    from ednas.hw import summarise

    run_plugins(plugin)
    network = load_architecture(architecture)
    heads = parse_heads(tasks)
    shape = parse_size(size) if size else stored_input_size(architecture) or network.input_size or (256, 256)
    summary = summarise(network, heads, shape)
    if svg is not None:
        from ednas.report.drawing import draw_architecture

        write_text(svg, draw_architecture(network, summary, tasks=list(heads)))
    if as_json:
        facts = {"name": network.name, "fingerprint": network.fingerprint(), "text": network.to_text()}
        print_json(facts | asdict(summary))
        return
    from ednas.report.tables.architecture import architecture_table

    print_table(architecture_table(network, summary))


@app.command("list")
def list_architectures(as_json: AsJson = False) -> None:
    """List the built-in architectures with their counts at 256x256, segmentation (19 classes) and depth.

    [bold]Example[/bold]

    ednas arch list
    """
    from ednas.arch import zoo
    from ednas.hw import summarise

    heads = parse_heads(DEFAULT_HEADS)
    summaries = {name: summarise(zoo.architecture(name), heads, (256, 256)) for name in zoo.names()}
    if as_json:
        counts = [{"name": n, "params": s.params, "macs": s.macs, "flops": s.flops} for n, s in summaries.items()]
        print_json({"architectures": counts})
        return
    for name, summary in summaries.items():
        typer.echo(f"{name:28} {summary.params / 1e6:6.2f} M parameters {summary.flops / 1e9:6.2f} GFLOP")


@app.command("space")
def space(
    config: Annotated[Path | None, typer.Option(help="A search's YAML file; default: the paper's space.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the size of the search space and its decisions.

    [bold]Example[/bold]

    ednas arch space --config search.yaml
    """
    import math

    from ednas.arch import SearchSpace, zoo
    from ednas.search.config import load_search_config

    if config is None:
        chosen = SearchSpace(zoo.architecture("base"))
    else:
        settings = load_search_config(config)
        chosen = SearchSpace(settings.training.load_architecture(), settings.space)
    if as_json:
        decisions = [{"name": d.name, "candidates": list(d.candidates)} for d in chosen.decisions]
        print_json({"size": chosen.size, "decisions": decisions})
        return
    for decision in chosen.decisions:
        typer.echo(f"{decision.name:28} {', '.join(map(str, decision.candidates))}")
    typer.echo(f"{len(chosen.decisions)} decisions, {chosen.size:.3g} networks (2^{math.log2(chosen.size):.4g})")
