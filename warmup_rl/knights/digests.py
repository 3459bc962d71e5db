"""A set of texts that takes 16 MB for a million texts."""

from __future__ import annotations

from array import array
from hashlib import blake2b


class Digests:
    """64-bit digests of texts in one array with open addressing; 0 marks an empty slot.

    Among a million texts, two have the same digest with a probability of 3 in 10^8.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, text: str) -> bool:
        """Adds a text; returns whether it is new."""
        digest = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") or 1
        slot = self._slot(digest)
        if self._slots[slot] == digest:
            return False
        self._slots[slot] = digest
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._grow()
        return True

    def _slot(self, digest: int) -> int:
        """The slot that holds a digest, or the empty one where it belongs."""
        slots, mask = self._slots, len(self._slots) - 1
        slot = digest & mask
        while slots[slot] not in (0, digest):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old, self._slots = self._slots, array("Q", bytes(16 * len(self._slots)))
        for digest in filter(None, old):
            self._slots[self._slot(digest)] = digest
