"""The file of what the engine remembers: whole or refused, with the reason."""

from __future__ import annotations

import io

import numpy as np
import pytest

from alerts.snapshots import Snapshot, SnapshotError, read_snapshot, write_snapshot


@pytest.fixture
def snapshot():
    return Snapshot(
        written_at_ms=1_800_000_000_000,
        rules_hash="ab" * 32,
        fleets=("north",),
        head={"series": [["unit-1", "measured", 0]], "seen": {"unit-1": {"1-a": [[0, 7]]}}},
        arrays={"fixed.1.0.level": np.arange(1000), "fixed.1.0.hot": np.zeros((1000, 3), bool)},
    )


def test_what_was_written_is_read(tmp_path, snapshot):
    path = tmp_path / "states.npz"
    for _ in range(2):
        write_snapshot(path, snapshot)
    found = read_snapshot(path, fleets=("north",))
    assert (found.written_at_ms, found.rules_hash, found.head) == (
        snapshot.written_at_ms,
        snapshot.rules_hash,
        snapshot.head,
    )
    assert found.arrays.keys() == snapshot.arrays.keys()
    for name, column in snapshot.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], column)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_cut_anywhere_is_refused(tmp_path, snapshot):
    path = tmp_path / "states.npz"
    write_snapshot(path, snapshot)
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 3, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(SnapshotError, match="torn, or none of ours"):
            read_snapshot(path, fleets=("north",))


def test_a_changed_byte_is_refused(tmp_path, snapshot):
    path = tmp_path / "states.npz"
    write_snapshot(path, snapshot)
    whole = bytearray(path.read_bytes())
    for place in range(len(whole) // 20, len(whole), len(whole) // 10):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        with pytest.raises(SnapshotError):
            read_snapshot(path, fleets=("north",))


def foreign(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK not a zip", "torn, or none of ours"),
        (b"{}", "torn, or none of ours"),
        (foreign(x=np.zeros(3)), "torn, or none of ours"),
        (foreign(head=np.frombuffer(b'{"format": "other 9"}', np.uint8)), "is of the format 'other 9'"),
        (foreign(head=np.frombuffer(b"[1]", np.uint8)), "torn, or none of ours"),
    ],
)
def test_what_is_none_of_ours_is_refused(tmp_path, content, reason):
    path = tmp_path / "states.npz"
    path.write_bytes(content)
    with pytest.raises(SnapshotError, match=reason):
        read_snapshot(path, fleets=())


def test_none_and_one_of_other_fleets_are_named(tmp_path, snapshot):
    path = tmp_path / "states.npz"
    with pytest.raises(SnapshotError, match="there is no"):
        read_snapshot(path, fleets=())
    write_snapshot(path, snapshot)
    with pytest.raises(SnapshotError, match="is of other fleets: north"):
        read_snapshot(path, fleets=())
