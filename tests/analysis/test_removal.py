import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xinc_pl.analysis.removal import Judges, removal_curve, removal_curves
from xinc_pl.analysis.removal_orders import (
    GRAM,
    GRAM_MEAN,
    MAGNITUDE,
    MAGNITUDE_OVER_MEAN,
    ORDERS,
    RANDOM,
    RMS_TIMES_NORM,
    Candidates,
    Evidence,
    Order,
    evidence_of,
    greedy_order,
    orders_of,
    random_orders,
)
from xinc_pl.canvas import Canvas, dissect

SIZE = (8, 8)


def network_of(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 12), nn.SiLU(), nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 3))


def inputs(shift: float = 0.0) -> Tensor:
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, SIZE[0]), torch.linspace(-1, 1, SIZE[1]), indexing="ij")
    return torch.stack([rows, columns], -1).reshape(-1, 2) + shift


def effects_of(network: nn.Module) -> list[Canvas]:
    """Two frames."""
    return [dissect(network, inputs(shift), size=SIZE, convention="effect") for shift in (0.0, 0.3)]


def evidence(network: nn.Module) -> Evidence:
    neurons = {"2": torch.arange(12), "4": torch.tensor([9, 0, 4])}
    papers = [dissect(network, inputs(shift), size=SIZE) for shift in (0.0, 0.3)]
    return evidence_of(effects_of(network), {"paper": papers}, Candidates(neurons))


def test_a_greedy_order_is_that_of_trying_every_neuron_at_every_step() -> None:
    maps = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).double()
    gone: list[int] = []
    for _ in range(9):
        costs = {i: float(maps[[*gone, i]].sum(0).square().sum()) for i in range(9) if i not in gone}
        gone.append(min(costs, key=lambda i: costs[i]))
    assert greedy_order(maps @ maps.T).tolist() == gone
    by_square = maps.square().sum(1).argsort().tolist()
    assert gone != by_square


def test_neurons_that_undo_each_other_go_together() -> None:
    maps = torch.tensor([[5.0], [1.0], [-5.0], [2.0]]).double()
    assert greedy_order(maps @ maps.T).tolist() == [1, 3, 2, 0]
    assert greedy_order(torch.zeros(3, 3).double()).tolist() == [0, 1, 2]


def test_a_removal_curve_by_hand() -> None:
    # Two inputs, of which the first alone makes the image: 0.5 everywhere.
    network = nn.Sequential(nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[0.5, 0.0]]))  # type: ignore[union-attr]
    effect = dissect(network, torch.ones(4, 2), size=(2, 2), convention="effect")
    judges = Judges([effect], [torch.full((1, 2, 2), 0.6)])
    candidates = Candidates({"0": torch.arange(2)})
    curve = removal_curve(judges, candidates, Order("mine", torch.tensor([1, 0])), shares=(0.5, 1.0))
    assert curve.intact == pytest.approx(20)  # an error of 0.1
    without_first = -20 * math.log10(0.6)
    assert curve.left == pytest.approx((20, without_first))
    assert curve.lost == pytest.approx((0, 20 - without_first))
    assert curve.mean_lost == pytest.approx((20 - without_first) / 2)
    # What it adds is the same everywhere: the bias can do it.
    means = {"0": effect.removal.means("0", [0, 1])}
    kept = removal_curve(judges, candidates, Order("mine", torch.tensor([0, 1]), keeps_means=True), means, (0.5, 1.0))
    assert kept.left == pytest.approx((20, 20))


def test_frames_judge_together() -> None:
    effects = effects_of(network_of())
    targets = [torch.rand(3, *SIZE) for _ in effects]
    gone = {"2": torch.tensor([0, 5])}
    psnrs = [
        -10 * math.log10(float((effect.removal.together(gone).clamp(0, 1) - target).double().square().mean()))
        for effect, target in zip(effects, targets, strict=True)
    ]
    assert Judges(effects, targets).psnr(gone) == pytest.approx(np.mean(psnrs))


