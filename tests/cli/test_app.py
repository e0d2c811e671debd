"""The command line as a user meets it: results, exit codes, one clear line for each mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli import Run

from ednas.search.config import SearchConfig
from ednas.training import TrainConfig

COMMANDS = ["demo", "search", "train", "evaluate", "compare", "predict", "latency", "targets", "report", "doctor"]
COMMANDS += [
    "targets show",
    "targets new",
    "targets calibrate",
    "arch show",
    "arch list",
    "arch space",
    "data check",
    "data guess",
    "data preview",
    "data make",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    code, out, _ = run(*command.split(), "--help")
    assert code == 0
    assert "Example" in out
    assert f"ednas {command}" in out


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; sys.argv=['ednas','--help']\nfrom ednas.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "heavy = {'torch', 'lightning', 'pyglove', 'numpy', 'PIL', 'plotly'} & set(sys.modules)\n"
    code += "sys.exit(f'{heavy} are imported' if heavy else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_names_the_recipe_that_decides_the_size(run: Run) -> None:
    training = TrainConfig(data="streets")
    for command, config in (("train", training), ("search", SearchConfig(training=training).training)):
        name = config.recipe.name
        text = " ".join(run(command, "--help")[1].replace("│", " ").split())
        assert f"Default: {name}." in text
        assert "the data's own, which mini shrinks to about as many pixels as 64x128 have" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["arch", "show", "bse"], "unknown architecture 'bse'; did you mean 'base'?"),
        (["arch", "show", "base", "--input", "12"], "write HEIGHTxWIDTH in pixels, 32 to 8192"),
        (["arch", "show", "base", "--tasks", "segmentation"], "'segmentation' needs its number of channels"),
        (["data", "check", "nowhere"], "nowhere: no such file or folder"),
        (["evaluate", "nowhere", "--data", "streets"], "nowhere"),
        (["compare", "--baseline", "a.json", "b.json"], "a.json: no such file"),
        (["search", "--data", "streets", "--target", "cora", "--trials", "1"], "unknown target 'cora'"),
        (["search", "--data", "streets", "--latency", "fast"], "write a number of at least 0, baseline, or a multiple"),
        (["search", "--data", "streets", "--limit", "energy_mj"], "limit 'energy_mj': write each quantity once"),
        (["search", "--data", "streets", "--limit", "params=1", "--limit", "params=2"], "limit 'params=2': write each"),
        (
            ["search", "--data", "streets", "--limit", "energy=1"],
            "unknown quantity 'energy'; did you mean 'energy_mj'?",
        ),
        (["search", "--data", "streets", "--limit", "params=few"], "'limits.params': write a number of at least 0"),
        (["search", "--data", "streets", "--limit", "latency_ms=5", "--latency", "5"], "two names of the same"),
        (["search", "--data", "streets", "--objectives", "accuracy,speed"], "unknown quantity 'speed'; known: "),
        (["search", "--data", "streets", "--objectives", "params"], "name accuracy and one quantity at least"),
        (["search", "--data", "streets", "--prune-factor", "0.5"], "'prune_factor'"),
        (["train", "base", "--data", "streets", "--recipe", "minni"], "unknown recipe 'minni'; did you mean 'mini'?"),
        (["train", "base", "--data", "streets", "--tasks", "depht"], "depht"),
        (
            ["train", "base", "--data", "streets", "--logger", "wandbb"],
            "unknown logger 'wandbb'; did you mean 'wandb'?",
        ),
        (["report", "nowhere"], "nowhere"),
        (["data", "check", "a" * 300], "no such file or folder"),
        (["train", "base", "--data", "a" * 300], "no such file or folder"),
        (["evaluate", "a" * 300, "--data", "streets"], "File name too long; give a shorter path"),
        (["train", "/dev/zero", "--data", "streets"], "is no regular file"),
    ],
)
def test_each_mistake_is_one_line_and_exit_code_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


KEPT = "; what was finished is kept; --resume goes on from there"


@pytest.mark.parametrize(("command", "hint"), [("train", KEPT), ("evaluate", "")])
def test_ctrl_c_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch, command: str, hint: str) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ednas.training.train", interrupted)
    monkeypatch.setattr("ednas.export.predictor.load_checkpoint", interrupted)
    monkeypatch.setattr("sys.argv", ["ednas", command])
    code, _, err = run(command, "base", "--data", "streets")
    assert code == 130
    assert err.strip().splitlines()[-1] == f"error: stopped{hint}"


def test_sigterm_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object, **__: object) -> None:
        raise SystemExit(143)

    monkeypatch.setattr("ednas.training.train", ended)
    monkeypatch.setattr("sys.argv", ["ednas", "train"])
    code, _, err = run("train", "base", "--data", "streets")
    assert code == 143
    assert err.strip().splitlines()[-1] == f"error: stopped{KEPT}"
