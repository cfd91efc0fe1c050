"""Reads the files of offline W&B runs, of which W&B itself ships no reader."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path

from wandb.proto import wandb_internal_pb2 as pb


def read_offline_run(path: Path) -> Iterator[pb.Record]:
    """Records of a `.wandb` file: a 7-byte header, then LevelDB log framing in blocks of 32 KiB."""
    data, position, parts = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _crc, length, kind = struct.unpack_from("<IHB", data, position)
        position += 7
        if position + length > len(data):
            return  # still being written
        parts += data[position : position + length]
        position += length
        if kind in (1, 4):  # a full record, or the last part of one
            record = pb.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def whole_run(path: Path) -> list[pb.Record]:
    """A run's records, its exit among them: W&B's service writes on for a moment after `finish`."""
    until = time.monotonic() + 30
    while True:
        records = list(read_offline_run(path))
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            return records
        assert time.monotonic() < until, f"{path} never got its exit record"
        time.sleep(0.05)
