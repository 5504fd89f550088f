import math

import torch

from xinc_pl.analysis.evolution import courses_of, drift, panels_of, population


def test_births_and_deaths_are_counted() -> None:
    before = torch.tensor([True, True, False, False, False])
    now = torch.tensor([True, False, False, True, True])
    counts = population(now, before)
    assert (counts.alive, counts.births, counts.deaths) == (2, 1, 2)


def test_the_first_dissection_has_neither_births_nor_deaths() -> None:
    counts = population(torch.tensor([True, False, False]), None)
    assert (counts.alive, counts.births, counts.deaths) == (2, 0, 0)


def test_drift_of_maps_worked_by_hand() -> None:
    before = torch.tensor([[[3.0, 4.0]], [[1.0, 0.0]], [[1.0, 2.0]], [[0.0, 0.0]], [[1.0, 1.0]]])
    now = torch.tensor([[[30.0, 40.0]], [[0.0, 2.0]], [[-1.0, -2.0]], [[1.0, 1.0]], [[0.0, 1.0]]])
    turned = drift(now, before)
    expected = torch.tensor([0.0, 1.0, 2.0, math.nan, 1 - 1 / math.sqrt(2)], dtype=torch.float64)
    torch.testing.assert_close(turned, expected, equal_nan=True)


def test_panels_hold_all_layers_and_the_control_beside() -> None:
    rows = [
        ("spread", "head", "gini", -1, 3, 0.5),
        ("spread", "head", "gini", -1, 0, 0.4),
        ("spread", "block_1", "gini", -1, 0, 0.2),
        ("grouping", "head", "rgb/median", 0, 0, 1.0),
        ("grouping", "head", "rgb/null_median", 0, 0, 0.1),
        ("motion", "head", "correlation_other_pair", 5, 0, 0.0),
        ("motion", "head", "correlation", 9, 0, 0.7),
        ("motion", "head", "correlation_other_pair", 9, 0, 0.1),
    ]
    gini, median, *pairs = panels_of(rows)
    assert (gini.callback, gini.quantity, [curve.layer for curve in gini.curves]) == (
        "spread",
        "gini",
        ["head", "block_1"],
    )
    assert (gini.curves[0].epochs, gini.curves[0].values) == ((0, 3), (0.4, 0.5))
    assert median.quantity == "rgb/median"
    assert [(curve.is_control, curve.values) for curve in median.curves] == [
        (False, (1.0,)),
        (True, (0.1,)),
    ]
    assert [each.quantity for each in pairs] == ["correlation, frame 5", "correlation, frame 9"], "no mean over pairs"
    assert [[curve.is_control for curve in each.curves] for each in pairs] == [[True], [False, True]]


def test_each_callback_has_a_course_without_what_never_changes() -> None:
    rows = [
        ("spread", "head", "gini", -1, 0, 0.4),
        ("spread", "head", "gini", -1, 3, 0.5),
        ("spread", "head", "zero_maps", -1, 0, 2.0),
        ("spread", "head", "zero_maps", -1, 3, 2.0),
        ("spread", "block_1", "neurons", -1, 0, 5.0),
        ("spread", "head", "neurons", -1, 0, 6.0),
        ("still", "head", "zero_maps", -1, 0, 0.0),
        ("still", "head", "zero_maps", -1, 3, 0.0),
        ("once", "head", "gini", -1, 3, 0.5),
        ("evolution", "frame", "psnr", 0, 0, 10.0),
        ("evolution", "frame", "psnr", 0, 3, 20.0),
        ("evolution", "head", "drift", -1, 1, 0.3),
        ("evolution", "head", "drift", -1, 3, 0.2),
    ]
    spread, evolution = courses_of(rows, psnr="evolution")
    assert (spread.callback, [panel.quantity for panel in spread.panels]) == ("spread", ["psnr", "gini"])
    assert spread.unchanged == ("zero_maps 2", "neurons")
    assert [panel.quantity for panel in evolution.panels] == ["psnr", "drift"]
    assert courses_of([], psnr="evolution") == ()


def test_without_a_target_there_is_no_psnr_beside() -> None:
    rows = [("spread", "head", "gini", -1, epoch, epoch / 10) for epoch in (0, 3)]
    (course,) = courses_of(rows, psnr="evolution")
    assert [panel.quantity for panel in course.panels] == ["gini"]
