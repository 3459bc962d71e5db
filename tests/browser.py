"""Pages as a headless browser makes them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


def rendered(page: Path, fragment: str = "") -> str:
    """The document after its scripts ran, as HTML."""
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync "
        "--disable-component-update --disable-quic --virtual-time-budget=4000 --dump-dom"
    ).split()
    run = subprocess.run(
        [str(CHROMIUM), *flags, f"--user-data-dir={page.parent / 'profile'}", page.as_uri() + fragment],
        capture_output=True, timeout=180, check=True,
    )  # fmt: skip
    return run.stdout.decode(errors="replace")
