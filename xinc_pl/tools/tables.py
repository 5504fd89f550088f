"""A comparison in numbers: for reading, for a spreadsheet, for TensorBoard."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from xinc_pl.analysis.comparison import LayerComparison
from xinc_pl.analysis.grouping_variance import VarianceDistribution
from xinc_pl.plots.words import number, p_words

_ABOUT_MATCHES = """\
Do neurons recur? Mean correlation of the pairs of an optimal assignment; control: the same search after shuffling each
vector; any pair: without a search. Mixing, of all runs: 1 where the nearest neighbours of a neuron come from all runs
alike, 0 where from its own only."""

_ABOUT_VARIANCES = """\
How unevenly do neurons treat the clusters of a partition? Median over neurons of the variance of deltas; in brackets:
its ratio to that of the same clusters shifted to wrong places, and p, both of a sample of neurons. A shifted
grid is a grid, so that grid and comb have no such null."""


def comparison_markdown(runs: Sequence[str], layers: Sequence[LayerComparison]) -> str:
    """Three tables: the runs, how well their neurons match, and how unevenly these treat each partition."""
    numbers = [f"{index + 1}" for index in range(len(runs))]
    matches = [
        [
            layer.layer,
            f"{first + 1} and {second + 1}",
            f"{len(match.neurons):,} of {min(layer.num_neurons[first], layer.num_neurons[second]):,}",
            *(_number(value) for value in (match.mean, match.control, match.any_pair, layer.mixing)),
        ]
        for layer in layers
        for (first, second), match in layer.matches.items()
    ]
    variances = [
        [layer.layer, each[0].partition.key, *map(_with_null, each)] for layer in layers for each in layer.variances
    ]
    parts = [
        _table(["", "run"], [[number, run] for number, run in zip(numbers, runs, strict=True)]),
        _ABOUT_MATCHES,
        _table(["layer", "runs", "neurons", "matched", "control", "any pair", "mixing"], matches),
        _ABOUT_VARIANCES,
        _table(["layer", "partition", *(f"run {number}" for number in numbers)], variances),
    ]
    return "\n\n".join(parts) + "\n"


def comparison_csv(runs: Sequence[str], layers: Sequence[LayerComparison]) -> str:
    """One number and its control per line; empty where there is none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["layer", "quantity", "partition", "run", "other_run", "value", "control", "num_neurons"])
    for layer in layers:
        for (first, second), match in layer.matches.items():
            pair = ["", runs[first], runs[second]]
            count = len(match.neurons)
            writer.writerow([layer.layer, "match", *pair, _exact(match.mean), _exact(match.control), count])
            writer.writerow([layer.layer, "any_pair", *pair, _exact(match.any_pair), "", count])
        count = sum(len(each.neurons) for each in layer.vectors)
        writer.writerow([layer.layer, "mixing", "", "", "", _exact(layer.mixing), "", count])
        for each in layer.variances:
            for run, found in zip(runs, each, strict=True):
                key, null = found.partition.key, found.null
                control = "" if null is None else _exact(null.median)
                writer.writerow(
                    [layer.layer, "median_variance", key, run, "", _exact(found.median), control, len(found.variances)]
                )
                for quantity in () if null is None else ("ratio", "p"):
                    value = _exact(getattr(null, quantity))
                    writer.writerow([layer.layer, f"variance_{quantity}", key, run, "", value, "", ""])
    return buffer.getvalue()


def scalars_of(layers: Sequence[LayerComparison]) -> Mapping[str, float]:
    """What TensorBoard shows, by tag: means over pairs of runs, and each pair. No NaN."""
    values: dict[str, float] = {}
    for layer in layers:
        matches = list(layer.matches.values())
        values[f"{layer.layer}/match"] = fmean(match.mean for match in matches)
        values[f"{layer.layer}/match_control"] = fmean(match.control for match in matches)
        values[f"{layer.layer}/mixing"] = layer.mixing
        for (first, second), match in layer.matches.items():
            values[f"{layer.layer}/match/{first + 1}_{second + 1}"] = match.mean
        for each in layer.variances:
            for index, found in enumerate(each):
                values[f"{layer.layer}/median_variance/{found.partition.key}/{index + 1}"] = found.median
    return {tag: value for tag, value in values.items() if not math.isnan(value)}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]  # a bare one would end the cell
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _exact(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _with_null(found: VarianceDistribution) -> str:
    if found.null is None or not found.null.exists:
        return _number(found.median)
    return f"{_number(found.median)} (ratio {number(found.null.ratio)}, {p_words(found.null)})"
