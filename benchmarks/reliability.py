"""Bad input, kind by kind, and how each ended: a table for docs/reliability.md.

    python benchmarks/reliability.py [KIND ...]

Every command runs in this process, in an empty folder. Right is: exit code 2, one line on stderr, nothing left behind.
Every call from code has to raise a ``ValueError`` (or Lightning's ``MisconfigurationException``). Another kind is
another entry of ``KINDS``; what does not end so is printed below the table.
"""

import contextlib
import io
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from PIL import Image

import xinc_pl
from xinc_pl.cli import main

QUICK = [
    *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.callbacks", "null"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
]
VIDEO = [
    *("fit", "--config", "nerv", "--data.size", "[16, 32]", "--data.num_frames", "4"),
    *("--model.network.strides", "[2, 2]", "--model.network.width", "7", "--model.network.levels", "6", *QUICK),
]
IMAGE = [
    *("fit", "--config", "ffn", "--data.size", "[16, 32]", "--data.steps_per_epoch", "2"),
    *("--model.network.num_frequencies", "6", "--model.network.widths", "[10, 8]", *QUICK),
]

End = Literal["refused", "ran", "wrong"]


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended, and what it said."""

    end: End
    said: str


@dataclass(frozen=True)
class Kind:
    """Bad inputs of one kind: words of the command line, or calls from code."""

    name: str
    attempts: Sequence[Sequence[str] | Callable[[], object]]


def video(*words: str) -> list[str]:
    """A short training on a video, with something wrong."""
    return [*VIDEO, *words]


def image(*words: str) -> list[str]:
    """A short training on an image, with something wrong."""
    return [*IMAGE, *words]


def callback(name: str, **arguments: str) -> list[str]:
    """A short training on a video with a callback that is asked for something wrong."""
    given = [word for key, value in arguments.items() for word in (f"--trainer.callbacks.{key}", value)]
    return video("--trainer.callbacks", name, *given)


def each(option: str, *values: str) -> list[list[str]]:
    """One option of a video's training with several values."""
    return [video(option, value) for value in values]


