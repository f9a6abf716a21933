"""Where a disk cannot be mounted, a limit on the size of files does the harm all the same."""

import subprocess
import sys

import pytest

from faultline.disks import OWN_MOUNTS, Disk

APPENDS = """
import sys
for line in sys.stdin:
    try:
        with open(sys.argv[1], "ab") as file:
            file.write(bytes(100))
        print("written", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""


@pytest.mark.parametrize(("growing", "large"), [("*", 0), ("*.wal", 1 << 20)])
def test_a_disk_without_a_mount_is_full_for_the_process_that_it_is_filled_for(tmp_path, monkeypatch, growing, large):
    monkeypatch.delenv(OWN_MOUNTS, raising=False)
    disk = Disk(tmp_path / "disk", megabytes=1, growing=growing)
    (disk.folder / "large from the beginning").write_bytes(bytes(large))
    program = [sys.executable, "-c", APPENDS, disk.folder / "a.wal"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:

        def append() -> str:
            process.stdin.write("\n")
            return process.stdout.readline().strip()

        assert append() == "written"
        disk.fill(process.pid)
        assert append() == "File too large"
        disk.clear()
        assert append() == "written"
        process.stdin.close()
