"""What of a model is deployed computes what the model does."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers.small_training import TARGETS, small_architecture

from ednas.exceptions import ExportError
from ednas.export.deployed import Deployed, check_export_size, fold_batch_norms
from ednas.export.formats.litert import LITERT
from ednas.export.formats.onnx import ONNX
from ednas.training import build_model, save_checkpoint
from ednas.training.checkpoint import load_checkpoint

SIZE = (64, 128)


@pytest.fixture(scope="module")
def image():
    return torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def shuffle_statistics(network):
    """Give batch normalisations something to fold."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)


def test_stride_4_is_what_the_network_predicts(trained, image):
    deployed = Deployed(trained, input_size=SIZE)
    assert deployed.tasks == ("segmentation", "depth", "normals")
    with torch.inference_mode():
        for y, expected in zip(deployed(image), trained.network.predict_heads(image).values(), strict=True):
            assert y.shape[2:] == (16, 32)
            torch.testing.assert_close(y, expected, rtol=1e-3, atol=1e-4)


def test_stride_8_is_the_bilinear_half(trained, image):
    with torch.inference_mode():
        found = Deployed(trained, input_size=SIZE, output_stride=8)(image)
        for y, whole in zip(found, Deployed(trained, input_size=SIZE)(image), strict=True):
            expected = F.interpolate(whole, scale_factor=0.5, mode="bilinear", align_corners=False)
            torch.testing.assert_close(y, expected)


def test_stride_1_doubles_twice(trained, image):
    with torch.inference_mode():
        found = Deployed(trained, input_size=SIZE, output_stride=1)(image)
        for y, whole in zip(found, Deployed(trained, input_size=SIZE)(image), strict=True):
            half = F.interpolate(whole, scale_factor=2, mode="bilinear", align_corners=False)
            torch.testing.assert_close(y, F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False))


def test_fused_argmax_gives_class_ids_of_the_segmentation_alone(trained, image):
    with torch.inference_mode():
        ids, depth, normals = Deployed(trained, input_size=SIZE, fuse_argmax=True)(image)
        logits = Deployed(trained, input_size=SIZE)(image)[0]
    assert ids.shape == (1, 16, 32)
    assert torch.equal(ids, logits.argmax(1))
    assert depth.shape == (1, 1, 16, 32)
    assert normals.shape == (1, 3, 16, 32)


def test_folding_keeps_the_function_and_leaves_no_batch_normalisation(image):
    network = build_model(small_architecture(), ("depth",), TARGETS, input_size=SIZE).network.eval()
    shuffle_statistics(network)
    with torch.inference_mode():
        before = network.predict_heads(image)["depth"]
        fold_batch_norms(network)
        torch.testing.assert_close(network.predict_heads(image)["depth"], before, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_the_model_is_not_touched(trained):
    before = {name: value.clone() for name, value in trained.network.state_dict().items()}
    trained.network.train()
    Deployed(trained, input_size=SIZE)
    assert trained.network.training
    trained.network.eval()
    assert all(torch.equal(value, before[name]) for name, value in trained.network.state_dict().items())


def test_weights_are_contiguous(trained):
    """Of two weights of one shape in another layout, the converter would lose one."""
    assert not all(weight.is_contiguous() for weight in trained.network.parameters())
    assert all(weight.is_contiguous() for weight in Deployed(trained, input_size=SIZE).parameters())


def test_a_checkpoint_is_deployed_as_the_model_that_it_was_saved_from(trained, image, tmp_path):
    loaded = load_checkpoint(save_checkpoint(tmp_path / "checkpoint", trained))
    with torch.inference_mode():
        pairs = zip(Deployed(loaded, input_size=SIZE)(image), Deployed(trained, input_size=SIZE)(image), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)


def test_the_manifest_describes_the_network(trained):
    manifest = Deployed(trained, input_size=SIZE).manifest("tiny", LITERT, "float32")
    assert manifest.input.shape == (1, 64, 128, 3)
    assert {task: spec.shape for task, spec in manifest.outputs.items()} == {
        "segmentation": (1, 16, 32, 4),
        "depth": (1, 16, 32, 1),
        "normals": (1, 16, 32, 3),
    }
    assert {task: spec.decoding.kind for task, spec in manifest.outputs.items()} == {
        "segmentation": "argmax",
        "depth": "depth",
        "normals": "normals",
    }
    classes = manifest.outputs["segmentation"].decoding
    assert classes.class_names == ("road", "car", "tree", "sky")
    assert len(set(classes.colors)) == 4
    assert manifest.outputs["depth"].decoding.unit == "m"
    assert (manifest.normalisation, manifest.dataset) == (trained.normalisation, "tiny")


def test_the_manifest_says_where_onnx_has_its_channels_and_what_is_fused(trained):
    deployed = Deployed(trained, input_size=SIZE, output_stride=8, fuse_argmax=True)
    manifest = deployed.manifest("tiny", ONNX, "float32")
    assert manifest.input.shape == (1, 3, 64, 128)
    assert manifest.outputs["normals"].shape == (1, 3, 8, 16)
    assert manifest.outputs["segmentation"].shape == (1, 8, 16)
    assert manifest.outputs["segmentation"].decoding.kind == "class_ids"
    assert manifest.outputs["segmentation"].decoding.channels == 4


@pytest.mark.parametrize("size", [(64, 128), (32, 32), (96, 136), (144, 192)])
def test_multiples_of_8_can_be_exported(size):
    check_export_size(size)


@pytest.mark.parametrize(
    ("size", "offer"), [((102, 150), "104x152"), ((64, 127), "64x128"), ((8, 64), "32x64"), ((64, 9000), "64x8192")]
)
def test_other_sizes_are_refused_with_the_nearest_that_works(size, offer):
    with pytest.raises(ExportError, match=f"multiples of 8 .* the nearest is {offer}"):
        check_export_size(size)


def test_refuses_an_unknown_stride(trained):
    with pytest.raises(ExportError, match="output stride 2: must be 1, 4 or 8"):
        Deployed(trained, input_size=SIZE, output_stride=2)
