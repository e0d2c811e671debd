"""One seed, many independent named streams of random numbers."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *names: str | int) -> int:
    """Return the seed of a named stream: a pure function of ``seed`` and ``names``.

    Streams with different names are independent, and the value is the same on every machine, in every process
    and in every Python version (unlike ``hash``).

    Example:
        >>> derive_seed(0, "batch", 12) == derive_seed(0, "batch", 12)
        True
        >>> derive_seed(0, "batch", 12) == derive_seed(0, "batch", 13)
        False

    Args:
        seed: The seed in the configuration.
        names: What the stream is for, for example ``"augment", step``.

    Returns:
        An integer in ``[0, 2**63)``, fit for ``numpy.random.default_rng`` and ``torch.Generator.manual_seed``.
    """
    text = "/".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
