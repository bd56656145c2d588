"""The doctor is tested by a zoo: every broken animal is called wrong, no right one; line and cause are counted."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "zoo"))
import keeper

# The default run sees every animal of most files, and every so many-th of the slow ones; a campaign sees all.
EVERY = {"models": 5, "conv": 5, "pool": 5, "batchnorm": 2, "othernorms": 2}


def books(animals):
    """Show every animal; return the confusion table and a text of what went wrong."""
    table, complaints = Counter(), []
    for animal in animals:
        visit = keeper.show(animal)
        if animal.right:
            table["right"] += 1
            table["false alarm"] += visit.found
            if visit.found:
                complaints.append(f"false alarm: {animal.id}: {visit.said}")
            continue
        table["broken"] += 1
        for what in ("found", "line", "cause"):
            table[what] += getattr(visit, what)
        if not (visit.found and visit.line and visit.cause):
            complaints.append(
                f"{animal.id}: expected line {animal.line}, {'|'.join(animal.causes)}; said {visit.said[:2]}"
            )
    return table, "\n".join(complaints)


def assert_books(table, complaints):
    broken = table["broken"]
    print(
        f"\n{broken} broken: {table['found']} found, {table['line']} line right ({table['line'] / broken:.1%}), "
        f"{table['cause']} cause right ({table['cause'] / broken:.1%}); "
        f"{table['right']} right: {table['false alarm']} false alarms"
    )
    print(complaints)
    assert table["found"] == broken, complaints
    assert table["false alarm"] == 0, complaints
    assert table["line"] >= 0.95 * broken, complaints
    assert table["cause"] >= 0.85 * broken, complaints


def test_the_zoo_is_as_large_as_promised():
    everyone = list(keeper.animals("seen"))
    assert sum(not a.right for a in everyone) >= 150
    assert sum(a.right for a in everyone) >= 40
    assert len({a.id for a in everyone}) == len(everyone)


def test_most_animals():
    everyone = list(keeper.animals("seen"))
    by_file = {a.file.stem: [b for b in everyone if b.file == a.file] for a in everyone}
    assert_books(*books([a for stem, some in by_file.items() for a in some[:: EVERY.get(stem, 1)]]))


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["seen", "heldout"])
def test_every_animal(folder):
    animals = list(keeper.animals(folder))
    if not animals:
        pytest.skip(f"no animals in {folder}")
    assert_books(*books(animals))


def test_a_keeper_who_looks_away_would_be_noticed():
    """The books must fail if the doctor says that everything is right."""
    broken = [a for a in keeper.animals("seen") if not a.right][:3]
    table = Counter(broken=len(broken))
    with pytest.raises(AssertionError):
        assert_books(table, "")
