"""A stranger's folder executes nothing."""

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn

from xinc_pl.cli import main
from xinc_pl.runs import RunError, load_run
from xinc_pl.training import L1SSIMLoss, VideoINR
from xinc_pl.trust import TrustError, known_class, make

NETWORK = {
    "class_path": "xinc_pl.models.NeRV",
    "init_args": {"size": [16, 32], "strides": [2, 2], "width": 7, "levels": 6},
}
PAYLOAD = """
from pathlib import Path
Path({marker!r}).touch()
import torch
class Network(torch.nn.Module):
    pass
class Data:
    pass
def function(**arguments) -> torch.nn.Module:
    return Network()
"""


@pytest.fixture
def folder(finished_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that may be spoilt, beside a module that leaves a file when it is imported; both where Python looks."""
    run = Path(shutil.copytree(finished_runs / "lightning_logs/version_0", tmp_path / "run"))
    for place in (tmp_path, run):
        (place / "payload.py").write_text(PAYLOAD.format(marker=str(tmp_path / "ran")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["xinc"])
    monkeypatch.syspath_prepend(str(tmp_path))
    yield run
    sys.modules.pop("payload", None)


def spoil(run: Path, *keys: str, value: object) -> None:
    file = run / "config.yaml"
    config: Any = yaml.safe_load(file.read_text())
    holder = config
    for key in keys[:-1]:
        holder = holder[key]
    holder[keys[-1]] = value
    file.write_text(yaml.safe_dump(config))


def refusal(run: Path) -> str:
    """The one line that refuses a run; nothing has run."""
    before = {*run.parent.rglob("*")}
    with pytest.raises(RunError) as error:
        load_run(run)
    after = {file for file in run.parent.rglob("*") if "__pycache__" not in file.parts}
    assert after <= before, "something ran"
    assert "payload" not in sys.modules
    assert "\n" not in str(error.value)
    return str(error.value)


SHELL = {"class_path": "os.popen", "init_args": {"cmd": "touch ran"}}
STRANGERS: dict[str, object] = {
    "os.popen": SHELL,
    "torch.fx.symbolic_trace": {"class_path": "torch.fx.symbolic_trace", "init_args": {"root": SHELL}},
    "payload.Network": {"class_path": "payload.Network"},
    "payload.function": {"class_path": "payload.function"},
    "run.payload.Network": {"class_path": "run.payload.Network"},
    "subprocess.Popen": {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "ran"]}},
    "builtins.exec": {"class_path": "builtins.exec"},
    "torch.nn.modules.module.functools.partial": {"class_path": "torch.nn.modules.module.functools.partial"},
    "torch.nn.modules.module.os.system": {"class_path": "torch.nn.modules.module.os.system"},
    "torch.nn.functional.relu": {"class_path": "torch.nn.functional.relu"},
    "torch.nn.Module.apply": {"class_path": "torch.nn.Module.apply"},
    "torch.nn.init.ones_": {"class_path": "torch.nn.init.ones_"},
    "torch.nn.utils.parametrize.register_parametrization": {
        "class_path": "torch.nn.utils.parametrize.register_parametrization"
    },
    "torch.nn.parallel.DistributedDataParallel": {"class_path": "torch.nn.parallel.DistributedDataParallel"},
    "torch.nn.DataParallel": {"class_path": "torch.nn.DataParallel", "init_args": {"module": NETWORK}},
    "torch.nn.Parameter": {"class_path": "torch.nn.Parameter"},
    "torch.hub.load": {"class_path": "torch.hub.load"},
    "torch.jit.load": {"class_path": "torch.jit.load", "init_args": {"f": "x"}},
    "torch.load": {"class_path": "torch.load", "init_args": {"f": "x"}},
    "torch.nn": {"class_path": "torch.nn"},
    "xinc_pl.cli.main": {"class_path": "xinc_pl.cli.main"},
    "xinc_pl.cli.importlib.import_module": {"class_path": "xinc_pl.cli.importlib.import_module"},
    "xinc_pl.runs.Path": {"class_path": "xinc_pl.runs.Path"},
    "xinc_pl.callbacks.ReconstructionWriter": {"class_path": "xinc_pl.callbacks.ReconstructionWriter"},
    "xinc_pl.payload.Network": {"class_path": "xinc_pl.payload.Network"},
    "xinc_pl..models.NeRV": {"class_path": "xinc_pl..models.NeRV"},
    "torch.nn.__builtins__": {"class_path": "torch.nn.__builtins__"},
    "torch.nn.modules.module._global_forward_hooks": {"class_path": "torch.nn.modules.module._global_forward_hooks"},
    "pytorch_lightning.demos.boring_classes.BoringModel": {
        "class_path": "pytorch_lightning.demos.boring_classes.BoringModel"
    },
    "a list": {"class_path": ["os.popen"]},
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("place", ["network", "loss"])
def test_what_is_not_known_is_never_made(stranger: dict[str, Any], place: str) -> None:
    description = {"class_path": "xinc_pl.training.VideoINR", "init_args": {"network": NETWORK, place: stranger}}
    with pytest.raises(TrustError) as error:
        make(description, LightningModule)
    assert repr(stranger["class_path"]) in str(error.value)


@pytest.mark.parametrize("base", [LightningModule, LightningDataModule])
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_not_even_as_the_model_or_the_data(stranger: object, base: Any) -> None:
    with pytest.raises(TrustError):
        make(stranger, base)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("model", "init_args", "loss"), STRANGERS["torch.fx.symbolic_trace"]),
        (("model", "init_args", "loss"), STRANGERS["payload.Network"]),
        (("model", "init_args", "network"), STRANGERS["payload.function"]),
        (("model", "init_args", "network", "init_args", "base"), STRANGERS["payload.function"]),
        (("model", "init_args", "betas"), [0.9, STRANGERS["payload.function"]]),
        (("model", "init_args", "loss"), {"class_path": "torch.nn.L1Loss", "dict_kwargs": {"reduction": SHELL}}),
        (("model",), STRANGERS["payload.Network"]),
        (("data",), STRANGERS["payload.function"]),
        (("data", "class_path"), "payload.Data"),
        # The parser of the command line would take words for classes, or for YAML that names some.
        (("model", "init_args", "network"), "payload.Network"),
        (("model", "init_args", "lr"), "{class_path: payload.Network}"),
        (("model", "init_args", "network", "init_args", "width"), "payload.Network"),
        (("data",), "payload.Data"),
        (("model",), "payload.Network"),
        (("data",), ["payload.Data"]),
    ],
    ids=range(15),
)
def test_a_hostile_configuration_runs_nothing(folder: Path, keys: tuple[str, ...], value: object) -> None:
    spoil(folder, *keys, value=value)
    assert "config.yaml" in refusal(folder)


def test_the_line_names_the_class_and_the_way_out(folder: Path) -> None:
    spoil(folder, "model", "init_args", "loss", value=STRANGERS["payload.Network"])
    message = refusal(folder)
    assert "'payload.Network' is not a class of xinc_pl, torch.nn or torch.optim" in message
    assert "--trust" in message


def test_the_trainer_and_everything_else_are_left_alone(folder: Path) -> None:
    spoil(folder, "trainer", value={"callbacks": [STRANGERS["payload.Network"]], "logger": SHELL, "plugins": SHELL})
    spoil(folder, "optimizer", value=SHELL)
    (folder / "hparams.yaml").write_text("a: !!python/object/apply:os.system ['touch ran']\n")
    load_run(folder)
    assert not (folder.parent / "ran").exists()
    assert "payload" not in sys.modules


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    "content", ["model: &a {init_args: *a}\n", "model: !!python/object/apply:os.system ['touch ran']\n"]
)
def test_yaml_that_never_ends_or_makes_objects_is_refused(folder: Path, content: str, trust: bool) -> None:
    (folder / "config.yaml").write_text(content)
    with pytest.raises(RunError, match=r"config.yaml cannot be read"):
        load_run(folder, trust=trust)
    assert not (folder.parent / "ran").exists()


class Touch:
    """Leaves a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("kind", ["archive", "legacy", "pickle"])
def test_a_hostile_checkpoint_runs_nothing(folder: Path, kind: str, trust: bool) -> None:
    file = folder / "checkpoints/last.ckpt"
    state = torch.load(file, weights_only=True)
    state["payload"] = Touch()
    if kind == "pickle":
        file.write_bytes(pickle.dumps({"epoch": 1, "payload": Touch()}))
    else:
        torch.save(state, file, _use_new_zipfile_serialization=kind == "archive")
    with pytest.raises(RunError, match="holds more than weights and plain values"):
        load_run(folder, trust=trust)
    assert not (folder.parent / "ran").exists()


def test_a_checkpoint_that_would_fill_the_memory_is_refused(folder: Path) -> None:
    file = folder / "checkpoints/last.ckpt"
    with zipfile.ZipFile(file) as archive:
        records = {record.filename: archive.read(record) for record in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
        archive.writestr("last/data/999", bytes(50_000_000))
    assert "would grow" in refusal(folder)


def test_compare_runs_only_what_it_is_told_to_trust(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(folder, "data", value={"class_path": "payload.Data"})
    for words in ([], ["--trust"]):
        with pytest.raises(SystemExit) as exit_:
            main(["compare", str(folder), str(folder), *words])
        assert exit_.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert ("'payload.Data' is not a class of xinc_pl" in line) == (not words)
        assert (folder.parent / "ran").exists() == bool(words)


def test_a_network_that_fails_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(folder, "model", "init_args", "network", value={"class_path": "torch.nn.Module"})
    file = folder / "checkpoints/last.ckpt"
    state = torch.load(file, weights_only=True)
    state["state_dict"] = {}
    torch.save(state, file)
    with pytest.raises(SystemExit) as exit_:
        main(["compare", str(folder), str(shutil.copytree(folder, folder.with_name("copied")))])
    assert exit_.value.code == 2
    assert "run run: its network fails on frame 0" in capsys.readouterr().err


def test_a_function_is_not_made_even_of_a_trusted_folder(folder: Path) -> None:
    spoil(folder, "model", "init_args", "loss", value=STRANGERS["payload.function"])
    with pytest.raises(RunError, match=r"'payload.function' is not a class but a function, which is never called"):
        load_run(folder, trust=True)


def test_a_trusted_run_may_have_classes_of_ones_own(folder: Path) -> None:
    spoil(folder, "data", value={"class_path": "tiny.Careful"})
    with pytest.raises(RunError, match=r"'tiny.Careful' is not a class of xinc_pl"):
        load_run(folder)
    assert type(load_run(folder, trust=True)._data).__name__ == "Careful"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("torch.nn.L1Loss", nn.L1Loss),
        ("torch.nn.modules.loss.L1Loss", nn.L1Loss),
        ("torch.optim.Adam", torch.optim.Adam),
        ("torch.optim.lr_scheduler.CosineAnnealingLR", torch.optim.lr_scheduler.CosineAnnealingLR),
        ("xinc_pl.training.L1SSIMLoss", L1SSIMLoss),
        ("xinc_pl.training.losses.L1SSIMLoss", L1SSIMLoss),
        ("xinc_pl.VideoINR", VideoINR),
    ],
)
def test_classes_that_are_known(path: str, expected: type) -> None:
    assert known_class(path) is expected


def test_descriptions_become_what_they_describe() -> None:
    loss = {"class_path": "torch.nn.HuberLoss", "init_args": {"delta": 0.5}}
    arguments = {"network": NETWORK, "loss": loss, "lr": 0.25, "num_frames": 3, "size": [16, 32]}
    module = make({"class_path": "xinc_pl.training.VideoINR", "init_args": arguments}, LightningModule)
    assert isinstance(module, VideoINR)
    assert isinstance(module.loss, nn.HuberLoss)
    assert (module.loss.delta, module.lr, module.num_frames, module.size) == (0.5, 0.25, 3, (16, 32))


@pytest.mark.parametrize("argument", [{"lr": {1: 2}}, {"lr": b"x"}, {"lr": (1,)}])
def test_arguments_are_plain_values(argument: dict[str, object]) -> None:
    description = {"class_path": "xinc_pl.training.VideoINR", "init_args": {"network": NETWORK, **argument}}
    with pytest.raises(TrustError, match="lr of VideoINR"):
        make(description, LightningModule)


@pytest.mark.slow
def test_modules_in_the_working_folder_are_not_taken_for_installed_ones(folder: Path) -> None:
    for name in ("torch", "lightning", "yaml", "umap", "json"):
        (folder / f"{name}.py").write_text(PAYLOAD.format(marker=str(folder.parent / "ran")))
    spoil(folder, "model", "init_args", "loss", value=STRANGERS["payload.Network"])
    done = subprocess.run(
        [sys.executable, "-m", "xinc_pl", "compare", ".", "."], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert "'payload.Network' is not a class of xinc_pl" in done.stderr
    assert not (folder.parent / "ran").exists()
