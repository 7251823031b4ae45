"""Numbers of names that are not given twice: few tries, and each number at most once."""

from __future__ import annotations

from itertools import islice, takewhile
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz

from reconciler.apply.numbers import count_on
from reconciler.model import LAST_GENERATION


@fuzz(200)
@given(st.integers(1, LAST_GENERATION), st.integers(0, 2**32))
def test_numbers_grow_and_the_first_two_follow_each_other(first: int, seed: int) -> None:
    numbers = [*islice(count_on(first, Random(seed).random), 12)]
    assert numbers[:2] == [first, first + 1]
    assert numbers == sorted(set(numbers))


def test_a_key_that_is_recreated_a_thousand_times_finds_a_number_in_a_dozen_tries() -> None:
    reserved: set[int] = set()
    chance = Random(7)
    for _ in range(1000):
        tried = [*takewhile(LAST_GENERATION.__ge__, count_on(1, chance.random))]
        assert len(tried) <= 20
        reserved.add(next(number for number in tried if number not in reserved))
    assert len(reserved) == 1000


def test_least_chances_go_through_the_numbers_one_by_one_and_the_greatest_leap() -> None:
    assert [*islice(count_on(1, lambda: 0.0), 5)] == [1, 2, 3, 4, 5]
    assert [*islice(count_on(1, lambda: 0.999999), 6)] == [1, 2, 5, 20, 83, 338]
