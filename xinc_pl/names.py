"""Names that may become parts of paths: those of callbacks and of layers."""

import hashlib
from urllib.parse import quote

MAX_LENGTH = 100
"""Bytes of a name in UTF-8: file systems stop at 255, and a file's name has an epoch, a suffix and more besides."""

_SEPARATORS = frozenset('/\\:*?"<>|')
"""What parts a path on one system or another, or cannot stand in a file's name there."""

_MARKS = frozenset("%~")
"""What ``path_part`` marks its own changes with."""


def trouble_with(name: str) -> str | None:
    """Why a name cannot be part of a path as it is; None if it can.

    A name that can stays within its folder on every system: it is neither absolute nor hidden, leads nowhere else, and
    shows all of its characters.
    """
    if not name.strip():
        return "is empty"
    if len(name.encode(errors="surrogatepass")) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters (bytes of UTF-8)"
    if not name.isprintable():
        return "has a character that cannot be printed"
    if found := sorted(_SEPARATORS & set(name)):
        return f"has a {found[0]}"
    if name[0] == "." or name[-1] == ".":
        return "starts or ends with a dot"
    if name != name.strip():
        return "starts or ends with a space"
    return None


def path_part(name: str) -> str:
    """One part of a path for any name; two names never share one.

    A name that has no ``trouble_with`` it stays as it is. What cannot stand in a path is written as in a URL (``%2F``);
    what is too long is cut, and ends in a digest.
    """
    if trouble_with(name) is None and not _MARKS & set(name):
        return name
    part = quote(name, safe="()[]+,=@#", errors="surrogatepass").replace("~", "%7E") or "%"
    part = "%2E" + part[1:] if part[0] == "." else part
    part = part[:-1] + "%2E" if part[-1] == "." else part
    if len(part) <= MAX_LENGTH:
        return part
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{part[: MAX_LENGTH - len(digest) - 1]}~{digest}"
