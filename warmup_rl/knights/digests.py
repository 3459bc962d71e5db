"""A set of texts that holds a million in 16 MB: 64-bit digests in one array with open addressing."""

from __future__ import annotations

from array import array
from hashlib import blake2b

_EMPTY = 0


class Digests:
    """Texts seen so far; two texts share a digest with probability 2^-64, among a million of them with 3 in 10^8."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, text: str) -> bool:
        digest = _digest(text)
        return self._slots[self._find(digest)] == digest

    def add(self, text: str) -> bool:
        """Whether the text is new; it is in the set from then on."""
        digest = _digest(text)
        slot = self._find(digest)
        if self._slots[slot] == digest:
            return False
        self._slots[slot] = digest
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._grow()
        return True

    def _find(self, digest: int) -> int:
        """The slot of a digest, or the empty one where it belongs."""
        slots = self._slots
        mask = len(slots) - 1
        slot = digest & mask
        while slots[slot] != _EMPTY and slots[slot] != digest:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(16 * len(old)))
        for digest in old:
            if digest != _EMPTY:
                self._slots[self._find(digest)] = digest


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") or 1
