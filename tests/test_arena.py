"""Where arrays lie: lives that overlap never meet in memory, and no more is taken than needed."""

from __future__ import annotations

import numpy as np
import pytest

from backpass.arena import ALIGNMENT, Wanted, aligned_bytes, carve, place


def random_lives(seed: int) -> list[Wanted]:
    rng = np.random.default_rng(seed)
    wanted = []
    for _ in range(int(rng.integers(1, 25))):
        first = int(rng.integers(0, 12))
        shape = tuple(int(n) for n in rng.integers(1, 20, int(rng.integers(1, 4))))
        wanted.append(Wanted(shape, np.dtype(rng.choice(["f4", "f8", "u1"])), first, first + int(rng.integers(0, 8))))
    return wanted


@pytest.mark.parametrize("seed", range(40))
def test_overlapping_lives_never_overlap_in_memory(seed):
    wanted = random_lives(seed)
    offsets, total = place(wanted)
    assert all(offset % ALIGNMENT == 0 for offset in offsets)
    assert total == max(offset + w.size_bytes for offset, w in zip(offsets, wanted, strict=True))
    alive = [sum(w.size_bytes for w in wanted if w.first <= t <= w.last) for t in range(20)]
    assert max(alive) <= total <= sum(w.size_bytes for w in wanted)
    arrays = carve(aligned_bytes(total), wanted, offsets)
    for i, (a, mine) in enumerate(zip(arrays, wanted, strict=True)):
        assert a.shape == mine.shape
        assert a.dtype == mine.dtype
        assert a.flags.c_contiguous
        assert a.ctypes.data % ALIGNMENT == 0
        for b, other in zip(arrays[:i], wanted[:i], strict=True):
            if mine.first <= other.last and other.first <= mine.last:
                assert not np.shares_memory(a, b), (mine, other)


def test_memory_is_reused():
    f4 = np.dtype("f4")
    chain = [Wanted((1000,), f4, t, t + 1) for t in range(50)]
    assert place(chain)[1] == 2 * chain[0].size_bytes


def test_empty():
    assert place([]) == ([], 0)
    assert len(aligned_bytes(0)) == 0
