"""Layers before a narrow place: their maps against one derivative through the whole network for each neuron."""

from typing import Any

import pytest
import torch
from effect_oracle import written
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import Canvas, DissectionError, dissect
from xinc_pl.canvas.effect.convolution import ConvolutionEffect
from xinc_pl.canvas.effect.effect import AnyEffect, EffectRule
from xinc_pl.canvas.effect.neck import Neck, NeckEffect
from xinc_pl.canvas.layers.reading import read
from xinc_pl.canvas.recording.network import record
from xinc_pl.canvas.statistics import lock_step

IMAGE = torch.randn(1, 3, 8, 12, generator=torch.Generator().manual_seed(4))
SIZE = (8, 12)
ENCODER = ("a", "b", "c")


def encoded(s: Any, x: Tensor) -> Tensor:
    """(1, 2, 2, 3): twelve values, behind a branch, a layer that is used twice, and a norm."""
    h = F.gelu(s.a(x))
    h = h + s.b(s.b(h).tanh()) * h
    return F.layer_norm(s.c(h), (2, 2, 3))


def decoded(s: Any, e: Tensor) -> Tensor:
    return torch.tanh(s.e(F.gelu(F.pixel_shuffle(s.d(e), 4))))


def parts() -> dict[str, nn.Module]:
    return {
        "a": nn.Conv2d(3, 4, 3, padding=1), "b": nn.Conv2d(4, 4, 3, padding=1), "c": nn.Conv2d(4, 2, 4, 4),
        "d": nn.Conv2d(2, 48, 3, padding=1), "e": nn.Conv2d(3, 3, 3, padding=1),
    }  # fmt: skip


def autoencoder() -> nn.Module:
    return written(lambda s, x: decoded(s, encoded(s, x)), **parts())


def dissected(network: nn.Module | None = None) -> Canvas:
    return dissect(network or autoencoder(), IMAGE, convention="effect")


def rule_of(canvas: Canvas, name: str) -> EffectRule:
    rule = canvas[name]._rule
    assert isinstance(rule, EffectRule)
    return rule


def by_differentiation(canvas: Canvas, name: str) -> AnyEffect:
    rule = rule_of(canvas, name)
    return AnyEffect(rule.layer, rule.by_pixel)


def test_an_encoder_goes_through_its_embedding_and_a_decoder_is_a_chain() -> None:
    canvas = dissected()
    assert not canvas.skipped
    expected = dict.fromkeys(ENCODER, NeckEffect) | dict.fromkeys("de", ConvolutionEffect)
    assert {name: type(rule_of(canvas, name)) for name in canvas} == expected
    assert {id(rule.neck.values) for name in ENCODER if isinstance(rule := rule_of(canvas, name), NeckEffect)} == {
        id(rule_of(canvas, "d").layer.input)
    }


@pytest.mark.parametrize("name", [*ENCODER, "d", "e"])
def test_maps(name: str) -> None:
    canvas = dissected()
    expected = by_differentiation(canvas, name).per_output(torch.arange(canvas[name].num_neurons))
    torch.testing.assert_close(canvas[name].maps(per_output=True), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(canvas[name].maps(), expected.sum(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(canvas[name].magnitudes(), expected.abs().sum(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ENCODER)
def test_terms_less_their_means(name: str) -> None:
    canvas = dissected()
    neurons = torch.tensor([5, 0, 3])
    means = canvas.removal.means(name, neurons)
    expected = by_differentiation(canvas, name).per_output(neurons, means)
    assert not torch.allclose(expected, canvas[name].maps(neurons, per_output=True), rtol=1e-2)
    torch.testing.assert_close(rule_of(canvas, name).per_output(neurons, means), expected, rtol=1e-4, atol=1e-5)


def test_a_way_around_is_no_narrow_place() -> None:
    def around(s: Any, x: Tensor) -> Tensor:
        h = s.a(x)
        return decoded(s, encoded(s, x)) + h[:, :3]

    network = written(around, **parts())
    canvas = dissected(network)
    assert isinstance(rule_of(canvas, "b"), NeckEffect)
    assert type(rule_of(canvas, "a")) is AnyEffect


def test_a_wide_place_is_not_worth_its_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xinc_pl.canvas.effect.neck._MOST_VALUES", 11)
    canvas = dissected()
    assert all(type(rule_of(canvas, name)) is AnyEffect for name in ENCODER)


def wrong(tangents: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: each * 1.1 for name, each in tangents.items()}


def failing(tangents: dict[str, Tensor]) -> dict[str, Tensor]:
    raise DissectionError("it has no derivative")


@pytest.mark.parametrize("change", [wrong, failing])
def test_what_is_wrong_or_fails_is_not_used(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    expected = {name: dissected()[name].maps() for name in ENCODER}
    right = Neck.tangents.func  # type: ignore[attr-defined]
    monkeypatch.setattr(Neck, "tangents", property(lambda neck: change(right(neck))))
    canvas = dissected()
    for name, maps in expected.items():
        assert type(rule_of(canvas, name)) is AnyEffect
        torch.testing.assert_close(canvas[name].maps(), maps, rtol=1e-4, atol=1e-5)


def test_the_tail_of_what_is_no_chain() -> None:
    reading = read(record(autoencoder(), IMAGE))
    assert reading.chain is None
    assert reading.tail is not None
    assert [layer.name for layer in reading.tail.layers] == ["d", "e"]


def test_no_tail_where_the_last_layer_breaks() -> None:
    network = written(lambda s, x: (lambda h: h + s.b(h))(s.a(x)), a=nn.Conv2d(3, 3, 1), b=nn.Conv2d(3, 3, 1))
    assert read(record(network, IMAGE)).tail is None


@pytest.mark.parametrize("room", [1 << 26, 3 * 96 + 1, 0])
def test_slow_maps_are_made_once_where_there_is_room(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr("xinc_pl.canvas.effect.neck._MOST_VALUES", 0)
    monkeypatch.setattr("xinc_pl.canvas.maps.group.CHUNK_VALUES", 100)
    canvas = dissected()
    partitions = {"columns": torch.arange(12).expand(SIZE) // 4}
    monkeypatch.setattr(lock_step, "_MOST_KEPT", 0)
    expected = canvas["a"].statistics(partitions)
    made: list[int] = []
    per_output = AnyEffect.per_output

    def counted(self: AnyEffect, neurons: Tensor, means: Tensor | None = None) -> Tensor:
        made.extend(neurons.tolist())
        return per_output(self, neurons, means)

    monkeypatch.setattr(AnyEffect, "per_output", counted)
    monkeypatch.setattr(lock_step, "_MOST_KEPT", room)
    statistics = canvas["a"].statistics(partitions)
    assert torch.equal(statistics.sum, expected.sum)
    assert torch.equal(statistics.pixels_per_neuron, expected.pixels_per_neuron)
    assert torch.equal(statistics.partitions["columns"].sum, expected.partitions["columns"].sum)
    assert sorted(set(made)) == list(range(12))
    once = room // 96 >= 12
    assert len(made) == 12 if once else len(made) > 12
    if 0 < room < 12 * 96:
        assert len(made) < 24
