"""Random generators that derive from what a thing is, never from order, process or thread count."""

from __future__ import annotations

import hashlib
import operator

import numpy as np


def generator(seed: int, *identity: str | int) -> np.random.Generator:
    """A PCG64 generator that is a function of the user's seed and of the identity alone.

    ``identity`` names the thing in full, from the general to the particular, e.g.
    ("synthetic-20dB", "urnn", 8, 3, 0, "shuffle"): experiment, model, hidden units, realization,
    restart, purpose. SHA-256 of its text gives the entropy, so the neighbours of a thing are
    independent of it, and adding more of them changes nothing.
    """
    text = "\x1f".join([str(seed), *map(_text, identity)])
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def _text(part: str | int) -> str:
    """A text or an integer of any type, so that 3 and "3" differ, but 3 and numpy's 3 do not."""
    return f"str:{part}" if isinstance(part, str) else f"int:{operator.index(part)}"
