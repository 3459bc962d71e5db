def add(a, b):
    ring = [a + b]
    ring.append(ring)
    return ring
