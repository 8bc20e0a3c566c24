"""Random numbers of one example, whichever process draws them: a counter-based generator keyed by seed and index."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_KEYS = 2**64  # a seed may be negative, a key may not
_INDEX_PLACE = 192  # bits of the counter below the index: what one example draws never reaches the next one's
_MANTISSA = 24  # bits that a float32 in [0, 1) holds exactly


def uniform_numbers(seed: int, index: int, count: int) -> Tensor:
    """Uniform numbers in [0, 1) that depend on seed and index alone, (count) float32.

    They are the leading bits of Philox 4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") with
    the seed as its key and the index as the highest word of its counter. numpy keeps these bits the same in all of its
    versions.

    Args:
        seed: any whole number; seeds that differ by a multiple of 2^64 give the same.
        index: of the example, 0 <= index < 2^64.
        count: how many.

    Example:
        >>> bool(torch.equal(uniform_numbers(0, 7, 5)[:3], uniform_numbers(0, 7, 3)))
        True
        >>> bool(torch.equal(uniform_numbers(0, 7, 3), uniform_numbers(0, 8, 3)))
        False
    """
    bits = np.random.Philox(key=seed % _KEYS, counter=index << _INDEX_PLACE).random_raw(count)
    leading = np.asarray(bits, dtype=np.uint64) >> np.uint64(64 - _MANTISSA)
    return torch.from_numpy(leading.astype(np.float32)) * 2.0**-_MANTISSA
