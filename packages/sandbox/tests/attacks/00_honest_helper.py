import math
from functools import lru_cache

CALLS = []


@lru_cache
def _count(n):
    return 0 if n == 0 else 1 + _count(n - 1)


def add(a, b):
    CALLS.append((a, b))
    sign = int(math.copysign(1, a))
    return sign * _count(abs(a)) + b
