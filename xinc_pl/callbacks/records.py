"""TensorBoard's records, with their checksums by a compiled library.

TensorBoard's own are computed byte by byte in Python: a tenth of a second for a picture, in a thread that keeps the
interpreter's lock from the training.
"""

import struct

from google_crc32c import value as crc32c
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter


class QuickRecordWriter(RecordWriter):  # type: ignore[misc] # TensorBoard is not typed
    """Writes the same bytes."""

    def write(self, data: bytes) -> None:
        """Write a record: its length, the data, and a checksum of each."""
        length = struct.pack("<Q", len(data))
        self._writer.write(b"".join((length, _masked(length), data, _masked(data))))


def hasten(writer: SummaryWriter) -> None:
    """Let a writer's thread write its records quickly. Where it is not as it is known to be, it is left as it is."""
    files = getattr(writer._get_file_writer(), "event_writer", None)
    thread = getattr(getattr(files, "_async_writer", None), "_worker", None)
    records = getattr(thread, "_record_writer", None)
    file = getattr(records, "_writer", None)
    if thread is not None and type(records) is RecordWriter and file is not None:
        thread._record_writer = QuickRecordWriter(file)


def _masked(data: bytes) -> bytes:
    """A checksum as records hold it: rotated and moved, since those of data that hold their own are no good."""
    checksum = crc32c(data)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)
