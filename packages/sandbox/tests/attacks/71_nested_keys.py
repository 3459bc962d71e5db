def add(a, b):
    key = ()
    for _ in range(40):
        key = (key, key)
    return {key: a + b}
