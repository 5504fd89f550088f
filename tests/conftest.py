"""What several tests need."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor, from_numpy

from xinc_pl.callbacks.desk import BackgroundDesk, PlainDesk

pytest.register_assert_rewrite("statistics_checks", "effect_oracle", "oracle")

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors are tiny here, and several threads on busy cores mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # for the processes that tests start
        yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def drawn_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn in this process, where another one would have to be started, but where that is the matter."""
    if request.path.stem != "test_drawing_process":
        monkeypatch.setattr(BackgroundDesk, "printing", PlainDesk.printing)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come last."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Tensor]]:
    """Read numbers that the published code gives: ``golden("ffn_small")["output"]``."""

    def read(name: str) -> dict[str, Tensor]:
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            return {key: from_numpy(np.array(value)) for key, value in arrays.items()}

    return read


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs that the command line has left in ``lightning_logs``: see ``RUNS`` in ``tiny``."""
    from tiny import RUNS

    from xinc_pl.cli import main

    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["xinc"])
        for words in RUNS:
            main(["fit", *words])
    return folder


@pytest.fixture(scope="session")
def reference_ssim() -> Callable[[Tensor, Tensor], float]:
    """Mean SSIM of frames (B, 3, H, W), by scikit-image: window of 11, sigma 1.5, borders mirrored."""

    def ssim(prediction: Tensor, target: Tensor) -> float:
        values = [
            structural_similarity(
                # scikit-image leaves out a border, torchmetrics mirrors what lies inside of it.
                *(np.pad(frame.double().numpy(), ((0, 0), (5, 5), (5, 5)), mode="reflect") for frame in pair),
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                channel_axis=0,
            )
            for pair in zip(prediction, target, strict=True)
        ]
        return float(np.mean(values))

    return ssim


@pytest.fixture
def no_warnings() -> Iterator[None]:
    """A warning fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
