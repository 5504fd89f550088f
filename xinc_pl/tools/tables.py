"""A comparison in numbers: for reading, for a spreadsheet, for TensorBoard."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from xinc_pl.analysis.comparison import LayerComparison
from xinc_pl.analysis.grouping_variance import VarianceDistribution
from xinc_pl.analysis.matching import Match
from xinc_pl.plots.words import number, p_words

_ABOUT_SIMILARITIES = """\
Do neurons recur by signal? Mean similarity of the pairs of an optimal assignment: with other seeds of the same signal,
with a run of another signal, with the run's own beginning, and after shuffling each vector."""

_ABOUT_TRIVIAL = """\
*: without runs that have the same encoding, as FFNs of one seed have, and as a run and its beginning have: this layer
receives the same in both, and its neurons match trivially, trained or not."""

_ABOUT_MATCHES = """\
Pair by pair; shuffled: the same search after shuffling each vector; any pair: without a search. Mixing, of all runs: 1
where the nearest neighbours of a neuron come from all runs alike, 0 where from its own only."""

_ABOUT_VARIANCES = """\
How unevenly do neurons treat the clusters of a partition? Median over neurons of the variance of deltas; in brackets:
its ratio to that of the same clusters shifted to wrong places, and p, both of a sample of neurons. A shifted
grid is a grid, so that grid and comb have no such null."""


def comparison_markdown(runs: Sequence[str], layers: Sequence[LayerComparison], remarks: Sequence[str] = ()) -> str:
    """Four tables: the runs, the four similarities, the pairs of runs, and how unevenly neurons treat each partition.

    Args:
        runs: What to call them, last the run of another signal, if there is one.
        layers: Input side first.
        remarks: What is to be said of the controls, a line each.
    """
    numbers = [f"{index + 1}" for index in range(len(layers[0].num_neurons))]
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
    similarities = [
        [layer.layer, *map(_with_star, layer.similarities, (*map(_is_trivial, layer.matched.values()), False))]
        for layer in layers
    ]
    starred = any("*" in cell for row in similarities for cell in row[1:])
    alike = [
        f"{layer.layer}: runs {first + 1} and {second + 1} have the same encoding"
        for layer in layers
        for kind in ("other_seed", "other_signal")
        for (first, second), match in layer.matched[kind].items()
        if match.is_trivial
    ]
    parts = [
        _table(["", "run"], [[f"{index + 1}", run] for index, run in enumerate(runs)]),
        _ABOUT_SIMILARITIES,
        _table(["layer", "other seed", "another signal", "own beginning", "shuffled"], similarities),
        *([_ABOUT_TRIVIAL] if starred else []),
        *(["\n".join(f"- {line}" for line in [*alike, *remarks])] if alike or remarks else []),
        _ABOUT_MATCHES,
        _table(["layer", "runs", "neurons", "matched", "shuffled", "any pair", "mixing"], matches),
        _ABOUT_VARIANCES,
        _table(["layer", "partition", *(f"run {number}" for number in numbers)], variances),
    ]
    return "\n\n".join(parts) + "\n"


def comparison_csv(runs: Sequence[str], layers: Sequence[LayerComparison]) -> str:
    """One number and its control per line; empty where there is none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = ("layer", "quantity", "partition", "run", "other_run", "value", "control", "num_neurons", "is_trivial")
    writer.writerow(columns)
    for layer in layers:
        for kind, found in layer.matched.items():
            for (first, second), match in found.items():
                quantity = "match" if kind == "other_seed" else kind
                pair = ["", runs[first], "epoch 0" if kind == "own_beginning" else runs[second]]
                values, count = [_exact(match.mean), _exact(match.control)], len(match.neurons)
                writer.writerow([layer.layer, quantity, *pair, *values, count, match.is_trivial])
                if kind == "other_seed":
                    any_pair = _exact(match.any_pair)
                    writer.writerow([layer.layer, "any_pair", *pair, any_pair, "", count, match.is_trivial])
        count = sum(len(each.neurons) for each in layer.vectors)
        writer.writerow([layer.layer, "mixing", "", "", "", _exact(layer.mixing), "", count, ""])
        for each in layer.variances:
            for run, variance in zip(runs, each, strict=False):  # the last may be the control
                row, null = [variance.partition.key, run, ""], variance.null
                control = "" if null is None else _exact(null.median)
                count = len(variance.variances)
                writer.writerow([layer.layer, "median_variance", *row, _exact(variance.median), control, count, ""])
                for quantity in () if null is None else ("ratio", "p"):
                    value = _exact(getattr(null, quantity))
                    writer.writerow([layer.layer, f"variance_{quantity}", *row, value, "", "", ""])
    return buffer.getvalue()


def scalars_of(layers: Sequence[LayerComparison]) -> Mapping[str, float]:
    """What TensorBoard shows, by tag: means over pairs of runs, and each pair. No NaN."""
    values: dict[str, float] = {}
    for layer in layers:
        matches = list(layer.matches.values())
        for kind, value in layer.similarities._asdict().items():
            values[f"{layer.layer}/similarity/{kind}"] = value
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


def _is_trivial(matches: Mapping[tuple[int, int], Match]) -> bool:
    return any(match.is_trivial for match in matches.values())


def _with_star(value: float, is_trivial: bool) -> str:
    return _number(value) + ("*" if is_trivial else "")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _exact(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _with_null(found: VarianceDistribution) -> str:
    if found.null is None or not found.null.exists:
        return _number(found.median)
    return f"{_number(found.median)} (ratio {number(found.null.ratio)}, {p_words(found.null)})"
