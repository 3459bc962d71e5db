"""What the package's self-contained HTML pages share: templates that escape, and data inside a page."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from warmup_rl.base.jsonl import json_line

if TYPE_CHECKING:
    from markupsafe import Markup


def template(package: str, name: str) -> Any:
    """A Jinja template of a package's folder `templates`; it escapes every value and refuses names without one."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True, loader=PackageLoader(package), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


def packed(lines: Iterable[bytes]) -> str:
    """JSON lines compressed, as text that can stand in a script element."""
    return base64.b64encode(gzip.compress(b"".join(lines), mtime=0)).decode()


def embedded(value: Any) -> Markup:
    """A value as JSON inside HTML: characters that could begin a tag become JSON escapes."""
    from markupsafe import Markup

    text = json_line(value).decode().strip()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
