"""`ednas data`: check, look at and make datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import AsJson, DataOptions, Force, check_new_file, parse_data_options, parse_size
from ednas.cli.printing import print_json

app = typer.Typer(help="Check, look at and make datasets.", no_args_is_help=True)

_Path = Annotated[
    str, typer.Argument(help="A dataset.yaml, a folder of a known format, a .mat file, or streets or rooms.")
]


@app.command("check")
def check(
    path: _Path,
    data_option: DataOptions = None,
    as_json: AsJson = False,
) -> None:
    """Read every sample; list each bad file with its reason, class frequencies, value ranges, invalid fractions.

    Exit code 2 if a file is bad.

    [bold]Example[/bold]

    ednas data check examples/nyuv2.yaml
    """
    from ednas.cli.progress import counting
    from ednas.data.check import check_dataset

    with counting("reading") as progress:
        report = check_dataset(path, progress, **parse_data_options(data_option))
    if as_json:
        print_json(report.to_json())
    else:
        typer.echo(report.to_text())
    if not report.ok:
        raise typer.Exit(2)


@app.command("guess")
def guess(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the images and their labels.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The dataset.yaml to write.")] = None,
    force: Force = False,
) -> None:
    """Propose a dataset.yaml for a folder, with the reasons, and check it.

    The proposal goes to standard output or --out, the result of the check to standard error. Exit code 2 if a file is
    bad.

    [bold]Example[/bold]

    ednas data guess ../pictures --out my.yaml
    """
    import dataclasses
    import os
    import tempfile

    from ednas.cli.progress import counting
    from ednas.data.check import check_dataset
    from ednas.data.guess import propose
    from ednas.data.readers.folder import FILE_NAME
    from ednas.files import write_text

    if out is not None:
        check_new_file(out, force)
    place = folder.resolve()
    root = str(place) if out is None else os.path.relpath(place, out.resolve().parent)
    with counting("reading") as progress:
        text = propose(folder, Path(root).as_posix(), progress)
    with tempfile.TemporaryDirectory() as temporary, counting("checking") as progress:
        file = out or Path(temporary) / FILE_NAME
        write_text(file, text)
        report = check_dataset(file, progress)
    typer.echo(text if out is None else f"wrote {out}", nl=out is not None)
    typer.echo(dataclasses.replace(report, path=str(folder)).to_text(), err=True)
    if not report.ok:
        raise typer.Exit(2)


@app.command("preview")
def preview(
    path: _Path,
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")] = Path("preview.png"),
    split: Annotated[str, typer.Option(help="Which split to show.")] = "train",
    count: Annotated[int, typer.Option(min=1, max=100, help="Number of samples.")] = 8,
    data_option: DataOptions = None,
) -> None:
    """Write a contact sheet: images beside their labels.

    [bold]Example[/bold]

    ednas data preview rooms --out rooms.png
    """
    from ednas.data import open_dataset
    from ednas.data.preview import preview as write_preview

    dataset = open_dataset(path, split, **parse_data_options(data_option))
    typer.echo(f"wrote {write_preview(dataset, out, count=count)}")


@app.command("make")
def make(
    scene: Annotated[str, typer.Argument(help="streets or rooms.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    train: Annotated[int, typer.Option(min=1, help="Number of training samples.")] = 768,
    val: Annotated[int, typer.Option(min=1, help="Number of validation samples.")] = 128,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "64x128",
    seed: Annotated[int, typer.Option(min=0, help="One seed, one dataset.")] = 0,
) -> None:
    """Write built-in procedural data to disk, as a folder that any command reads.

    [bold]Example[/bold]

    ednas data make streets --out data/streets --size 128x256
    """
    from ednas.cli.progress import counting
    from ednas.data.readers.synthetic import SyntheticDataset
    from ednas.data.writing import write_folder
    from ednas.exceptions import ConfigError

    if out.exists():
        raise ConfigError(f"{out}: exists already; choose another folder or remove it")
    shape = parse_size(size)
    splits = {
        name: SyntheticDataset(scene=scene, split=name, count=count, size=shape, seed=seed)
        for name, count in (("train", train), ("val", val))
    }
    with counting("rendering") as progress:
        typer.echo(f"wrote {write_folder(splits, out, progress)}")
