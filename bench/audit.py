"""Rows a second of the audit log: appended one a transaction, in batches, by two processes at once, and verified.

`python bench/audit.py [URL ...]`: registries to measure, besides SQLite in a temporary folder. The last line is JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from registry.audit import PROGRAM, Action
from registry.registry import Registry

SINGLE, BATCHES, BATCH_ROWS, WRITERS = 500, 10, 1000, 2


def _action(number: int) -> Action:
    detail = {"pack": f"pack-{number}", "level": "critical", "comment": "driver called, pulls over at mile 114"}
    return Action(actor=PROGRAM, action="acknowledge", subject=f"alert/{number}", detail=detail)


def _append_single(url: str, rows: int) -> None:
    registry = Registry.open(url)
    for number in range(rows):
        registry.append_audit([_action(number)])
    registry.close()


def _rate(rows: int, began_s: float) -> int:
    return round(rows / (time.perf_counter() - began_s))


def measure(url: str) -> dict[str, int]:
    """Rows a second, by how they are written."""
    registry = Registry.open(url)
    result = {}
    began_s = time.perf_counter()
    for number in range(SINGLE):
        registry.append_audit([_action(number)])
    result["single"] = _rate(SINGLE, began_s)
    began_s = time.perf_counter()
    for _ in range(BATCHES):
        registry.append_audit([_action(number) for number in range(BATCH_ROWS)])
    result["batches"] = _rate(BATCHES * BATCH_ROWS, began_s)
    context = get_context("spawn")
    writers = [context.Process(target=_append_single, args=(url, SINGLE)) for _ in range(WRITERS)]
    began_s = time.perf_counter()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    result["two_processes_with_their_start"] = _rate(WRITERS * SINGLE, began_s)
    began_s = time.perf_counter()
    rows, _ = registry.verify_audit()
    result["verified"] = _rate(rows, began_s)
    registry.close()
    return result


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite:///{Path(folder) / 'registry.sqlite'}", *sys.argv[1:]]
        print(json.dumps({url.partition(":")[0]: measure(url) for url in urls}))
