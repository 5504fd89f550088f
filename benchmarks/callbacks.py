"""What the default run's callbacks cost, over the same run without them.

python benchmarks/callbacks.py [--rounds 3] [--epochs 300] [--data.. words of fit ...]

Trains `nerv.yaml` in processes of their own: without callbacks that dissect, with the recorder alone, with everything
but UMAP, with everything. Those of a round take turns of ten seconds, while the others are stopped, for the same
training takes up to a seventh longer a minute later; the clock of each runs during its own turns. Prints processor time
of all threads and time on the clock, each over that of the run without, medians over rounds. Processor time does not
depend on what else a machine does, and is what a machine without idle cores sees; what the thread that writes takes is
in it, and not in the clock's where a core is idle.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

BASE = Path(__file__).parents[1] / "configs/nerv.yaml"
_TURN = 10.0
"""Seconds. As often as a run writes its last checkpoint: it does not write it more often by taking turns."""
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


@dataclass
class Training:
    """A run of one case, which can be stopped and goes on.

    Attributes:
        folder: Where it runs.
        process: Its process, of which it has a group.
        seconds: On the clock, during its turns.
        processor: Seconds of all its threads and processes, once it has ended.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    seconds: float = 0.0
    processor: float = 0.0

    @classmethod
    def begin(cls, case: str, epochs: int, words: list[str], folder: Path) -> "Training":
        """Start it, and stop it at once."""
        folder.mkdir()
        config = folder / "case.yaml"
        config.write_text(yaml.safe_dump({"trainer": {"callbacks": callbacks_of(case), "max_epochs": epochs}}))
        command = [sys.executable, "-m", "xinc_pl", "fit", "--config", "nerv", "--config", str(config), *words]
        environment = os.environ | {"PYTHONPATH": str(BASE.parents[1])}
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=quiet, stderr=quiet, start_new_session=True
        )
        os.killpg(process.pid, signal.SIGSTOP)
        return cls(folder, process)

    def take_turn(self, seconds: float) -> bool:
        """Go on for a while; whether it has ended by then."""
        start = time.perf_counter()
        os.killpg(self.process.pid, signal.SIGCONT)
        while (now := time.perf_counter()) < start + seconds:
            ended, status, used = os.wait4(self.process.pid, os.WNOHANG)
            if ended:
                self.processor = used.ru_utime + used.ru_stime
                if status:
                    raise RuntimeError(f"the training in {self.folder} has failed")
                break
            time.sleep(0.01)
        else:
            os.killpg(self.process.pid, signal.SIGSTOP)
        self.seconds += now - start
        return bool(ended)

    def written(self) -> tuple[int, int]:
        """Files and bytes below ``xinc/``."""
        files = [file for file in self.folder.rglob("xinc/**/*") if file.is_file()]
        return len(files), sum(file.stat().st_size for file in files)


def side_by_side(cases: list[str], epochs: int, words: list[str], folder: Path) -> dict[str, Training]:
    """One run of each case, in turns."""
    trainings: dict[str, Training] = {}
    try:
        for case in cases:
            trainings[case] = Training.begin(case, epochs, words, folder / case.replace(" ", "_"))
        remaining = list(trainings.values())
        while remaining:
            remaining = [training for training in remaining if not training.take_turn(_TURN)]
    finally:
        for training in trainings.values():
            with suppress(ProcessLookupError):
                os.killpg(training.process.pid, signal.SIGKILL)
    return trainings


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    options, words = parser.parse_known_args()
    cases = ["without", *(case for case in options.cases if case != "without")]
    measured: dict[str, list[tuple[float, float]]] = {case: [] for case in cases}
    for number_of_round in range(options.rounds):
        first = number_of_round % len(cases)
        in_order = [*cases[first:], *cases[:first]]
        with tempfile.TemporaryDirectory() as folder:
            for case, training in side_by_side(in_order, options.epochs, words, Path(folder)).items():
                measured[case].append((training.processor, training.seconds))
                number, size = training.written()
                print(
                    f"{case}: {training.processor:.1f} s of processors, {training.seconds:.1f} s, {number} files, "
                    f"{size / 1e6:.1f} MB",
                    flush=True,
                )
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
