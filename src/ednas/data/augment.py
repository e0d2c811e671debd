"""Random scale, crop, mirror and colours, consistent over the image and every target.

Magnifying an image s times while the camera stays the same shows a scene that is s times closer: distances are divided
by s, disparities multiplied. What happens to normals follows from the same picture. With focal length f, and u
measured from the principal point (which moves along with the crop), a pixel shows the point X = u Z / f. After the
magnification u' = s u and Z' = Z / s, so X' = u' Z' / f = X: space is transformed by diag(1, 1, 1/s), it becomes
flatter. Normals are transformed by the inverse transpose, diag(1, 1, s), and made unit vectors again:
n' = (nx, ny, s nz) / |...|. Mirroring changes the sign of nx.

Everything is vectorised over the batch. The maps from new to old pixels are separable in x and y; targets are gathered
by one index per pixel (nearest), which copies values as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional as F

from ednas.config import StrictModel
from ednas.data.sample import VOID, TargetKind

Batch = dict[str, Tensor]
"""``image`` and targets by name, see :func:`as_batch`."""

PADDING = 0.5
"""Image value outside the scene: the mean that training subtracts."""

Share = Annotated[float, Field(ge=0, lt=1)]


class AugmentConfig(StrictModel):
    """What may happen to a training sample. The defaults are AdaShare's recipe, without its crop size.

    Attributes:
        scale: Range of the magnification s, drawn uniformly. Below 0.5 the image is aliased.
        mirror: Probability of a mirrored sample.
        crop: ``(H, W)`` of the result; ``None`` keeps the size of the input. Where the scaled image is smaller, it is
            padded: image 0.5, labels void, the rest invalid.
        brightness: The image is multiplied by a factor from 1 - b to 1 + b.
        contrast: The distance to the image's mean luminance is multiplied by a factor from 1 - c to 1 + c.
        saturation: The distance to the pixel's luminance is multiplied by a factor from 1 - s to 1 + s.
        hue: Colours are turned by up to this many degrees, either way.
    """

    scale: tuple[float, float] = (0.5, 1.5)
    mirror: Annotated[float, Field(ge=0, le=1)] = 0.5
    crop: tuple[int, int] | None = None
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, Field(ge=0, le=180)] = 0.0

    @field_validator("scale")
    @classmethod
    def _scale_is_a_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0.1 <= value[0] <= value[1] <= 10:
            raise ValueError("must be [low, high] with 0.1 <= low <= high <= 10")
        return value

    @field_validator("crop")
    @classmethod
    def _crop_is_a_size(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError("height and width must be at least 1")
        return value


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of N augmented samples come from.

    The centre of pixel (row i, column j) of the result lies at ((i + 0.5 + top) / scale, (j + 0.5 + left) / scale) in
    the input, in pixels from its upper left corner; in a mirrored sample j counts from the right.

    Attributes:
        size: ``(H, W)`` of the result.
        scale: Magnification, float64 ``(N,)``.
        top: Rows of the scaled image above the crop, float64 ``(N,)``; negative = padding.
        left: Columns of the scaled image left of the crop, float64 ``(N,)``; negative = padding.
        mirrored: Bool ``(N,)``.
    """

    size: tuple[int, int]
    scale: Tensor
    top: Tensor
    left: Tensor
    mirrored: Tensor

    def sources(self) -> tuple[Tensor, Tensor]:
        """Return the input's coordinates of the result's rows ``(N, H)`` and columns ``(N, W)``, float64."""
        height, width = self.size
        rows = torch.arange(height, dtype=torch.float64) + 0.5
        columns = (torch.arange(width, dtype=torch.float64) + 0.5).expand(len(self.scale), -1)
        columns = torch.where(self.mirrored[:, None], width - columns, columns)
        y = (rows + self.top[:, None]) / self.scale[:, None]
        x = (columns + self.left[:, None]) / self.scale[:, None]
        return y, x


