"""A reader for the files of offline W&B runs, since W&B ships none."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path

from wandb.proto import wandb_internal_pb2 as pb


def read_offline_run(path: Path) -> Iterator[pb.Record]:
    """Yield the records of a `.wandb` file.

    The file has a 7-byte header, then LevelDB log framing in blocks of 32 KiB.
    """
    data, position, parts = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _crc, length, kind = struct.unpack_from("<IHB", data, position)
        position += 7
        if position + length > len(data):
            return  # the record is still being written
        parts += data[position : position + length]
        position += length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = pb.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def whole_run(path: Path) -> list[pb.Record]:
    """Return all records of a finished run, and wait for its exit record if it is not there yet.

    W&B's service may still write for a moment after `finish`.
    """
    until = time.monotonic() + 30
    while True:
        records = list(read_offline_run(path))
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            return records
        assert time.monotonic() < until, f"{path} never got its exit record"
        time.sleep(0.05)
