"""YAML of strangers."""

from pathlib import Path

import pytest

from xinc_pl.plain_yaml import MAX_BYTES, PlainYAMLError, read_plain_yaml


def read(folder: Path, content: str | bytes) -> object:
    file = folder / "config.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_plain_yaml(file)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: [1, 2.5, null, true, 'x']\n", {"a": [1, 2.5, None, True, "x"]}),
        ("lr: 1e-3\nsize: 1.0e6\nname: e3\n", {"lr": 1e-3, "size": 1e6, "name": "e3"}),
        ("size: &size [2, 3]\nother: *size\n", {"size": [2, 3], "other": [2, 3]}),
        ("", None),
    ],
)
def test_plain_values_come_back(tmp_path: Path, content: str, expected: object) -> None:
    assert read(tmp_path, content) == expected


BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))])
MERGES = "\n".join(
    ["a0: &a0 {k: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30))]
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("model: &a {init_args: *a}\n", "holds the alias itself"),
        ("model: &a [[*a]]\n", "holds the alias itself"),
        ("model: &a {<<: *a}\n", "holds the alias itself"),
        (BOMB, "aliases make more than"),
        (MERGES, "aliases make more than"),
        ("[" * 5000 + "]" * 5000, "nested too deep"),
        ("[" * 100 + "]" * 100, "nested too deep"),
        ("x" * (MAX_BYTES + 1), "larger than"),
        ("model: !!python/object/apply:os.system ['touch ran']\n", "python/object/apply"),
        ("model: !!python/name:os.system\n", "python/name"),
        ("model: !mine 3\n", "!mine"),
        ("a: [", "flow"),
        ("a: 1\n---\nb: 2\n", "single document"),
        ("a: 2024-99-99\n", "month must be"),
        ("{[1]: 2}\n", "unhashable"),
        ("name: caf\xe9\n".encode("latin-1"), "utf-8"),
        (b"\x00\x01", "special characters"),
    ],
    ids=range(17),
)
def test_anything_else_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlainYAMLError) as error:
        read(tmp_path, content)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["config.yaml"], "nothing ran"
