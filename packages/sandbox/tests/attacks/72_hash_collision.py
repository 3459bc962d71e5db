def add(a, b):
    return {number * ((1 << 61) - 1) for number in range(1, 30_000)}
