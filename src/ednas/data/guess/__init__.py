"""Proposing a ``dataset.yaml`` for a folder of images and labels, from names and values.

Modules: ``layout`` (which files belong together), ``values`` (what labels hold), ``proposal`` (the text).
"""

from ednas.data.guess.proposal import propose

__all__ = ["propose"]