def as_batch(stored: Mapping[str, Tensor], kinds: Mapping[str, TargetKind]) -> Batch:
    """Convert samples from the types they are stored in to the types that networks and losses take.

    Args:
        stored: ``image`` ``(N, 3, H, W)``, uint8 or already a float in [0, 1]; labels ``(N, H, W)`` of any integer
            type; distance, disparity ``(N, 1, H, W)`` and normals ``(N, 3, H, W)`` of any float type.
        kinds: Kind of every target in ``stored``.

    Returns:
        ``image`` float32 in [0, 1], labels int64, the rest float32; normals are unit vectors or zero.
    """
    image = stored["image"]
    batch = {"image": image.float().div_(255) if image.dtype == torch.uint8 else image.float()}
    for name, kind in kinds.items():
        values = stored[name]
        batch[name] = values.long() if kind == "labels" else values.float()
        if kind == "normals":
            batch[name] = _unit(batch[name])
    return batch


def augment(
    batch: Mapping[str, Tensor], kinds: Mapping[str, TargetKind], config: AugmentConfig, generator: torch.Generator
) -> Batch:
    """Scale, crop, mirror and recolour every sample of a batch in its own random way.

    Args:
        batch: Samples as :func:`as_batch` takes them: stored or converted; not changed.
        kinds: Kind of every target in ``batch``.
        config: What may happen.
        generator: On the CPU, whatever the batch's device: the draws, and so the result up to rounding, are the same.

    Returns:
        The types of :func:`as_batch`, of the size of ``config.crop``, in ``channels_last`` memory format.
    """
    height, width = batch["image"].shape[-2:]
    # All numbers are drawn whether used or not: switching one option leaves what the others do as it is.
    draws = torch.rand(len(batch["image"]), 8, generator=generator, dtype=torch.float64)
    geometry = draw_geometry(draws[:, :4], config, (height, width))
    image = _recolour(as_batch({"image": batch["image"]}, {})["image"], config, draws[:, 4:])
    return transform({**batch, "image": image}, kinds, geometry)


def draw_geometry(draws: Tensor, config: AugmentConfig, size: tuple[int, int]) -> Geometry:
    """Turn uniform random numbers into scales, places and mirrorings.

    Args:
        draws: float64 ``(N, 4)`` in [0, 1): for scale, top, left, mirror.
        config: What may happen.
        size: ``(H, W)`` of the input.
    """
    low, high = config.scale
    crop = config.crop or size
    scale = low + (high - low) * draws[:, 0]
    return Geometry(
        size=crop,
        scale=scale,
        # A scaled image larger than the crop is cut at a random place, a smaller one is put at a random place.
        top=draws[:, 1] * (scale * size[0] - crop[0]),
        left=draws[:, 2] * (scale * size[1] - crop[1]),
        mirrored=draws[:, 3] < config.mirror,
    )


def transform(batch: Mapping[str, Tensor], kinds: Mapping[str, TargetKind], geometry: Geometry) -> Batch:
    """Move the pixels of image and targets as ``geometry`` says, and change distances and directions to match.

    The image is interpolated (bilinear) and padded with :data:`PADDING`; targets take the nearest pixel's value and are
    padded with void or invalid.

    Args:
        batch: Samples as :func:`as_batch` takes them; not changed.
        kinds: Kind of every target in ``batch``.
        geometry: One entry for each sample.

    Returns:
        The types of :func:`as_batch`, in ``channels_last`` memory format.
    """
    image = as_batch({"image": batch["image"]}, {})["image"]
    height, width = image.shape[-2:]
    y, x = geometry.sources()
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    nearest = _flat_index(y, x, (height, width)).masked_fill_(~inside, len(image) * height * width).to(image.device)

    result = {"image": _interpolate(image, y, x)}
    if not inside.all():
        result["image"].masked_fill_(~inside.to(image.device).unsqueeze(1), PADDING)
    for name, kind in kinds.items():
        values = _gather(batch[name], nearest, VOID if kind == "labels" else 0)
        result[name] = _change_values(values, kind, geometry)
    return result


