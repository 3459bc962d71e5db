def add(a, b):
    return "\ud800\x00" + "\U0010ffff" * a
