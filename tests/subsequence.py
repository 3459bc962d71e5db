"""What cleaning may do to a text: leave parts of it out."""


def is_subsequence(text: str, source: str) -> bool:
    """Whether all characters of `text` occur in `source` in this order."""
    position = 0
    for character in text:
        position = source.find(character, position) + 1
        if not position:
            return False
    return True
