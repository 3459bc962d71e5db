"""Short stand-ins for long texts."""

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """8 hex digits that stand for a text or another JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
