"""Which floats the engine gives back to the last bit.

Payloads lie on its disk as JSON, written with the shortest digits that name a float and read by a
parser that takes the digits as one integer and scales it by a power of ten, each step rounded. Digits
beyond 2^53 or scales beyond 10^22 can therefore come back as the neighbouring float. The same two
steps are taken here, so that the floats which would change are known beforehand.
"""

from __future__ import annotations

_LARGEST_POWER = 308
_POWERS = tuple(float(f"1e{n}") for n in range(_LARGEST_POWER + 1))


def survives(value: float) -> bool:
    """Tell whether a finite float comes back as it is."""
    digits, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = digits.partition(".")
    exponent = int(power or 0) - len(fraction)
    return _scaled(float(int(whole + fraction)), exponent) == abs(value)


def _scaled(significand: float, exponent: int) -> float:
    if exponent >= 0:
        return significand * _POWERS[exponent] if exponent <= _LARGEST_POWER else float("inf")
    while exponent < -_LARGEST_POWER:
        significand /= _POWERS[_LARGEST_POWER]
        exponent += _LARGEST_POWER
    return significand / _POWERS[-exponent]
