"""Random numbers that are a function of where they are used: Philox4x32-10, in NumPy.

A block of four 32-bit words is the image of a counter (4 words) under a key (2 words): nothing is carried from one draw
to the next, so any thread can draw any element, and resuming needs no generator state.  Here the key is the seed, and
the counter is (block, layer, step low, step high): no two layers, steps or elements ever share a counter.  Element e
takes word e % 4 of block e // 4.  The kernels draw the same words (`native/philox.hpp`).

Source: Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (SC11), section 4.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Words = np.ndarray[Any, np.dtype[np.uint32]]

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1, as fractions of 2^32
ROUNDS = 10


def philox4x32(counter: Any, key: tuple[int, int]) -> Words:
    """Return the images of counters under a key.

    Parameters
    ----------
    counter : array (..., 4) of uint32
        Blocks are independent.
    key : (int, int)
        Two 32-bit words.

    Returns
    -------
    ndarray (..., 4) of uint32

    Examples
    --------
    >>> [hex(word) for word in philox4x32(np.zeros(4, np.uint32), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    a, b, c, d = np.moveaxis(np.asarray(counter, np.uint64), -1, 0)
    key0, key1 = key
    lower, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(ROUNDS):
        first, second = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c  # 32 x 32 -> 64 bits
        a, b, c, d = (
            second >> half ^ b ^ np.uint64(key0),
            second & lower,
            first >> half ^ d ^ np.uint64(key1),
            first & lower,
        )
        key0, key1 = (key0 + KEY_STEPS[0]) & 0xFFFFFFFF, (key1 + KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([a, b, c, d], axis=-1).astype(np.uint32)


def random_words(random: Any, count: int) -> Words:
    """Return the words of elements 0 ... count - 1.

    Parameters
    ----------
    random : sequence of three int
        Seed (64 bits), layer (32 bits), step (64 bits).
    count : int
        At most 2^34.

    Returns
    -------
    ndarray (count,) of uint32
        Uniform over all 2^32 values.

    Examples
    --------
    >>> first, longer = random_words((0, 1, 2), 5), random_words((0, 1, 2), 9)
    >>> bool((first == longer[:5]).all())
    True
    """
    seed, layer, step = (int(value) for value in random)
    blocks = -(-count // 4)
    counter = np.empty((blocks, 4), np.uint32)
    counter[:, 0] = np.arange(blocks)
    counter[:, 1:] = layer, step & 0xFFFFFFFF, step >> 32
    return philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32)).reshape(-1)[:count]
