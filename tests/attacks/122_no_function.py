add = 3
