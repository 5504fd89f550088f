"""Points of many dimensions laid out in a plane by UMAP."""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache

import numpy as np
import numpy.typing as npt
import torch

Points = npt.NDArray[np.float64]

MIN_POINTS = 8
"""Fewer have no neighbourhoods that could be laid out."""
_SHORT = 100
"""Epochs of UMAP from a layout that is almost right: more, or larger steps, would tear it apart."""
_GENTLE = 0.3
_MOST_COMPARED = 4096
"""Fewer points are all compared to find neighbours. Among more, UMAP searches."""


def umap_plane(points: Points, num_neighbours: int, seed: int = 0, start: Points | None = None) -> Points:
    """Lay points out by UMAP (min_dist 0.1, Euclidean), reproducibly and in one thread.

    Args:
        points: (M, K), at least ``MIN_POINTS`` of them.
        num_neighbours: Of each point; at most M - 1 are taken.
        seed: Of UMAP.
        start: Where to start, (M, 2), so that the layout stays similar to this one. By default anew.

    Returns:
        (M, 2), without a unit.

    Raises:
        ValueError: Too few points, or some are not finite.
    """
    if len(points) < MIN_POINTS:
        raise ValueError(f"there are {len(points)} points; a layout takes {MIN_POINTS} at least")
    if not np.isfinite(points).all():
        raise ValueError("some of the points are NaN or infinite; leave them out")
    options: dict[str, object] = {"init": start, "n_epochs": _SHORT, "learning_rate": _GENTLE}
    if start is None:
        # The spectral start needs clearly more points than dimensions.
        options = {"init": "spectral" if len(points) > 50 else "random"}
    count = min(num_neighbours, len(points) - 1)
    with _well_behaved():
        import umap  # takes two seconds

        _keep_compiled_code()
        if len(points) < _MOST_COMPARED:
            # UMAP would call a function for each pair: nine tenths of its time.
            options["precomputed_knn"] = _neighbours(points, count)
        reducer = umap.UMAP(n_neighbors=count, min_dist=0.1, metric="euclidean", random_state=seed, n_jobs=1, **options)
        return np.asarray(reducer.fit_transform(points), dtype=np.float64)


def aligned_planes(
    points: Sequence[Points], relations: Sequence[Mapping[int, int]], num_neighbours: int, seed: int = 0
) -> list[Points]:
    """Lay several sets of points out together, so that a point that is in two of them stays where it is.

    Args:
        points: (M, K) each.
        relations: For each set and the next: which row of the one is which of the other.
        num_neighbours: Of each point; at most M - 1 of the smallest set are taken.
        seed: Of UMAP.
    """
    count = min(num_neighbours, *(len(each) - 1 for each in points))
    with _well_behaved():
        from umap.aligned_umap import AlignedUMAP

        reducer = AlignedUMAP(n_neighbors=count, min_dist=0.1, metric="euclidean", random_state=seed, n_epochs=_SHORT)
        planes = reducer.fit_transform(list(points), relations=[dict(each) for each in relations])
    return [np.asarray(each, dtype=np.float64) for each in planes]


def moved_onto(points: Points, others: Points, rows: npt.NDArray[np.int64]) -> Points:
    """Turn, scale and shift a layout, which has no meaning in UMAP, so that some points come close to given places.

    Args:
        points: (M, 2).
        others: Where points ``rows`` were, (n, 2).
        rows: int64 (n,).
    """
    centre, target = points[rows].mean(0), others.mean(0)
    one, other = points[rows] - centre, others - target
    left, _, right = np.linalg.svd(one.T @ other)
    # Of equal spread, rather than closest: unrelated layouts would shrink.
    size, wanted = np.linalg.norm(one), np.linalg.norm(other)
    scale = wanted / size if size > 0 and wanted > 0 else 1.0
    moved: Points = (points - centre) @ (left @ right) * scale + target
    return moved


def _neighbours(points: Points, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The nearest points of each, itself first, and how far they are: (M, count) both."""
    from scipy.spatial.distance import cdist

    distances = cdist(points, points)
    np.fill_diagonal(distances, -1)  # before those that are in the same place
    nearest = distances.argsort(axis=1, kind="stable")[:, :count]
    found = np.take_along_axis(distances, nearest, 1)
    return nearest, found.clip(0).astype(np.float32)


@cache
def _keep_compiled_code() -> None:
    """Let numba keep on the disk what it compiles of UMAP, as it keeps ours: eight seconds once, not in every run."""
    from numba.core.dispatcher import Dispatcher

    modules = [module for name, module in sys.modules.items() if name == "umap" or name.startswith("umap.")]
    functions = [each for module in modules for each in vars(module).values() if isinstance(each, Dispatcher)]
    # The cache tells functions apart by their code alone. Of what is compiled both ways, only what takes one thread is
    # kept: layouts of a seed would come from the code that gives others every time.
    by_code = {
        each.py_func: each for each in sorted(functions, key=lambda each: not each.targetoptions.get("parallel"))
    }
    for function in by_code.values():
        with suppress(RuntimeError):  # no folder for the cache can be written to
            function.enable_caching()


@contextmanager
def _well_behaved() -> Iterator[None]:
    """Keep UMAP from talking, and from leaving its number of threads behind, which is torch's as well."""
    num_threads = torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it runs in one thread, and that TensorFlow is not there
            yield
    finally:
        torch.set_num_threads(num_threads)
