"""Fixed encodings of coordinates and of time."""

import math

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from xinc_pl.memory import require_memory


class FourierFeatures(nn.Module):
    """[sin, cos](2 pi x B^T) of coordinates x (..., 2), with a fixed random B: (..., 2 * num_frequencies).

    B ~ N(0, 1) * scale is drawn once and saved with the weights. Coordinates that come again and again, as an
    image's do in training, are encoded only once.

    Args:
        num_frequencies: Rows of B.
        scale: Standard deviation of B.
    """

    frequencies: Tensor

    def __init__(self, num_frequencies: int = 104, scale: float = 10.0) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise ValueError(f"FourierFeatures: scale is {scale}; it must be positive")
        if num_frequencies < 1:
            raise ValueError(f"FourierFeatures: num_frequencies is {num_frequencies}; it must be at least 1")
        require_memory(8 * num_frequencies, f"{num_frequencies} random frequencies", "set num_frequencies to less")
        self.register_buffer("frequencies", torch.randn(num_frequencies, 2) * scale)
        self._remembered: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, coordinates: Tensor) -> Tensor:
        """Encode coordinates (..., 2), in the precision of B but never below float32."""
        plain = _is_plain(coordinates)
        if plain and self._remembered is not None and self._applies(coordinates):
            return self._remembered[2]
        # Phases reach 2 pi * 30: half precision, also under autocast, would leave nothing of them.
        with torch.autocast("cpu" if coordinates.is_meta else coordinates.device.type, enabled=False):
            exact = torch.promote_types(self.frequencies.dtype, torch.float32)
            phases = 2 * math.pi * coordinates.to(exact) @ self.frequencies.to(exact).T
            features = torch.cat([phases.sin(), phases.cos()], dim=-1).to(self.frequencies.dtype)
        if plain and not torch.is_inference_mode_enabled():
            # Clones, so that a change in place of what we were given is noticed.
            self._remembered = (coordinates.detach().clone(), self.frequencies.clone(), features)
        return features

    def _applies(self, coordinates: Tensor) -> bool:
        assert self._remembered is not None
        if self._remembered[2]._version:  # the caller has written into what we returned
            return False
        return all(
            now.shape == then.shape and now.dtype == then.dtype and now.device == then.device and now.equal(then)
            for now, then in zip((coordinates, self.frequencies), self._remembered[:2], strict=True)
        )

    def __getstate__(self) -> dict[str, object]:
        """Copies and pickles start with an empty memory."""
        return {**self.__dict__, "_remembered": None}


def _is_plain(coordinates: Tensor) -> bool:
    """Whether nothing is differentiated with respect to the coordinates, mapped over them, or written down.

    Whoever records functions is to see them all: the features of an image are a hundred times as large as what they
    are computed from.
    """
    return not (
        coordinates.requires_grad
        or torch._C._len_torch_function_stack()
        or torch._C._are_functorch_transforms_active()
        or forward_ad.unpack_dual(coordinates).tangent is not None
    )


class TimeEncoding(nn.Module):
    """[sin, cos](t * base_k) of times t (B,), base_k = base**k * pi: (B, 2 * levels), float64.

    The bases grow to 1.4e8 in the paper's network, where neighbouring float32 numbers are 8 apart: another
    rounding would decode trained weights wrongly. They are therefore computed in float32 exactly as in the
    published code, and saved with the weights as bit patterns, which neither another machine nor a trainer's
    precision changes; time, product and sine are float64.

    Args:
        levels: Number of frequencies.
        base: Ratio of one frequency to the one before.
    """

    bits: Tensor

    def __init__(self, levels: int = 80, base: float = 1.25) -> None:
        super().__init__()
        if not 0 < base < math.inf:
            raise ValueError(f"TimeEncoding: base is {base}; it must be positive")
        # Spelt out, or a double default type would round differently.
        bases = base ** torch.arange(levels, dtype=torch.float32, device="cpu") * math.pi
        finite = bases.isfinite()
        if not bool(finite.all()):
            most = int(finite.sum())
            raise ValueError(
                f"TimeEncoding: levels is {levels} with base {base:g}, whose powers overflow after {most}; "
                f"set levels to {most} or less, or base to less"
            )
        self.register_buffer("bits", bases.view(torch.int32))

    def forward(self, time: Tensor) -> Tensor:
        """Encode times (B,), which should be float64."""
        # Apple's GPUs know no float64; a few numbers are as quickly encoded on the CPU.
        device = torch.device("cpu") if time.device.type == "mps" else time.device
        bases = self.bits.to(device).view(torch.float32).to(torch.float64)
        phases = time.to(device, torch.float64)[:, None] * bases
        return torch.cat([phases.sin(), phases.cos()], dim=-1)


class PositionalEncoding(nn.Module):
    """[sin(2^l pi x), cos(2^l pi x)], l = 0 .. levels - 1, of coordinates x (..., 2): (..., 4 * levels).

    NeRF's encoding (Mildenhall et al. 2020, Eq. 4): for each coordinate, sine and cosine of every level in turn.

    Args:
        levels: Number of frequencies.
    """

    def __init__(self, levels: int = 8) -> None:
        super().__init__()
        if not 1 <= levels <= _MAX_LEVELS:
            raise ValueError(
                f"PositionalEncoding: levels is {levels}; give 1 to {_MAX_LEVELS}, which is finer than pixels"
            )
        self.levels = levels

    def forward(self, coordinates: Tensor) -> Tensor:
        """Encode coordinates (..., 2), in their precision."""
        frequencies = math.pi * 2.0 ** torch.arange(self.levels, dtype=coordinates.dtype, device=coordinates.device)
        phases = coordinates[..., None] * frequencies
        return torch.stack([phases.sin(), phases.cos()], dim=-1).flatten(-3)


_MAX_LEVELS = 16
