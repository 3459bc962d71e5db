import sys

sys.setrecursionlimit(20_000)


def down(n):
    return 0 if n == 0 else 1 + down(n - 1)


def add(a, b):
    return down(10_000) - 10_000 + a + b