def test_evidence_is_about_all_frames_and_these_candidates() -> None:
    network = network_of()
    found, effects = evidence(network), effects_of(network)
    maps = torch.cat(
        [
            torch.cat([canvas["2"].maps(per_output=True), canvas["4"].maps([9, 0, 4], per_output=True)]).flatten(1)
            for canvas in effects
        ],
        1,
    ).double()
    torch.testing.assert_close(found.gram, maps @ maps.T, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.scores["effect"], maps.square().sum(1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        found.scores["effect_l1"],
        torch.cat([sum(c["2"].magnitudes().double().sum((1, 2)) for c in effects),  # type: ignore[list-item]
                   sum(c["4"].magnitudes([9, 0, 4]).double().sum((1, 2)) for c in effects)]),  # type: ignore[list-item]
        rtol=1e-4, atol=1e-6)  # fmt: skip
    papers = [dissect(network, inputs(shift), size=SIZE) for shift in (0.0, 0.3)]
    squares = sum(canvas["4"].magnitudes([9, 0, 4]).double().square().sum((1, 2)) for canvas in papers)
    torch.testing.assert_close(found.scores["paper"][12:], squares, rtol=1e-4, atol=1e-6)  # type: ignore[arg-type]
    norms = network[4].weight.detach().norm(dim=0).double()  # type: ignore[operator,union-attr]
    torch.testing.assert_close(found.scores[MAGNITUDE][12:], norms[[9, 0, 4]])
    torch.testing.assert_close(found.scores[MAGNITUDE_OVER_MEAN][12:], (norms / norms.mean())[[9, 0, 4]])
    received = torch.cat([network[:4](inputs(shift)) for shift in (0.0, 0.3)]).detach().double()
    products = norms * received.square().mean(0).sqrt()
    torch.testing.assert_close(found.scores[RMS_TIMES_NORM][12:], (products / products.mean())[[9, 0, 4]])
    # Means are over the pixels of both frames.
    expected = received.mean(0)[:, None] * network[4].weight.detach().T.double()  # type: ignore[operator,union-attr]
    torch.testing.assert_close(found.means["4"].double(), expected[[9, 0, 4]], rtol=1e-5, atol=1e-7)


def test_orders_of_one_layer_and_of_all() -> None:
    found = evidence(network_of())
    together = {order.name: order for order in orders_of(found, ["2", "4"])}
    assert list(together) == [name for name in ORDERS if name in together]
    assert set(ORDERS) - set(together) == {"released", RANDOM}
    assert all(sorted(order.places.tolist()) == list(range(15)) for order in together.values())
    assert [name for name, order in together.items() if order.keeps_means] == [GRAM_MEAN]
    assert together["effect"].places.tolist() == found.scores["effect"].argsort().tolist()
    assert together[GRAM].places.tolist() == greedy_order(found.gram).tolist()
    alone = {order.name: order for order in orders_of(found, ["4"])}
    assert MAGNITUDE_OVER_MEAN not in alone
    assert alone[GRAM].places.tolist() == (greedy_order(found.gram[12:, 12:]) + 12).tolist()
    chosen = found.candidates.within(torch.tensor([13, 0, 14]))
    assert {layer: own.tolist() for layer, own in chosen.items()} == {"2": [0], "4": [1, 2]}


def test_in_the_last_layer_the_gram_order_changes_the_output_least() -> None:
    network = network_of(1)
    effects = effects_of(network)
    everything = Candidates({"4": torch.arange(10)})
    found = evidence_of(effects, {}, everything)

    def change(order: Order, number: int, means: bool = False) -> float:
        gone = order.places[:number]
        kept = {"4": found.means["4"][gone]} if means else None
        return sum(
            float((effect.removal.together({"4": gone}, kept) - effect.removal.image).double().square().sum())
            for effect in effects
        )

    orders = {order.name: order for order in orders_of(found, ["4"])}
    changes = [change(orders[name], 4) for name in (GRAM, "effect", MAGNITUDE)]
    assert changes[0] == min(changes) < max(changes)
    # The matrix says what happens, exactly in a last linear layer.
    gone = orders[GRAM_MEAN].places[:4]
    assert change(orders[GRAM_MEAN], 4, means=True) == pytest.approx(
        float(found.gram_mean[gone][:, gone].sum()), rel=1e-4, abs=1e-7
    )


def test_curves_of_all_orders_and_by_chance() -> None:
    network = network_of()
    found, effects = evidence(network), effects_of(network)
    judges = Judges(effects, [effect.removal.image.clamp(0, 1) for effect in effects])
    state = torch.get_rng_state()
    curves = {curve.order: curve for curve in removal_curves(judges, found, ["2", "4"], seed=3)}
    assert torch.equal(state, torch.get_rng_state())
    by_chance = curves[RANDOM]
    assert all(low <= mean <= high for low, mean, high in
               zip(by_chance.lowest, by_chance.left, by_chance.highest, strict=True))  # fmt: skip
    assert by_chance.lowest != by_chance.highest
    assert curves[GRAM].lowest == curves[GRAM].left
    again = [order.places.tolist() for order in random_orders(found, ["2", "4"], 2, seed=3)]
    assert again == [order.places.tolist() for order in random_orders(found, ["2", "4"], 2, seed=3)]
    assert again[0] != again[1]
    assert again != [order.places.tolist() for order in random_orders(found, ["2", "4"], 2, seed=4)]
    assert math.isfinite(by_chance.intact), "also where the image is the target itself"
