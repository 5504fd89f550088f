"""What the page on the method shows works, its numbers are the package's, and it explains what docstrings cite."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import xinc_pl

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "method.md").read_text()
CITATION = re.compile(r"(\bP|\bS|Fig\.|Eq\.) (\d[\d.]*(?:(?:,| to| and) \d[\d.]*)*)")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the page's code leaves behind."""
    found: dict[str, Any] = {"__name__": "example"}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block, "docs/method.md", "exec"), found)
    return found


def section(title: str) -> str:
    """The page's text from one heading to the next of its level."""
    (text,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    return str(text)


def rows_of(text: str) -> list[list[str]]:
    """The cells of all tables' rows."""
    return [re.split(r" *\| *", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]


def results_in(column: str, row: str) -> list[float]:
    """What the worked example's calculations come to, in the table with this column."""
    rows = rows_of(section("A worked example"))
    start = next(index for index, cells in enumerate(rows) if column in cells)
    cells = next(cells for cells in rows[start:] if cells[0] == row)
    return [float(cell.rpartition("=")[2]) for cell in cells[1:]]


def citations(text: str) -> set[tuple[str, str]]:
    """Every section, figure and equation of the paper that a text names, one by one."""
    found = set()
    for kind, numbers in CITATION.findall(text):
        for first, last in re.findall(r"(\d[\d.]*)(?: to (\d+))?", numbers):
            last = last or first
            whole = "." not in first.rstrip(".")
            each = map(str, range(int(first.rstrip(".")), int(last) + 1)) if whole and last != first else [first]
            found |= {(kind, number.rstrip(".")) for number in each}
    return found


@pytest.mark.parametrize("convention", ["paper", "released", "effect"])
def test_the_first_layer_by_hand(names: dict[str, Any], convention: str) -> None:
    canvas = names[convention]["0"]
    assert canvas.maps().flatten().tolist() == results_in("input 1, left", f"`{convention}`")
    assert canvas.completeness_error < 1e-6


@pytest.mark.parametrize("convention", ["paper", "released", "effect"])
def test_the_last_layer_by_hand(names: dict[str, Any], convention: str) -> None:
    row = "`released`" if convention == "released" else "`paper` and `effect`"
    assert names[convention]["2"].maps().flatten().tolist() == results_in("hidden 1, left", row)
    assert names[convention].output.flatten().tolist() == [5.5, 4.5]


def test_what_is_really_lost(names: dict[str, Any]) -> None:
    assert torch.cat(names["lost"]).flatten().tolist() == results_in("input 1, left", "really lost without it")


def test_the_statistics_by_hand(names: dict[str, Any]) -> None:
    statistics = names["statistics"]
    assert statistics.total.flatten().tolist() == [13, 6]
    assert statistics.pixels_per_neuron.tolist() == [2, 0]
    assert statistics.thresholds == {0.1: 2, 0.5: 11}
    assert statistics.delta("pixels").flatten().tolist() == pytest.approx([3.5 / 7.5, -3.5 / 7.5, 0, 0])
    assert statistics.delta_variance("pixels").tolist() == pytest.approx([0.436, 0], abs=5e-4)
    assert names["released"]["0"].statistics().zero_map.tolist() == [True, False]


def test_the_kernel_by_hand(names: dict[str, Any]) -> None:
    assert names["by_box"].tolist() == [[[2, 2], [2, 2]]]
    assert names["by_weights"].tolist() == [[[-9, 9], [0, 0]]]


def test_what_docstrings_cite_is_explained() -> None:
    explained = {citation for cells in rows_of(section("Sources")) for citation in citations(cells[0])}
    cited = {
        citation: path.name for path in (ROOT / "xinc_pl").rglob("*.py") for citation in citations(path.read_text())
    }
    assert ("Eq.", "4") in explained
    assert ("P", "3.2") in explained
    assert {citation: name for citation, name in cited.items() if citation not in explained} == {}
    # What is explained is cited too, here at least: the page's own sections use the numbers.
    assert explained <= set(cited) | citations(TEXT.partition("## In one page")[2])


def test_public_names_exist() -> None:
    in_analyses = [cells[1] for cells in rows_of(section("5. Analyses"))]
    in_places = [cells[1] for cells in rows_of(section("Where each thing lives"))]
    mentioned = [name for cell in in_analyses + in_places for name in re.findall(r"`([\w.]+)`", cell)]
    assert len(mentioned) > 20
    for name in mentioned:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module) if module else xinc_pl, attribute), name


def test_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("https:"):
            assert (ROOT / "docs" / target).exists()


def test_formulas_survive_markdown() -> None:
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    assert prose.count("$") % 2 == 0
    formulas = re.findall(r"\$([^$]+)\$", prose)
    assert len(formulas) > 50
    for formula in formulas:
        # A backslash before punctuation is taken for an escape, a bar for the end of a cell, these for emphasis.
        assert not re.search(r"\\[^a-zA-Z]|\||\*|[)}]_|\n", formula), formula
        assert formula == formula.strip()
