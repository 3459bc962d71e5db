"""Reads the file that W&B writes for a run: LevelDB's log format, with protocol buffers as records."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK, _HEADER, _FILE_HEADER = 32768, 7, 7
_LAST = (1, 4)
"""Types of a chunk that ends a record: a whole one, and the last of several."""


@dataclass
class WandbRun:
    """What a W&B run holds: its own figures, its settings, each logged row, and the x axes of metrics by pattern."""

    id: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    project: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    exit_code: int | None = None


def read_run(folder: Path) -> WandbRun:
    """The W&B run in a folder `offline-run-...`."""
    from wandb.proto.wandb_internal_pb2 import Record

    run = WandbRun()
    (path,) = folder.glob("*.wandb")
    for data in _records(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found = record.run
            run.id, run.group, run.job_type = found.run_id, found.run_group, found.job_type
            run.name, run.project, run.tags = found.display_name, found.project, tuple(found.tags)
            run.config |= _items(found.config.update)
        elif kind == "config":
            run.config |= _items(record.config.update)
        elif kind == "history":
            run.rows.append(_items(record.history.item))
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "metric":
            run.axes[record.metric.glob_name or record.metric.name] = record.metric.step_metric
        elif kind == "alert":
            run.alerts.append(record.alert.title)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[bytes]:
    place, record = _FILE_HEADER, b""
    while place + _HEADER <= len(data):
        if _BLOCK - place % _BLOCK < _HEADER:
            place += _BLOCK - place % _BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        record += data[place + _HEADER : place + _HEADER + size]
        place += _HEADER + size
        if kind in _LAST:
            yield record
            record = b""
