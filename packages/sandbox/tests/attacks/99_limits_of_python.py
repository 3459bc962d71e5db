import sys

sys.setrecursionlimit(60)
sys.set_int_max_str_digits(640)


def add(a, b):
    nested = a
    for _ in range(45):
        nested = (nested,)
    return nested
