"""What docs/reproduction.md shows works, leaves no figure out, and has no number of its own."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from xinc_pl.cli import main

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/reproduction.md"
TEXT = PAGE.read_text()
COMMANDS = re.findall(r"^ {4}python -m xinc_pl (.*)$", TEXT, re.MULTILINE)


def rows_of(title: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    (part,) = re.findall(rf"^## {title}\n(.*?)(?=^## )", TEXT, re.DOTALL | re.MULTILINE)
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_figure_has_one_row() -> None:
    numbers = [int(each) for row in rows_of("Figures") for each in re.findall(r"\d+", row[0].partition(":")[0])]
    assert sorted(numbers) == list(range(1, 20))


def test_everything_that_the_method_cites_is_there() -> None:
    method = (ROOT / "docs/method.md").read_text()
    cited = re.findall(r"^\| ((?:P|S|Eq\.) \d[^|]*) \|", method, re.MULTILINE)
    assert len(cited) == 8
    first_cells = " ".join(row[0] for row in rows_of("Networks and formulas"))
    for each in (part for cell in cited for part in re.split(r", (?=[PS] )", cell)):
        assert each in first_cells


@pytest.mark.parametrize("title", ["Networks and formulas", "Figures"])
def test_numbers_stand_on_other_pages(title: str) -> None:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "benchmarks/README.md"]
    known = "\n".join(page.read_text() for page in pages if page != PAGE)
    shown = {number for row in rows_of(title) for number in re.findall(r"-?\d*\.\d+(?:e-\d+)?", row[2])}
    assert len(shown) > 4
    for number in shown:
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", known), number


def test_links_lead_to_headings() -> None:
    for file, heading in re.findall(r"\]\(([^)#]*)#([^)]+)\)", TEXT):
        headings = re.findall(r"^#+ (.*)$", (PAGE.parent / file if file else PAGE).read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
        assert heading in slugs, (file, heading)


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("fit")])
def test_trainings_are_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*shlex.split(command), "--print_config"])
    assert stopped.value.code == 0
    assert "xinc_pl.training" in capsys.readouterr().out


def test_analyses_work_under_either_convention(finished_runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_runs / "lightning_logs/version_0", tmp_path / "version_0")
    analyses = [each for each in COMMANDS if each.startswith("analyse")]
    assert len(analyses) == 2
    for command in analyses:
        main(shlex.split(command.replace("$RUN", str(run))))
    made = {file.relative_to(run / "xinc").parts[0] for file in run.rglob("variances*_epoch_*.png")}
    assert made == {"grouping_variance", "as_released"}
