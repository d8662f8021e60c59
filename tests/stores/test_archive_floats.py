"""Digits to float32: the nearest one, also where rounding twice would miss it."""

from __future__ import annotations

import json
import struct
from decimal import Decimal
from fractions import Fraction

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wherry.stores.archive.floats import to_float32

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def read(digits: str) -> np.float32:
    """Read one number as the archive does."""
    values = np.array([[json.loads(digits)]], dtype=np.float64)
    return to_float32(values, lambda row: [Decimal(digits)])[0, 0]


def nearest(digits: str) -> np.float32:
    """Find the nearest float32 by exact arithmetic; of two, the even one."""
    wanted = Fraction(Decimal(digits))
    guess = np.float32(float(wanted))
    near = [guess, np.nextafter(guess, np.float32(np.inf)), np.nextafter(guess, np.float32(-np.inf))]
    return min(near, key=lambda f: (abs(Fraction(float(f)) - wanted), struct.unpack("<I", f.tobytes())[0] & 1))


@given(FLOATS)
@example(-0.0)
@example(float(np.float32(2**-149)))
@example(float(np.finfo(np.float32).max))
@example(7.038530691851209e-26)
def test_shortest_digits_read_back_to_the_same_bits(value: float) -> None:
    single = np.array([value], dtype=np.float32)
    digits = orjson.dumps(single, option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1]
    assert read(digits).tobytes() == single.tobytes()


@pytest.mark.parametrize("digits", ["7.038531e-26", "-7.038531e-26"])
def test_digits_for_which_rounding_twice_goes_wrong(digits: str) -> None:
    twice = np.float32(float(digits))
    assert read(digits) == nearest(digits)
    assert read(digits) != twice


@given(FLOATS, st.integers(-3, 3))
def test_digits_around_the_middle_of_two_floats(value: float, sway: int) -> None:
    single = np.float32(value)
    if single == np.finfo(np.float32).max:
        return
    above = np.nextafter(single, np.float32(np.inf))
    middle = (Fraction(float(single)) + Fraction(float(above))) / 2
    exact = Decimal(middle.numerator) / Decimal(middle.denominator) if middle else Decimal(0)
    digits = f"{exact * (1 + sway * Decimal('1e-20')):e}"
    assert read(digits) == nearest(digits)


def test_beyond_the_largest_is_infinite() -> None:
    assert np.isinf(read("3.5e38"))
    assert np.isinf(read("-1e300"))
    middle = 2**128 - 2**103
    assert read(str(middle)) == np.inf
    assert read(str(middle - 1)) == np.finfo(np.float32).max


def test_exact_digits_are_asked_for_only_where_they_decide() -> None:
    values = np.random.default_rng(0).standard_normal((200, 50)).astype(np.float32).astype(np.float64)

    def never(row: int) -> list[Decimal]:
        raise AssertionError(f"row {row} was read twice")

    assert np.array_equal(to_float32(values, never), values.astype(np.float32))
