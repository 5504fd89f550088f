"""How much memory there is, and a clear word where it cannot be enough."""

import os
from pathlib import Path


def available_memory() -> int | None:
    """Bytes of main memory that can be had now; None where the system does not tell."""
    known = [value for value in (_free_pages(), _group_limit()) if value is not None]
    return min(known) if known else None


def require_memory(num_bytes: float, what: str, remedy: str) -> None:
    """Insist that something fits into memory, before the system ends the process for it.

    Args:
        num_bytes: What it takes at least.
        what: What it is, for the message: ``30 frames of 128x256``.
        remedy: What to do: ``use a smaller size``.

    Raises:
        ValueError: There is less memory.
    """
    available = available_memory()
    if available is not None and num_bytes > available:
        raise ValueError(
            f"{what} needs {gigabytes(num_bytes)} of memory, and {gigabytes(available)} are free; {remedy}"
        )


def gigabytes(num_bytes: float) -> str:
    """A number of bytes for people."""
    return f"{num_bytes / 1e9:.3g} GB" if num_bytes < 1e15 else f"{num_bytes / 1e9:.0e} GB"


def _free_pages() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _group_limit() -> int | None:
    """What the container may use (control groups, version 2)."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no limit says "max"
        return None
