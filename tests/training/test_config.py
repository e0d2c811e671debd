import pytest
import yaml

from ednas.arch import load_architecture, save_architecture
from ednas.exceptions import ConfigError
from ednas.training import TrainConfig, load_config
from ednas.training.config import difference


def test_yaml_round_trip(config, tmp_path):
    config.save(tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_named_recipe_in_yaml(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("data: streets\nrecipe: {name: proxy, steps: 10, augment: {mirror: 0}}\ntasks: [depth]\n")
    found = load_config(file, seed=3)
    assert (found.recipe.name, found.recipe.steps, found.recipe.learning_rate, found.seed) == ("proxy", 10, 3e-4, 3)
    assert found.recipe.augment is not None
    assert (found.recipe.augment.mirror, found.recipe.augment.scale) == (0, (0.5, 1.5))
    found.save(file)
    assert load_config(file) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dta: streets", "unknown key 'dta'; did you mean 'data'"),
        ("data: streets\nrecipe: {name: mini, learing_rate: 1}", "'recipe.learing_rate'; did you mean 'learning_rate'"),
        ("data: streets\nrecipe: fulll", "did you mean 'full'"),
        ("data: streets\nrecipe: {name: [mini], steps: 3}", "'recipe"),
        ("data: streets\nrecipe: {name: finetun, steps: 3}", "unknown recipe 'finetun'; did you mean 'finetune'"),
        ("data: streets\nrecipe: {name: mini, steps: 3, batch_size: 99999999999}", "less than or equal to 100000"),
        ("data: streets\nseed: 0x" + "f" * 20_000, "a whole number of 80000 bits"),
        ("data: streets\nnormalisation: {std: [0, 1, 1]}", "normalisation.std"),
        ("data: streets\ntasks: []", "one task at least"),
        ("data: streets\ntasks: [depth, depth]", "named twice"),
        ("data: streets\nrecipe: {name: mini, depth_loss: l1}", "unknown key 'recipe.depth_loss'"),
        ("data: streets\nprotocol: adashar", "protocol"),
        ("seed: 0", "key 'data' is missing"),
        ("data: streets\nseed: -1", "seed"),
        ("data: streets\nrecipe: {name: mini, weighting: dwaa}", "unknown weighting 'dwaa'; did you mean 'dwa'"),
        ("data: streets\nrecipe: {name: mini, weighting: {name: dwa, options: {windo: 2}}}", "did you mean 'window'"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path, text, said):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(file)
    assert said in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_way_to_share_is_put_into_the_architecture(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("data: streets\nsharing: mtan\n")
    found = load_config(file)
    assert found.load_architecture().sharing == "mtan"
    alone = found.standalone()
    assert (alone.sharing, alone.load_architecture()) == (None, found.load_architecture())
    file.write_text("data: streets\narchitecture: base sharing:mtan\nsharing: hard\n")
    assert load_config(file).load_architecture() == load_architecture("base")
    assert difference(found, alone) is None


def test_a_weighting_is_read_by_its_name_or_with_options(tmp_path):
    file = tmp_path / "config.yaml"
    found = []
    for text in ("dwa", "{name: dwa}", "dwa(window=100)", "{name: dwa, options: {window: 100}}"):
        file.write_text(f"data: streets\nrecipe: {{name: mini, weighting: {text}}}")
        found.append(load_config(file))
        found[-1].save(file)
        assert load_config(file) == found[-1]
    assert all(own == found[0] for own in found)


def test_a_plugin_may_bring_a_weighting(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("data: streets\nplugins: [theirs.py]\nrecipe: {name: mini, weighting: theirs}")
    assert load_config(file).recipe.weighting.name == "theirs"


def test_standalone_needs_no_other_file(config, tmp_path, monkeypatch):
    save_architecture(config.load_architecture(), tmp_path / "mine.json")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    alone = TrainConfig(architecture="mine.json", data="data").standalone()
    (tmp_path / "mine.json").unlink()
    assert alone.load_architecture().fingerprint() == config.load_architecture().fingerprint()
    assert alone.data == str(tmp_path / "data")
    assert alone.standalone() == alone
    assert yaml.safe_load(yaml.safe_dump(alone.model_dump(mode="json")))["data"] == alone.data


def test_the_files_that_a_standalone_run_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data.yaml", "mine.py", "weights.py"):
        (tmp_path / name).touch()
    recipe = {"name": "mini", "init": "weights.py:make"}
    found = TrainConfig.model_validate({"data": "data.yaml", "plugins": ("mine.py", "a.module"), "recipe": recipe})
    assert set(found.standalone().files()) == {tmp_path / name for name in ("data.yaml", "mine.py", "weights.py")}
    assert TrainConfig(data="streets").standalone().files() == []


def test_pixels_are_read_as_they_were_written(tmp_path):
    for given in ({"name": "mini"}, {"name": "mini", "input_size": None}, {"name": "mini", "input_size": [72, 96]}):
        found = TrainConfig.model_validate({"data": "streets", "recipe": given})
        assert (found.recipe.pixels is None) is ("input_size" in given)
        found.save(tmp_path / "config.yaml")
        assert load_config(tmp_path / "config.yaml") == found


def test_difference_names_what_decides_the_outcome(config):
    def changed(**values):
        return config.model_copy(update={"recipe": config.recipe.model_copy(update=values)})

    assert difference(config, config.standalone()) is None
    assert difference(config, changed(checkpoint_every=1, log_every=1, eval_batch_size=1)) is None
    assert difference(config, changed(steps=7)) == "recipe.steps: 6 and 7"
    assert "architecture" in str(difference(config, config.model_copy(update={"architecture": "base"})))
