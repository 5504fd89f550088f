"""What the default run's callbacks cost, over the same run without them.

python benchmarks/callbacks.py [--rounds 3] [--epochs 300] [--data.. words of fit ...]

Trains `nerv.yaml` in processes of their own, one after another in each round: without callbacks that dissect, with the
recorder alone, with everything but UMAP, with everything. Prints processor time of all threads and time on the clock,
each over that of the run without, medians over rounds. Processor time does not depend on what else a machine does, and
is what a machine without idle cores sees; what the thread that writes takes is in it, and not in the clock's where a
core is idle.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

BASE = Path(__file__).parents[1] / "configs/nerv.yaml"
CASES = ("without", "recorder alone", "all but UMAP", "as shipped")


def callbacks_of(case: str) -> list[dict[str, object]]:
    """The callbacks of the shipped configuration that a case has."""
    described: list[dict[str, object]] = yaml.safe_load(BASE.read_text())["trainer"]["callbacks"]
    names = [str(each["class_path"]).rpartition(".")[2] for each in described]
    plain = {"LastCheckpoint", "ModelCheckpoint"}
    wanted = {
        "without": plain,
        "recorder alone": plain | {"CanvasRecorder"},
        "all but UMAP": set(names) - {"NeuronUMAP"},
        "as shipped": set(names),
    }[case]
    return [each for each, name in zip(described, names, strict=True) if name in wanted]


def run(case: str, epochs: int, words: list[str], folder: Path) -> tuple[float, float, int, int]:
    """Processor seconds, seconds on the clock, files and bytes below ``xinc/`` of one run."""
    config = folder / "case.yaml"
    config.write_text(yaml.safe_dump({"trainer": {"callbacks": callbacks_of(case), "max_epochs": epochs}}))
    command = [sys.executable, "-m", "xinc_pl", "fit", "--config", "nerv", "--config", str(config), *words]
    environment = os.environ | {"PYTHONPATH": str(BASE.parents[1])}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files = [file for file in folder.rglob("xinc/**/*") if file.is_file()]
    return processor, seconds, len(files), sum(file.stat().st_size for file in files)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    options, words = parser.parse_known_args()
    cases = ["without", *(case for case in options.cases if case != "without")]
    measured: dict[str, list[tuple[float, float, int, int]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                measured[case].append(run(case, options.epochs, words, Path(folder)))
            processor, seconds, number, size = measured[case][-1]
            print(f"{case}: {processor:.1f} s of processors, {seconds:.1f} s, {number} files, {size / 1e6:.1f} MB")
    for case in cases[1:]:
        pairs = list(zip(measured[case], measured["without"], strict=True))
        shares = [[100 * (mine[place] / plain[place] - 1) for mine, plain in pairs] for place in (0, 1)]
        text = ", ".join(
            f"{what} {statistics.median(share):+.1f} % ({min(share):+.1f} to {max(share):+.1f})"
            for what, share in zip(("processors", "clock"), shares, strict=True)
        )
        print(f"{case}, median of {options.rounds}: {text}")


if __name__ == "__main__":
    main()
