def add(a, b):
    pair = [a]
    pair += [b]
    a = b = 0
    return sum(pair) + a + b
