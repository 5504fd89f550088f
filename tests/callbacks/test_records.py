"""Records with quick checksums are TensorBoard's, byte for byte."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from xinc_pl.callbacks.loggers import Picture, show_in_tensorboard
from xinc_pl.callbacks.records import QuickRecordWriter, hasten


@pytest.mark.parametrize("length", [0, 1, 7, 8, 255, 70_000])
def test_the_bytes_are_those_that_tensorboard_writes(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    files = BytesIO(), BytesIO()
    for kind, file in zip((RecordWriter, QuickRecordWriter), files, strict=True):
        kind(file).write(data)
    assert files[0].getvalue() == files[1].getvalue()


def test_a_writer_of_the_installed_version_is_hastened_and_its_file_can_be_read(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    writer.add_scalar("before", 1.0, 0)
    show_in_tensorboard(writer, "picture", Picture(b"pixels" * 10_000, 2, 3), 1)
    records = writer._get_file_writer().event_writer._async_writer._worker._record_writer
    assert type(records) is QuickRecordWriter
    hasten(writer)
    assert writer._get_file_writer().event_writer._async_writer._worker._record_writer is records, "once is enough"
    writer.add_scalar("after", 2.0, 2)
    writer.close()
    (file,) = tmp_path.iterdir()
    tags = [value.tag for event in EventFileLoader(str(file)).Load() for value in event.summary.value]
    assert tags == ["before", "picture", "after"]


def test_a_writer_that_is_made_otherwise_is_left_as_it_is(tmp_path: Path) -> None:
    class Own(RecordWriter):
        """Somebody's."""

    writer = SummaryWriter(str(tmp_path))
    thread = writer._get_file_writer().event_writer._async_writer._worker
    thread._record_writer = own = Own(thread._record_writer._writer)
    hasten(writer)
    assert thread._record_writer is own
    del thread._record_writer
    hasten(writer)
    assert not hasattr(thread, "_record_writer")
    thread._record_writer = own
    writer.close()
