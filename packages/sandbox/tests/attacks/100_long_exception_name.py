Long = type("x" * 50_000_000, (Exception,), {})


def add(a, b):
    raise Long
