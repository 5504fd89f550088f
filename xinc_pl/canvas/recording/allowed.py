"""Functions that a recording on disk may name: they compute tensors of tensors, and do nothing else.

What reads or writes files, runs programs, takes Python functions, draws random numbers, or reaches beyond a tensor's
memory is not among them. A file's words are only ever looked up here.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.nn import functional as F

Function = Callable[..., Any]

_BOTH = """
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr adjoint all amax amin aminmax angle any arccos
arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort argwhere as_strided asin asinh atan atan2 atanh
baddbmm bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm broadcast_to ceil
chunk clamp clamp_max clamp_min clip clone conj conj_physical copysign cos cosh count_nonzero cross cummax cummin
cumprod cumsum deg2rad det detach diag diag_embed diagflat diagonal diagonal_scatter diff digamma dist div divide dot
dsplit eq erf erfc erfinv exp exp2 expm1 fix flatten flip fliplr flipud float_power floor floor_divide fmax fmin fmod
frac gather ge ger greater greater_equal gt hardshrink heaviside hsplit hypot i0 index_add index_copy index_fill
index_put index_select inner inverse isclose isfinite isinf isnan isneginf isposinf isreal kron kthvalue ldexp le lerp
less less_equal lgamma log log10 log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp logical_and logical_not
logical_or logical_xor logit logsumexp lt masked_fill masked_scatter masked_select matmul matrix_exp matrix_power max
maximum mean median min minimum mm moveaxis movedim mul multiply mv nan_to_num nanmean nansum narrow ne neg negative
nonzero norm not_equal numel outer permute pinverse positive pow prelu prod quantile rad2deg ravel reciprocal relu
remainder renorm repeat_interleave reshape resolve_conj resolve_neg roll rot90 round rsqrt scatter scatter_add
scatter_reduce select select_scatter sgn sigmoid sign signbit sin sinc sinh slice_scatter softmax sort
split split_with_sizes sqrt square squeeze std sub subtract sum swapaxes swapdims t take take_along_dim tan tanh
tensor_split tile topk trace transpose tril triu true_divide trunc unbind unflatten unique unsafe_chunk unsafe_split
unsqueeze var vdot vsplit where xlogy
"""
"""In torch, and methods of its tensors."""

_TORCH = """
_weight_norm adaptive_avg_pool1d affine_grid_generator arange as_tensor asarray atleast_1d atleast_2d atleast_3d
avg_pool1d batch_norm bilinear block_diag broadcast_tensors bucketize cartesian_prod cat cdist celu celu_
channel_shuffle column_stack complex concat concatenate constant_pad_nd conv1d conv2d conv3d conv_transpose1d
conv_transpose2d conv_transpose3d convolution cosine_similarity dropout dstack einsum embedding empty empty_like eye
full full_like gradient grid_sampler grid_sampler_2d grid_sampler_3d group_norm hann_window hamming_window hstack
imag instance_norm layer_norm linspace logspace max_pool1d max_pool2d max_pool3d meshgrid ones ones_like
pairwise_distance pixel_shuffle pixel_unshuffle polar real rms_norm row_stack rsub scalar_tensor searchsorted selu
selu_ stack std_mean tensor tensordot trapezoid trapz tril_indices triu_indices unravel_index var_mean view_as_complex
view_as_real vstack zeros zeros_like relu_ threshold threshold_ rad2deg_ exp_ sigmoid_ sin_ cos_ tanh_ sqrt_ square_
"""

_TENSOR = """
__add__ __and__ __div__ __eq__ __floordiv__ __ge__ __getitem__ __gt__ __invert__ __le__ __lshift__ __lt__ __matmul__
__mod__ __mul__ __ne__ __neg__ __or__ __pow__ __radd__ __rand__ __rdiv__ __rfloordiv__ __rlshift__ __rmatmul__
__rmod__ __rmul__ __ror__ __rpow__ __rrshift__ __rshift__ __rsub__ __rtruediv__ __rxor__ __sub__ __truediv__ __xor__
__abs__ __pos__ __reversed__ bfloat16 bool byte cdouble cfloat char contiguous cpu double expand expand_as float half
int long new_empty new_full new_ones new_tensor new_zeros repeat requires_grad_ reshape_as short sum_to_size to
type_as unfold view view_as
"""

_IN_PLACE = """
__iadd__ __iand__ __idiv__ __ifloordiv__ __imod__ __imul__ __ior__ __ipow__ __isub__ __itruediv__ __ixor__
__setitem__ abs_ add_ addbmm_ addcdiv_ addcmul_ addmm_ addmv_ addr_ asin_ atan_ baddbmm_ ceil_ clamp_ clamp_max_
clamp_min_ clip_ copy_ cos_ cosh_ cumprod_ cumsum_ detach_ div_ divide_ erf_ erfc_ exp_ exp2_ expm1_ fill_
fill_diagonal_ floor_ floor_divide_ fmod_ frac_ index_add_ index_copy_ index_fill_ index_put_ lerp_ log_ log10_ log1p_
log2_ logical_and_ logical_not_ logical_or_ masked_fill_ masked_scatter_ mul_ multiply_ nan_to_num_ neg_ pow_
reciprocal_ relu_ remainder_ round_ rsqrt_ scatter_ scatter_add_ scatter_reduce_ sgn_ sigmoid_ sign_ sin_ sinc_ sinh_
sqrt_ square_ squeeze_ sub_ subtract_ t_ tan_ tanh_ transpose_ tril_ triu_ true_divide_ trunc_ unsqueeze_ xlogy_ zero_
"""

_FUNCTIONAL = """
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d affine_grid alpha_dropout avg_pool1d avg_pool2d avg_pool3d
batch_norm bilinear celu celu_ conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
cosine_similarity dropout dropout1d dropout2d dropout3d elu elu_ embedding feature_alpha_dropout fold gelu glu
grid_sample group_norm hardshrink hardsigmoid hardswish hardtanh hardtanh_ instance_norm interpolate layer_norm
leaky_relu leaky_relu_ linear local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d lp_pool3d max_pool1d
max_pool2d max_pool3d mish normalize one_hot pad pairwise_distance pixel_shuffle pixel_unshuffle prelu relu relu6
relu_ rms_norm rrelu scaled_dot_product_attention selu selu_ sigmoid silu softmax softmin softplus softshrink softsign
tanh tanhshrink threshold threshold_ unfold upsample
"""

_SPECIAL = """
bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma entr erf erfc erfcx erfinv exp2 expit expm1 gammaln i0 i0e i1 i1e
log1p log_ndtr log_softmax logit logsumexp ndtr ndtri psi round sinc softmax xlog1py xlogy zeta
"""

_FOURIER = """
fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft rfft2 rfftfreq rfftn
"""

_LINALG = """
cross det diagonal householder_product inv matmul matrix_exp matrix_norm matrix_power norm qr solve solve_triangular
vecdot vector_norm
"""

_PROPERTIES = "H T data imag mH mT real"
"""Of tensors."""

_PLACES: tuple[tuple[str, Any, str], ...] = (
    ("torch", torch, _TORCH + _BOTH),
    ("torch.Tensor", torch.Tensor, _TENSOR + _BOTH + _IN_PLACE),
    ("torch.nn.functional", F, _FUNCTIONAL),
    ("torch.special", torch.special, _SPECIAL),
    ("torch.fft", torch.fft, _FOURIER),
    ("torch.linalg", torch.linalg, _LINALG),
)


def _table() -> Iterator[tuple[str, Function]]:
    for place, home, names in _PLACES:
        for name in names.split():
            function = getattr(home, name, None)  # not every version of torch has all of them
            if callable(function):
                yield f"{place}.{name}", function
    for name in _PROPERTIES.split():
        yield f"torch.Tensor.{name}", getattr(torch.Tensor, name).__get__


FUNCTIONS: Mapping[str, Function] = dict(_table())
"""Functions by their public names."""

NAMES: Mapping[Function, str] = {function: name for name, function in reversed(list(FUNCTIONS.items()))}
"""Their names; the first where there are several."""

UNFILLED = frozenset({"empty", "empty_like", "new_empty"})
"""Functions, by the last part of their names, whose result holds what happened to be in the memory."""
