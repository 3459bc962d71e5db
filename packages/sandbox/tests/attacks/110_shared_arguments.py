def add(a, b):
    a.append(b)
    return sum(a)