def command_outcome(words: Sequence[str]) -> Outcome:
    """Run a command in an empty folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                main(list(words))
                code: object = 0
            except SystemExit as exit_:
                code = exit_.code
            except Exception as error:
                code = f"{type(error).__name__}: {error}"
        left = sorted(str(path) for path in Path().rglob("*"))
        lines = [line for line in err.getvalue().splitlines() if line.strip() and not line.startswith("Seed set to")]
    if code == 0:
        return Outcome("ran", "")
    is_right = code == 2 and len(lines) == 1 and lines[0].startswith("xinc: error: ") and not left
    said = lines[-1].removeprefix("xinc: error: ") if lines else str(code)
    if is_right:
        return Outcome("refused", said)
    return Outcome("wrong", f"exit {code}, {len(lines)} lines, left {left}: {said}")


def call_outcome(call: Callable[[], object]) -> Outcome:
    """Call something that has to raise a ValueError."""
    try:
        call()
    except (ValueError, MisconfigurationException) as error:
        return Outcome("refused", str(error))
    except Exception as error:
        return Outcome("wrong", f"{type(error).__name__}: {error}")
    return Outcome("ran", "")


def made_inputs(folder: Path) -> dict[str, str]:
    """Files that are wrong, by name."""
    contents: dict[str, bytes] = {
        "list.yaml": b"- a\n- b\n",
        "empty.yaml": b"",
        "comment.yaml": b"# nothing\n",
        "text.yaml": b"just text",
        "broken.yaml": b"a: [1\nb: }",
        "tab.yaml": b"a: 1\n\tb: 2",
        "latin1.yaml": "# é\ntrainer: {max_epochs: 3}".encode("latin-1"),
        "binary.yaml": bytes(range(256)),
        "alias.yaml": b"trainer: &a {x: *a}",
        "tag.yaml": b"model: !!python/object/apply:os.getcwd []",
        "theirs.yaml": b"nc: 80\nnames: [cat, dog]\n",
        "similar.yaml": b"modle: {class_path: VideoINR}\n",
        "number.yaml": b"trainer: 5\n",
        "type.yaml": b"trainer: {max_epochs: many}\n",
        "nested.yaml": b"model: {class_path: VideoINR, init_args: {network: {class_path: NeRV, init_args: {wdth: 7}}}}",
        "rich.yaml": b"trainer: {callbacks: [{class_path: lightning.pytorch.callbacks.RichProgressBar}]}",
        "text.png": b"no image",
        "empty.png": b"",
        "clip.mp4": b"no video",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in contents}


def frame(**changes: object) -> Callable[[], object]:
    """A Frame with something wrong."""
    arguments = {"index": 0, "inputs": torch.zeros(1), "size": (2, 3), "target": torch.zeros(3, 2, 3)} | changes
    return lambda: xinc_pl.Frame(**arguments)  # type: ignore[arg-type] # that is the point


def made_clips(folder: Path) -> dict[str, str]:
    """Frames, masks and flow, of which something is wrong, by name."""
    generator = np.random.default_rng(0)
    names = ("frames", "unreadable", "fewer", "smaller", "cut_off", "photographs", "jpegs", "palette", "flow", "void")
    for name in names:
        (folder / name).mkdir()
        for index in range(4):
            file = folder / name / f"{index}.png"
            pixels = generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            labels = Image.fromarray(np.tri(64, dtype=np.uint8))
            picture = Image.fromarray(pixels) if name in ("frames", "unreadable", "photographs") else labels
            picture.save(file)
    (folder / "unreadable/2.png").write_bytes((folder / "unreadable/2.png").read_bytes()[:500])
    (folder / "fewer/3.png").unlink()
    Image.new("L", (8, 8)).save(folder / "smaller/2.png")
    (folder / "cut_off/1.png").write_bytes((folder / "cut_off/1.png").read_bytes()[:60])
    for index in range(4):
        Image.new("L", (64, 64), 1).save(folder / f"jpegs/{index}.jpg")
        (folder / f"jpegs/{index}.png").unlink()
        Image.new("P", (64, 64), 1).save(folder / f"palette/{index}.png")
        Image.new("L", (64, 64)).save(folder / f"void/{index}.png")
        (folder / f"flow/{index}.png").unlink()
        np.save(folder / f"flow/{index}.npy", np.zeros((2, 8, 8)))
    annotations = [{"file_name": f"{index}.png", "segments_info": []} for index in range(4)]
    (folder / "panoptic.json").write_text(json.dumps({"categories": [], "annotations": annotations}))
    (folder / "instances.json").write_text(json.dumps({"categories": [], "annotations": [{"bbox": []}]}))
    return {name: str(folder / name) for name in (*names, "panoptic.json", "instances.json")}


def masks(clips: dict[str, str], name: str, *words: str) -> list[str]:
    """A short training on frames with masks, of which something is wrong."""
    return video("--data", "Video", "--data.path", clips["frames"], "--data.masks", clips.get(name, name), *words)


def kinds(folder: Path) -> list[Kind]:
    """All kinds. Add yours here."""
    files, clips = made_inputs(folder), made_clips(folder)
    Image.new("RGB", (40, 30)).save(folder / "photo.png")
    configs = [files[name] for name in files if name.endswith(".yaml")]
    return [
        Kind("subcommands", [[], ["fti"], ["tune"], ["comapre"], ["--fit"], ["fit"], ["validate"], ["fit", "extra"]]),
        Kind(
            "options that do not exist",
            [
                *(
                    video(word, "3")
                    for word in ("--trainer.max_epoch", "--nonsense", "--data.sed", "--model.network.levelz")
                ),
                *(video("--model.network", name) for name in ("Nerv", "nowhere.Net", "torch.nn.functional.relu")),
                *(video("--model", name) for name in ("VideoINRR", "FFN", "3", "[1]")),
                *(video("--data", name) for name in ("Colage", "NeRV", "xinc_pl.data.Nope", "[1]")),
                *(video("--trainer.callbacks", name) for name in ("ModelChekpoint", "5", "[5]", "RichProgressBar")),
                *(["fit", "--config", name] for name in ("nevr", "ffn.yml", "paper")),
            ],
        ),
        Kind(
            "values of the wrong type",
            [
                *each("--model.lr", "abc", "nan", "", "[1]"),
                *each("--model.betas", "[0.9]", "abc"),
                *each("--model.schedule", "cosine", "null"),
                *each("--model.network.strides", "abc", "[2.5, 2]", "4"),
                *each("--model.network.width", "7.5", "wide"),
                *each("--data.size", "16", "[16]", "[16, x]", "[16, 32, 3]", "null"),
                *each("--data.num_frames", "abc", "1.5"),
                *each("--trainer.max_epochs", "abc", "-5"),
                *each("--trainer.precision", "17"),
                *each("--trainer.devices", "abc", "0"),
                *each("--trainer.accelerator", "gppu"),
                *each("--seed_everything", "abc", "1.5"),
            ],
        ),
        Kind(
            "values out of range",
            [
                *each("--model.lr", "-1", "0", ".inf"),
                *each("--model.betas", "[2, 0.9]", "[0.9, 1.0]", "[.nan, 0.9]"),
                *each("--model.network.strides", "[]", "[0, 2]", "[3, 2]"),
                *each("--model.network.width", "-3", "0"),
                *each("--data.size", "[-16, 32]", "[0, 0]"),
                *each("--data.num_frames", "0", "-1"),
                *each("--data.batch_size", "0"),
                *each("--data.seed", "-1", "99999999999999999999"),
                *each("--seed_everything", "-1", "99999999999"),
                *each("--trainer.max_epochs", "0"),
                *each("--trainer.check_val_every_n_epoch", "0", "-1"),
                *each("--trainer.accumulate_grad_batches", "0"),
                *each("--trainer.val_check_interval", "100"),
                *each("--trainer.gradient_clip_val", "-1"),
                *each("--trainer.limit_train_batches", "0", "-1"),
            ],
        ),
        Kind("configuration files", [video("--config", path) for path in configs]),
        Kind(
            "sizes beyond the memory",
            [
                *each("--data.size", "[100000, 200000]"),
                *each("--data.num_frames", "1000000000"),
                video("--model.network.width", "null", "--model.network.model_size", "1e15"),
                *each("--model.network.width", "1000000"),
                image("--data.size", "[9000, 9000]", "--model.network.num_frequencies", "104"),
                image("--model.network.widths", "[1000000, 1000000]"),
            ],
        ),
        Kind(
            "networks, data and losses that do not go together",
            [
                image("--model", "VideoINR"),
                video("--model", "ImageINR"),
                video("--data", "Image"),
                image("--model.network", "NeRV"),
                video("--model.network", "FFN"),
                image("--model.network.out_channels", "4"),
                video("--model.loss", "torch.nn.NLLLoss"),
                video("--model.loss", "torch.nn.Identity"),
                video("--model.loss", "torch.nn.MSELoss", "--model.loss.reduction", "none"),
                video("--model.loss", "L1SSIMLoss", "--data.size", "[8, 8]"),
                image("--model.loss", "torch.nn.BCELoss"),
            ],
        ),
        Kind(
            "encodings that overflow",
            [
                *each("--model.network.levels", "2000", "500"),
                *each("--model.network.base", "1e10", "0", "-2", ".nan"),
                image("--model.network.scale", "1e38"),
                image("--model.network.scale", "0"),
            ],
        ),
        Kind(
            "pictures and clips that are none",
            [
                *(
                    image("--data.image", name)
                    for name in ("gone.png", "astronot", files["text.png"], files["empty.png"])
                ),
                image("--data.image", str(folder)),
                *(video("--data", "Video", "--data.path", name) for name in ("gone", files["clip.mp4"])),
            ],
        ),
        Kind(
            "masks and flow",
            [
                *(
                    masks(clips, name)
                    for name in ("gone", "fewer", "smaller", "cut_off", "photographs", "jpegs", "flow", "void")
                ),
                *(
                    masks(clips, "palette", "--data.categories", clips[name])
                    for name in ("panoptic.json", "instances.json")
                ),
                *(masks(clips, "palette", "--data.categories", files[name]) for name in ("broken.yaml", "list.yaml")),
                masks(clips, "palette", "--data.categories", "gone.yaml"),
                *(masks(clips, "palette", "--data.label_divisor", value) for value in ("0", "1", "x")),
                *(masks(clips, "palette", "--data.flow", value) for value in ("gone", clips["frames"], clips["flow"])),
                masks(clips, "palette", "--data.flow", clips["flow"], "--data.every_n_frames", "2"),
                masks(clips, "palette", "--data.flow", clips["flow"], "--data.flow_direction", "back"),
                video("--data", "Video", "--data.path", clips["unreadable"]),
                video("--data", "Video", "--data.path", clips["frames"], "--data.categories", files["list.yaml"]),
                image("--data.masks", clips["palette"] + "/0.png"),
                image("--data.masks", "gone.png"),
            ],
        ),
        Kind(
            "datasets that are not there, or are something else",
            [
                *(video("--data", name) for name in ("CityscapesVPS", "VIPSeg")),
                *(
                    base("--data", name, "--data.root", str(folder))
                    for name in ("CityscapesVPS", "VIPSeg")
                    for base in (video, image)
                ),
                *(image("--data", name, "--data.frame", "-1") for name in ("CityscapesVPS", "VIPSeg")),
                *(video("--data", name, "--data.split", "all") for name in ("CityscapesVPS", "VIPSeg")),
                video("--data", "Clips", "--data.clip", "cats"),
            ],
        ),
        Kind(
            "what callbacks are asked for",
            [
                *(callback("ContributionCanvas", frames=value) for value in ("[0, 0]", "[9]", "[-1]", "[]", "abc")),
                *(callback("ContributionCanvas", layers=value) for value in ("head", "[haed]", "[]")),
                *(callback("ContributionCanvas", at_epochs=value) for value in ("[-3]", "[1.5]", "5")),
                callback("ContributionCanvas", every_n_epochs="0"),
                callback("ContributionCanvas", convention="papr"),
                callback("ContributionCanvas", seed="-1"),
                callback("ContributionCanvas", network="nett"),
                *(callback("GroupingVariance", grid=value) for value in ("[100, 100]", "[0, 4]", "[4]")),
                callback("GroupingVariance", partitions="[colour]"),
                callback("RepresentationSpread", mass="[2]"),
                callback("MotionContributions", min_motion=".nan"),
                callback("MotionContributions", frames="[0]"),
                callback("NeuronUMAP", n_neighbors="1"),
                callback("Faithfulness", num_neurons="1"),
                callback("CanvasEvolution", milliseconds="0"),
                callback("ReconstructionWriter", frames_per_second="0"),
                callback("ModelCheckpoint", monitor="val_loss"),
                callback("EarlyStopping"),
            ],
        ),
        Kind(
            "comparisons",
            [
                *(["compare", *words] for words in ([], ["a"], ["a", "b"], ["--nope"], ["a", "b", "--frame", "x"])),
                ["compare", "a", "b", "--seed", "-1"],
                ["compare", "a", "b", "--out", files["text.png"] + "/x"],
            ],
        ),
        Kind(
            "frames from code",
            [
                *(frame(index=value) for value in (-1, 1.5, None, "0")),
                *(frame(inputs=value) for value in (None, np.zeros(1), [0.0], {})),
                *(frame(size=value) for value in (None, (2,), (0, 3), (-2, 3), (2.0, 3.0), 2)),
                *(
                    frame(target=value)
                    for value in (np.zeros((3, 2, 3)), torch.zeros(3, 2, 3).int(), torch.zeros(3, 2, 4))
                ),
                *(frame(target=torch.full((3, 2, 3), value)) for value in (255.0, -0.5, float("nan"))),
                *(
                    frame(flow=value)
                    for value in (np.zeros((2, 2, 3)), torch.zeros(2, 3), torch.full((2, 2, 3), torch.nan))
                ),
                frame(instances=(torch.zeros(2, 3),)),
                lambda: xinc_pl.Instance(0, "car", True, np.zeros((2, 3))),  # type: ignore[arg-type]
            ],
        ),
        Kind(
            "callbacks and modules from code",
            [
                *(lambda it=it: xinc_pl.ContributionCanvas(frames=it) for it in (0, np.array([0]), [None], [0.5], "0")),
                *(lambda it=it: xinc_pl.ContributionCanvas(at_epochs=it) for it in (None, 3, [None], ["1"])),
                *(lambda it=it: xinc_pl.ContributionCanvas(num_neurons=it) for it in (None, 1.5, "16", True)),
                *(lambda it=it: xinc_pl.ImageINR(xinc_pl.FFN(), size=it) for it in (None, (16,), (-1, 2), "ab")),
                *(lambda it=it: xinc_pl.ImageINR(xinc_pl.FFN(), lr=it) for it in (None, "1", float("nan"))),
                lambda: xinc_pl.ImageINR(None),  # type: ignore[arg-type]
                lambda: xinc_pl.ImageINR(xinc_pl.FFN(), loss=torch.nn.functional.mse_loss),  # type: ignore[arg-type]
            ],
        ),
    ]


def report(results: Sequence[tuple[Kind, Sequence[Outcome]]]) -> str:
    """The table in Markdown, and what went wrong below it."""
    lines = ["| kind of bad input | tried | one line and nothing left | ran | otherwise | for example |"]
    lines.append("|---|---|---|---|---|---|")
    for kind, outcomes in results:
        ends = [outcome.end for outcome in outcomes]
        said = next((outcome.said for outcome in outcomes if outcome.end == "refused"), "").replace("|", "\\|")
        counts = (len(ends), ends.count("refused"), ends.count("ran"), ends.count("wrong"))
        lines.append(f"| {kind.name} | {' | '.join(map(str, counts))} | {said} |")
    for kind, outcomes in results:
        for attempt, outcome in zip(kind.attempts, outcomes, strict=True):
            if outcome.end != "refused":
                words = " ".join(attempt) if isinstance(attempt, list) else kind.name
                lines.append(f"\n{outcome.end}: {words}\n    {outcome.said}")
    return "\n".join(lines)


def run(names: Sequence[str]) -> None:
    """Try all kinds, or those named, and print the table."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    sys.argv = ["xinc"]  # Lightning warns if there are words besides those it is given
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for kind in kinds(Path(folder)):
            if not names or kind.name in names:
                outcomes = [call_outcome(it) if callable(it) else command_outcome(it) for it in kind.attempts]
                results.append((kind, outcomes))
                print(f"{kind.name}: {len(outcomes)}", file=sys.stderr, flush=True)
    print(report(results))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run(sys.argv[1:])