def _interpolate(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Sample ``(N, 3, h, w)`` bilinearly at rows ``(N, H)`` and columns ``(N, W)``; the border goes on outside."""
    height, width = image.shape[-2:]
    # grid_sample's -1 and 1 are the outer edges of the outermost pixels, as are 0 and the size here.
    grid_y = (2 * y / height - 1).float().to(image.device)[:, :, None]
    grid_x = (2 * x / width - 1).float().to(image.device)[:, None, :]
    shape = (len(y), y.shape[1], x.shape[1])
    grid = torch.stack([grid_x.expand(shape), grid_y.expand(shape)], dim=-1)
    sampled = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled.contiguous(memory_format=torch.channels_last)


def _flat_index(y: Tensor, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Index of the nearest pixel in a batch of ``size`` laid out pixel by pixel, int64 ``(N, H, W)``."""
    height, width = size
    rows = y.floor().long().clamp_(0, height - 1)
    columns = x.floor().long().clamp_(0, width - 1)
    rows += torch.arange(len(y))[:, None] * height
    return (rows * width)[:, :, None] + columns[:, None, :]


def _gather(values: Tensor, index: Tensor, padding: int) -> Tensor:
    """Take pixels of ``(N, h, w)`` or ``(N, C, h, w)`` by flat index; the index one past the last means padding.

    One index for each pixel is several times faster than an index for rows and one for columns, and a padding pixel
    behind the last one several times faster than a mask afterwards.
    """
    if values.ndim == 4:
        channels = values.shape[1]
        if channels == 1:
            return _gather(values[:, 0], index, padding).unsqueeze(1)
        pixels = values.permute(0, 2, 3, 1).reshape(-1, channels)
    else:
        pixels = values.reshape(-1)
    pixels = torch.cat([pixels, pixels.new_full((1, *pixels.shape[1:]), padding)])
    taken = pixels.index_select(0, index.view(-1)).view(*index.shape, *pixels.shape[1:])
    return taken if values.ndim == 3 else taken.permute(0, 3, 1, 2)


def _change_values(values: Tensor, kind: TargetKind, geometry: Geometry) -> Tensor:
    """Apply the module's formulas to one target; invalid zeros stay zero."""
    if kind == "labels":
        return values.long()
    scale = geometry.scale.float()
    sign = torch.where(geometry.mirrored, -1.0, 1.0)
    match kind:
        case "distance":
            factor = (1 / scale).unsqueeze(1)
        case "disparity":
            factor = scale.unsqueeze(1)
        case "normals":
            factor = torch.stack([sign, torch.ones_like(scale), scale], dim=1)
    changed = values * factor[:, :, None, None].to(values.device)  # half precision becomes float32
    return _unit(changed) if kind == "normals" else changed


def _unit(vectors: Tensor) -> Tensor:
    """Normalise ``(N, 3, H, W)`` along the channels; zero vectors stay zero."""
    # By channel planes: half the time of a reduction over a dimension of length 3.
    x, y, z = vectors.unbind(1)
    inverse = (x * x + y * y + z * z).clamp_(min=1e-12).rsqrt_()
    return vectors * inverse.unsqueeze(1)


# Rec. 601 luma and the two chroma axes (YIQ), in which a turn about luma is a turn of hue.
_YIQ = ((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))


def _recolour(image: Tensor, config: AugmentConfig, draws: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue of ``(N, 3, H, W)``: one affine map of RGB for each sample.

    Args:
        image: float32 in [0, 1]; not changed.
        config: The ranges.
        draws: float64 ``(N, 4)`` in [0, 1).
    """
    if not (config.brightness or config.contrast or config.saturation or config.hue):
        return image
    signed = 2 * draws - 1
    brightness = 1 + config.brightness * signed[:, 0]
    contrast = 1 + config.contrast * signed[:, 1]
    saturation = 1 + config.saturation * signed[:, 2]
    angle = math.radians(config.hue) * signed[:, 3]

    to_yiq = torch.tensor(_YIQ, dtype=torch.float64)
    turn = torch.zeros(len(draws), 3, 3, dtype=torch.float64)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * angle.cos()
    turn[:, 1, 2] = -saturation * angle.sin()
    turn[:, 2, 1] = saturation * angle.sin()
    colour = torch.linalg.inv(to_yiq) @ turn @ to_yiq
    matrix = ((brightness * contrast)[:, None, None] * colour).float().to(image.device)

    # The constant colour that contrast moves away from: the luminance of the brightened image's mean.
    luminance = image.mean(dim=(2, 3)) @ to_yiq[0].float().to(image.device)
    offset = luminance * (brightness * (1 - contrast)).float().to(image.device)
    pixels = image.permute(0, 2, 3, 1).flatten(1, 2)
    recoloured = torch.baddbmm(offset[:, None, None], pixels, matrix.transpose(1, 2)).clamp_(0, 1)
    return recoloured.view(len(image), *image.shape[-2:], 3).permute(0, 3, 1, 2)
