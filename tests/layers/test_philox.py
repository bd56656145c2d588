from __future__ import annotations

import numpy as np
import pytest

from backpass.philox import philox4x32, random_words

# Random123, kat_vectors: philox4x32 10 rounds; counter, key, result
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_known_answers(counter, key, result):
    words = [int(word, 16) for word in counter.split()]
    key0, key1 = (int(word, 16) for word in key.split())
    assert [f"{word:08x}" for word in philox4x32(words, (key0, key1))] == result.split()


def test_elements_take_the_words_of_their_block():
    seed, layer, step = 0x123456789ABCDEF0, 7, 0xFEDCBA9876543210
    words = random_words((seed, layer, step), 11)
    block = philox4x32([2, 7, 0x76543210, 0xFEDCBA98], (0x9ABCDEF0, 0x12345678))
    assert (words[8:] == block[:3]).all()


def test_every_part_of_the_position_matters():
    base = random_words((1, 2, 3), 64)
    for other in [(0, 2, 3), (1 + 2**32, 2, 3), (1, 3, 3), (1, 2, 4), (1, 2, 3 + 2**32)]:
        assert (random_words(other, 64) != base).mean() > 0.9


def test_bits_are_fair_and_neighbours_independent():
    words = random_words((0, 0, 0), 1 << 16)
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32) & 1).mean(axis=0)
    assert np.abs(bits - 0.5).max() < 5 * 0.5 / 2**8  # five standard deviations of a mean of 2^16 bits
    uniform = words / 2.0**32 - 0.5
    for lag in (1, 2, 4, 64):
        assert abs(np.mean(uniform[lag:] * uniform[:-lag]) * 12) < 5 / 2**8
