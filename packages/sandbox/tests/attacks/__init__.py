"""Programs that try to cheat or to break out, one a file, and the table of what must become of each.

The task of all: `add(a, b)`, called with (1, 2), (5, 7) and (-1, 1). A program that gets through returns the right
sums, so that its verdict tells. `@WORDS@` are filled in with what there is on the host to find.
"""
