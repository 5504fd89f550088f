"""What a notebook shows."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from xinc_pl import FFN, dissect
from xinc_pl.canvas.mosaic import as_picture, mosaic, png
from xinc_pl.frames import pixel_coordinates


def pictures_in(html: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in found]


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (64, 3)])
def test_png_is_what_pillow_reads(size: tuple[int, int]) -> None:
    pixels = torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(pixels)))), pixels.numpy())


def test_red_is_positive_blue_negative_and_zero_pale() -> None:
    maps = torch.tensor([[[1.0, -1.0, 0.0]]]).repeat(1, 3, 1)
    pixels = mosaic(maps).int()
    assert pixels.shape == (96, 96, 3)
    left, middle, right = pixels[48, 16], pixels[48, 48], pixels[48, 80]
    assert left[0] > left[2] + 50
    assert middle[2] > middle[0] + 50
    assert right.tolist() == [247, 247, 247]


@pytest.mark.parametrize("maps", [torch.zeros(2, 4, 4), torch.ones(3, 200, 1), torch.full((1, 1, 300), -2.0)])
def test_maps_of_any_shape_are_shown(maps: Tensor) -> None:
    pixels = mosaic(maps)
    assert pixels.dtype == torch.uint8
    assert max(pixels.shape[0], (pixels.shape[1] + 3) // len(maps) - 3) == 96


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_of_any_number_of_channels_are_shown(channels: int) -> None:
    image = torch.linspace(-0.5, 1.5, channels * 6).reshape(channels, 2, 3)
    shown = as_picture(image)
    assert shown.shape == (2, 3, 3)
    assert torch.equal(shown[..., 0], (image[0].clamp(0, 1) * 255).round().byte())


def test_a_canvas_shows_image_layers_and_what_is_left_out() -> None:
    canvas = dissect(FFN(num_frequencies=4, widths=(10, 6)), pixel_coordinates((8, 12)), size=(8, 12))
    html = canvas._repr_html_()
    pictures = pictures_in(html)
    assert len(pictures) == 1 + len(canvas)
    expected = (canvas.image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    assert np.array_equal(pictures[0], expected.numpy())
    layer = canvas["layer_2"]
    assert f"layer_2: {layer.num_neurons} neurons" in layer._repr_html_()
    assert len(pictures_in(layer._repr_html_())) == 1


def test_names_are_no_html() -> None:
    class Network(nn.Module):
        layer_names = {"0": "<script>", "2": "b&b"}  # noqa: RUF012 - as networks have it

        def __init__(self) -> None:
            super().__init__()
            self.add_module("0", nn.Linear(2, 4))
            self.add_module("2", nn.Linear(4, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.get_submodule("2")(self.get_submodule("0")(x).relu())

    html = dissect(Network(), pixel_coordinates((4, 6)), size=(4, 6))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
