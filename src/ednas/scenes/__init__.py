"""The renderer of the built-in data: ray-cast streets and rooms with exact labels, in numpy, without any download.

- :func:`render`, :func:`render_scene`: picture and labels of one scene.
- :func:`describe_scene`, :func:`mirrored`, :func:`trace`: the geometry behind them, to recompute the labels.

Modules, from the bottom: ``classes``, ``primitives`` (solids), ``camera``, ``textures``, ``scene`` (plain data),
``tracing`` (what rays meet), ``shading`` (light), ``dice`` and ``frame`` (random construction), ``streets`` and
``rooms`` (what is built), ``rendering``. ``ednas.data.readers.synthetic`` makes datasets of them.
"""

from ednas.scenes.camera import Camera
from ednas.scenes.classes import VOID, Indoor, Street
from ednas.scenes.primitives import Primitives, Shape
from ednas.scenes.rendering import SCENES, Rendering, describe_scene, disparity_scale, render, render_scene
from ednas.scenes.scene import Scene, mirrored
from ednas.scenes.tracing import Hits, trace

__all__ = [
    "SCENES",
    "VOID",
    "Camera",
    "Hits",
    "Indoor",
    "Primitives",
    "Rendering",
    "Scene",
    "Shape",
    "Street",
    "describe_scene",
    "disparity_scale",
    "mirrored",
    "render",
    "render_scene",
    "trace",
]
