"""Names as parts of paths, whatever they are."""

from pathlib import Path, PureWindowsPath

import pytest

from xinc_pl.names import MAX_LENGTH, path_part, trouble_with

GOOD = ["block_1", "layers.0", "network.blocks.0.conv", "my canvas", "Kanäle", "層_3", "a%b", "a~b", "x" * MAX_LENGTH]
HOSTILE = {
    "": "empty",
    "  ": "empty",
    ".": "dot",
    "..": "dot",
    ".hidden": "dot",
    "head.": "dot",
    "head ": "space",
    "a/b": "has a /",
    "../../evil": "has a /",
    "/etc/passwd": "has a /",
    "a\\b": r"has a \\",
    "C:evil": "has a :",
    "\\\\server\\share": r"has a \\",
    "a\0b": "cannot be printed",
    "a\nb": "cannot be printed",
    "a\x1b[31mb": "cannot be printed",
    "a\u202eb": "cannot be printed",
    "a\ud800b": "cannot be printed",
    "x" * (MAX_LENGTH + 1): "longer than 100 characters",
    "層" * MAX_LENGTH: "longer than 100 characters",
}


@pytest.mark.parametrize("name", GOOD)
def test_ordinary_names_have_no_trouble(name: str) -> None:
    assert trouble_with(name) is None


@pytest.mark.parametrize(("name", "trouble"), HOSTILE.items(), ids=map(ascii, HOSTILE))
def test_what_is_wrong_with_a_name_is_said(name: str, trouble: str) -> None:
    assert trouble.replace("\\\\", "\\") in (trouble_with(name) or "")


def test_ordinary_layers_keep_their_names() -> None:
    for name in ("block_1", "layers.0", "network.blocks.0.conv", "Kanäle"):
        assert path_part(name) == name


@pytest.mark.parametrize("name", [*HOSTILE, *GOOD], ids=ascii)
def test_any_name_makes_a_file_right_in_its_folder(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{path_part(name)}_epoch_0030.npz"
    file.touch()
    assert list(tmp_path.iterdir()) == [file]
    assert trouble_with(path_part(name)) is None
    assert PureWindowsPath("folder", path_part(name)).parent == PureWindowsPath("folder")


def test_two_names_never_share_a_file() -> None:
    long = "x" * 500
    names = [*HOSTILE, *GOOD, "%", "%2E", "a%2Fb", "%20", "a%25b", long, long + "y", " a", "a", path_part(long)]
    assert len({path_part(name) for name in names}) == len(names)
