import sys

for _ in range(16):
    print("out" * 10_000)
    print("err" * 10_000, file=sys.stderr)


def add(a, b):
    print("adding", a, b, flush=True)
    return a + b
