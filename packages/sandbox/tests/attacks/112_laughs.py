def add(a, b):
    laughs = ["ha"] * 10
    for _ in range(40):
        laughs = [laughs] * 10
    return laughs
