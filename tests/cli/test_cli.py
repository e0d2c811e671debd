"""The command line as a user meets it: results, exit codes, one clear line for each mistake."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.cli import Run
from PIL import Image

from ednas.arch import zoo
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


def test_arch_show_counts_the_base_network(run: Run) -> None:
    code, out, _ = run("arch", "show", "base", "--input", "256x256", "--tasks", "segmentation:19,depth", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["name"] == "base"
    assert facts["params"] == pytest.approx(3.4e6, rel=0.02)
    assert facts["flops"] == 2 * facts["macs"] == pytest.approx(1.2e9, rel=0.05)
    assert facts["input"] == [256, 256]
    assert sum(block["params"] for block in facts["blocks"]) == facts["params"]


def test_arch_show_takes_the_size_that_a_search_or_a_checkpoint_states(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "best.json"
    file.write_text(json.dumps({"architecture": zoo.architecture("base").to_dict(), "input_size": [64, 128]}))
    assert json.loads(run("arch", "show", file, "--json")[1])["input"] == [64, 128]
    assert json.loads(run("latency", file, "--json")[1])["network"]["input_size"] == [64, 128]
    assert json.loads(run("arch", "show", file, "--input", "96x96", "--json")[1])["input"] == [96, 96]


def test_help_names_the_recipe_that_decides_the_size(run: Run) -> None:
    for command, config in (("train", TrainConfig), ("search", SearchConfig)):
        name = config(data="streets").recipe.name
        text = " ".join(run(command, "--help")[1].replace("│", " ").split())
        assert f"Default: {name}." in text
        assert "the data's own, which mini shrinks to about as many pixels as 64x128 have" in text


def test_arch_show_draws_and_prints_a_table(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("arch", "show", "ednas_cityscapes", "--svg", tmp_path / "a.svg")
    assert code == 0
    assert "Fused" in out
    assert (tmp_path / "a.svg").read_text().lstrip().startswith("<svg")


def test_arch_space_prints_the_papers_size(run: Run) -> None:
    assert json.loads(run("arch", "space", "--json")[1])["size"] == 2**79


def write_metrics(path: Path, miou: float, protocol: str = "standard") -> Path:
    tasks = {"segmentation": {"miou": miou, "pixel_acc": 88.68}, "depth": {"abs_err": 0.0157, "rel_err": 0.34}}
    path.write_text(json.dumps({"protocol": protocol, "tasks": tasks}))
    return path


def test_compare_prints_the_documented_json(run: Run, tmp_path: Path) -> None:
    base = write_metrics(tmp_path / "base.json", 40.04)
    found = write_metrics(tmp_path / "found.json", 46.52)
    code, out, _ = run("compare", "--baseline", base, found, "--format", "json")
    model = json.loads(out)["models"][0]
    assert code == 0
    assert model["name"] == "found"
    assert model["tasks"]["segmentation"]["metrics"]["miou"] == pytest.approx(16.2, abs=0.1)
    assert model["delta"] == pytest.approx(16.18 / 4, abs=0.01)


def test_compare_of_several_seeds_has_spread_and_chance(run: Run, tmp_path: Path) -> None:
    for name, values in (("base", [0.2, 0.22, 0.24]), ("found", [0.19, 0.2, 0.21])):
        (tmp_path / name).mkdir()
        mean = sum(values) / 3
        facts = {"protocol": "standard", "split": "val", "samples": 4}
        tasks = {"depth": {"rel_err": mean}}
        (tmp_path / name / "metrics.json").write_text(json.dumps({**facts, "tasks": tasks}))
        runs = {"seeds": [0, 1, 2], "tasks": {"depth": {"rel_err": {"values": values}}}}
        (tmp_path / name / "summary.json").write_text(json.dumps(runs))
    compare = ["compare", "--baseline", tmp_path / "base", tmp_path / "found"]
    code, out, err = run(*compare)
    assert code == 0, err
    assert "0.2000 ± 0.0100" in out
    assert "paired permutation test over the seeds" in out
    assert "0.250" in out
    content = json.loads(run(*compare, "--format", "json")[1])
    (model,) = content["models"]
    assert model["p_values"] == {"depth": {"rel_err": 0.25}}
    assert model["values"]["depth"]["rel_err"] == pytest.approx(0.2)
    assert content["baseline"]["values"]["depth"]["rel_err"] == pytest.approx(0.22)
    assert model["spread"]["depth"]["rel_err"] == pytest.approx(0.01)
    found = list(csv.DictReader(io.StringIO(run(*compare, "--format", "csv")[1])))
    (row,) = [row for row in found if row["model"] == "found" and row["metric"] == "rel_err"]
    assert float(row["value"]) == pytest.approx(0.2)
    assert float(row["std"]) == pytest.approx(0.01)
    assert float(row["gain_percent"]) == pytest.approx(100 * (1 - 0.2 / 0.22))
    assert float(row["p_value"]) == 0.25
    for form, shown in (("latex", r"0.2000 $\pm$ 0.0100"), ("markdown", "0.2000 ± 0.0100")):
        out = run(*compare, "--format", form)[1]
        assert shown in out
        assert "0.250" in out

    file = tmp_path / "found" / "metrics.json"
    file.write_text(file.read_text().replace('"samples": 4', '"samples": 5'))
    code, _, err = run(*compare)
    assert (code, err.count("\n")) == (2, 1)
    assert "'base' was measured on a number of samples of 4, 'found' on a number of samples of 5; " in err
    assert "--force" in err
    code, _, err = run(*compare, "--force")
    assert (code, err.count("not alike: 'base' was measured on a number of samples")) == (0, 1)


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


def test_wrong_yaml_key_names_the_nearest(run: Run, tmp_path: Path) -> None:
    (tmp_path / "search.yaml").write_text("data: streets\ntrails: 3\n")
    code, _, err = run("search", "--config", tmp_path / "search.yaml", "--out", tmp_path / "out")
    assert code == 2
    assert "search.yaml: unknown key 'trails'; did you mean 'trials'?" in err
    assert not (tmp_path / "out").exists()


def test_impossible_latency_says_what_is_possible(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "s.yaml").write_text(
        "data: streets\ndata_options: {count: 4}\nrecipe: mini\ntarget_latency_ms: 0.01\n"
        "space: {kinds: [ibn], kernel_sizes: [3], multipliers: [1.0], expand_ratios: [3, 6]}\n"
    )
    code, _, err = run("search", "--config", tmp_path / "s.yaml", "--out", tmp_path / "out")
    assert code == 2
    assert "the limit is latency 0.01 ms, but the lowest found in this space is latency" in err
    assert err.count("\n") == 1


def test_search_under_limits(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "s.yaml").write_text(
        "data: streets\ndata_options: {count: 4, size: [32, 64]}\n"
        "recipe: {name: mini, steps: 1, batch_size: 2, input_size: [32, 64]}\n"
        "target_latency_ms: 0.01\nlimits: {params: 1.0, macs: 2 * baseline}\nmax_latency_factor: 1.0\n"
        "space: {kinds: [ibn], kernel_sizes: [3], multipliers: [0.5, 1.0]}\ntrials: 2\nexecutor: inline\n"
        "controller: {options: {population_size: 7, mutations: 2}}\n"
    )
    search = ["search", "--config", tmp_path / "s.yaml", "--out", tmp_path / "out", "--device", "cpu", "--json"]
    search += ["--limit", "params=0.9*baseline", "--limit", "latency_ms=2*baseline", "--prune-factor", "1.1"]
    search += ["--tournament", "3"]
    code, out, err = run(*search, "--objectives", "accuracy,params")
    assert code == 0, err
    options = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["controller"]["options"]
    assert options == {"population_size": 7, "tournament_size": 3, "mutations": 2, "initial_mutations": None}
    result = json.loads(out)
    limits, cost = result["limits"], result["best"]["cost"]
    assert limits.keys() == {"latency_ms", "params", "macs"}
    assert result["target_ms"] == limits["latency_ms"]
    assert all(cost[name] <= 1.1 * limit for name, limit in limits.items())
    assert result["objectives"] == ["accuracy", "params"]
    assert result["feasible"] == all(cost[name] <= limit for name, limit in limits.items())

    search.remove("--json")  # the Pareto set may be drawn anew when a search is resumed, its limits stay
    code, out, err = run(*search, "--resume", "--objectives", "accuracy,macs,latency_ms")
    assert code == 0, err
    assert f"(limit {limits['params']:,.0f})" in out
    assert json.loads((tmp_path / "out" / "pareto.json").read_text())["objectives"] == [
        "accuracy",
        "macs",
        "latency_ms",
    ]
    search[search.index("latency_ms=2*baseline")] = "latency_ms=3*baseline"
    code, _, err = run(*search, "--resume")
    assert code == 2
    assert "belongs to another search: 'target_latency_ms' was" in err


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


def test_disk_full_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = run("arch", "show", "base", "--svg", tmp_path / "a.svg")
    assert code == 2
    assert "No space left on device" in err
    assert list(tmp_path.iterdir()) == []


def test_data_make_check_and_preview(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "rooms"
    assert run("data", "make", "rooms", "--out", folder, "--train", 3, "--val", 2, "--size", "32x64")[0] == 0
    code, out, _ = run("data", "check", folder, "--json")
    assert code == 0
    assert [split["samples"] for split in json.loads(out)["splits"]] == [3, 2]
    assert run("data", "preview", folder, "--out", tmp_path / "sheet.png", "--count", 2)[0] == 0
    assert Image.open(tmp_path / "sheet.png").width > 100
    image = next(folder.rglob("*.png"))
    image.write_bytes(image.read_bytes()[:40])
    code, out, _ = run("data", "check", folder)
    assert code == 2
    assert image.name in out


def test_train_evaluate_predict_and_resume(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    folder, out = tmp_path / "rooms", tmp_path / "run"
    run("data", "make", "rooms", "--out", folder, "--train", 4, "--val", 2, "--size", "32x64")
    small = replace(zoo.architecture("base"), bifpn_width=8, bifpn_depth=1)
    train = ["train", small.to_text(), "--data", folder, "--tasks", "segmentation,depth,normals", "--out", out]
    train += ["--steps", 2, "--batch-size", 2, "--input", "32x64", "--json"]
    code, printed, err = run(*train)
    assert code == 0, err
    metrics = json.loads(printed)
    assert metrics == json.loads((out / "checkpoint" / "metrics.json").read_text())
    assert set(metrics["tasks"]) == set(metrics["trivial"]["tasks"]) == {"segmentation", "depth", "normals"}

    code, _, err = run(*train)
    assert code == 2
    assert "holds a finished run" in err
    assert json.loads(run(*train, "--resume")[1]) == metrics

    code, _, err = run(*train, "--teacher", out, "--out", tmp_path / "taught")
    assert code == 0, err
    assert "in segmentation, depth, normals" in (tmp_path / "taught" / "log.txt").read_text()
    code, _, err = run(*train, "--teacher", tmp_path / "nobody", "--out", tmp_path / "untaught")
    assert code == 2
    assert "nobody': no such folder" in err

    again = ["train", out / "checkpoint", *train[2:], "--out", tmp_path / "again"]
    code, _, err = run(*again)
    assert code == 0
    assert f"only the architecture of {out / 'checkpoint'} is taken; --init {out / 'checkpoint'} starts" in err
    code, _, err = run(*again[:-1], tmp_path / "from_weights", "--init", out / "checkpoint")
    assert code == 0
    assert "only the architecture" not in err

    code, printed, err = run("evaluate", out / "checkpoint", "--data", folder, "--protocol", "adashare", "--json")
    assert code == 0, err
    assert json.loads(printed)["protocol"] == "adashare"
    assert json.loads(printed)["trivial"]["samples"] == 4  # the training split was decoded by the training
    classes = json.loads(printed)["classes"]["segmentation"]
    for options, is_shown in (([], False), (["--per-class"], True)):
        code, printed, err = run("evaluate", out / "checkpoint", "--data", folder, *options)
        assert code == 0, err
        assert "RMSE m" in printed
        assert all((name in printed) is is_shown for name in classes)

    image = next((folder / "val").rglob("*.png")) if (folder / "val").exists() else next(folder.rglob("*.png"))
    code, _, err = run("predict", out / "checkpoint", image, "--out", tmp_path / "seen")
    assert code == 0, err
    depth = np.load(next((tmp_path / "seen").glob("*_depth.npy")))
    assert depth.shape[:2] == np.asarray(Image.open(image)).shape[:2]

    (tmp_path / "mixed").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(image, tmp_path / "mixed" / name)
    (tmp_path / "mixed" / "bad.png").write_bytes(image.read_bytes()[:200])
    code, _, err = run("predict", out / "checkpoint", tmp_path / "mixed", "--out", tmp_path / "most")
    assert (code, err.count("\n")) == (0, 1)
    assert "bad.png: cannot be decoded" in err
    assert len(list((tmp_path / "most").glob("[ab]_depth.npy"))) == 2

    image = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 100, 3), dtype=np.uint8)).save(image)
    code, _, err = run("predict", out / "checkpoint", image, "--tile", "auto", "--out", tmp_path / "tiled")
    assert code == 0, err
    assert np.load(tmp_path / "tiled" / "large_depth.npy").shape == (70, 100)

    tiled = ["evaluate", out / "checkpoint", "--data", folder, "--json", "--tile", "32x32", "--overlap", "0.5"]
    for options, size in (([], [32, 64]), (["--input", "64x96"], [64, 96])):
        code, printed, err = run(*tiled, *options)
        assert code == 0, err
        metrics = json.loads(printed)
        assert (metrics["input_size"], metrics["tile"], metrics["overlap"]) == (size, [32, 32], 0.5)

    for options, message in (
        (["--tile", "16x64"], "tile '16x64': write HEIGHTxWIDTH in pixels, 32 to 8192"),
        (["--tile", "full"], "tile 'full': write HEIGHTxWIDTH"),
        (["--tile", "auto", "--overlap", "0.95"], "overlap 0.95: must be a share of the tile from 0 to 0.9"),
        (["--overlap", "0.5"], "--overlap: is that of tiles; give --tile too"),
        (["--tile", "auto", "--model-size"], "size 'model': tiles cover a picture at its own size"),
    ):
        code, _, err = run("predict", out / "checkpoint", image, "--out", tmp_path / "refused", *options)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err
    assert not (tmp_path / "refused").exists()


def test_options_of_the_data_travel_with_the_checkpoint(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    small = replace(zoo.architecture("base"), bifpn_width=8, bifpn_depth=1).to_text()
    (tmp_path / "c.yaml").write_text("data: streets\ndata_options: {count: 9, seed: 3}\n")
    train = ["train", small, "--config", tmp_path / "c.yaml", "--tasks", "depth", "--steps", 2, "--batch-size", 2]
    train += ["--data-option", "count=5", "--data-option", "size=[32, 64]", "--json", "--out", tmp_path / "run"]
    code, printed, err = run(*train)
    assert code == 0, err
    metrics = json.loads(printed)
    assert (metrics["samples"], metrics["input_size"]) == (5, [32, 64])
    evaluate = ["evaluate", tmp_path / "run" / "checkpoint", "--data", "streets", "--json"]
    code, printed, err = run(*evaluate)
    assert code == 0, err
    again = json.loads(printed)
    assert (again["tasks"], again["trivial"]) == (metrics["tasks"], metrics["trivial"])
    assert json.loads(run(*evaluate, "--data-option", "count=3")[1])["samples"] == 3
    other = json.loads(run(*evaluate, "--data-option", "seed=4")[1])
    assert other["samples"] == 5
    assert other["tasks"] != metrics["tasks"]

    for option, message in (
        ("count", "data option 'count': write each option once, NAME=VALUE"),
        ("count=[", "data option 'count=[': the value cannot be read"),
        ("cuont=3", "unknown key 'cuont'; did you mean 'count'"),
    ):
        code, _, err = run(*evaluate, "--data-option", option)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_data_are_checked_and_shown_with_options(run: Run, tmp_path: Path) -> None:
    options = ["--data-option", "count=3", "--data-option", "size=[32,64]"]
    code, printed, err = run("data", "check", "streets", "--json", *options)
    assert code == 0, err
    assert [split["samples"] for split in json.loads(printed)["splits"]] == [3, 3]
    code, _, err = run("data", "preview", "streets", "--out", tmp_path / "sheet.png", *options)
    assert code == 0, err
    assert (tmp_path / "sheet.png").is_file()


def test_train_several_seeds_reports_mean_and_spread(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    config = tmp_path / "train.yaml"
    small = replace(zoo.architecture("base"), bifpn_width=8, bifpn_depth=1)
    config.write_text(
        f"architecture: {small.to_text()}\ndata: streets\ndata_options: {{count: 4}}\ntasks: [depth]\n"
        "recipe: {name: mini, steps: 1, batch_size: 2, input_size: [32, 64]}\n"
    )
    code, out, err = run("train", "--config", config, "--runs", 2, "--out", tmp_path / "runs")
    assert code == 0, err
    assert "±" in out
    assert "no network (mean label)" in out
    assert json.loads((tmp_path / "runs" / "summary.json").read_text())["seeds"] == [0, 1]
    again = ["train", "--config", config, "--runs", 2, "--out", tmp_path / "runs", "--resume"]
    code, _, err = run(*again, "--steps", 2)
    assert code == 0, err
    assert err.count("lengthening 1 steps to 2: from there the optimizer begins anew") == 2
    assert json.loads((tmp_path / "runs" / "metrics.json").read_text())["steps"] == 2
    code, _, err = run(*again)
    assert (code, err.count("\n")) == (2, 1)
    assert "holds a run of 2 steps, 1 are asked for" in err


def test_train_says_first_at_which_size_and_why(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    small = replace(zoo.architecture("base"), bifpn_width=8, bifpn_depth=1, name="small")
    found = {"trial": 3, "input_size": [64, 64], "architecture": small.to_dict()}
    (tmp_path / "best.json").write_text(json.dumps(found))
    folder = tmp_path / "rooms"
    run("data", "make", "rooms", "--out", folder, "--train", 4, "--val", 2, "--size", "144x192")
    train = ["train", tmp_path / "best.json", "--data", folder, "--tasks", "depth", "--steps", 1, "--batch-size", 2]
    for options, line in (
        ([], "64x64 (what the architecture is for; the data's 144x192 STRETCHED, by 0.44 in height and 0.33 in width)"),
        (["--input", "72x96"], "72x96 (set by --input or the configuration; the data's 144x192 scaled by 0.50)"),
    ):
        code, _, err = run(*train, *options, "--out", tmp_path / f"run{len(options)}")
        assert code == 0, err
        assert err.splitlines()[0] == f"training small at {line}"
    code, _, err = run("train", small.to_text(), *train[2:], "--out", tmp_path / "own")
    assert code == 0, err
    shrunk = "96x128 (about the 8192 pixels of recipe mini; the data's 144x192 scaled by 0.67)"
    assert err.splitlines()[0] == f"training a network at {shrunk}"


def test_retrying_is_for_a_search_that_is_there(run: Run, tmp_path: Path) -> None:
    code, _, err = run("search", "--data", "streets", "--retry-failed", "--out", tmp_path / "run")
    assert (code, err) == (2, "error: --retry-failed: is about the search in --out; add --resume\n")
