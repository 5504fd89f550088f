import shutil
from pathlib import Path

import pytest
import torch
import yaml

from xinc_pl.frames import pixel_coordinates
from xinc_pl.runs import RunError, load_run


@pytest.fixture
def copied(finished_runs: Path, tmp_path: Path) -> Path:
    """A run that may be spoilt."""
    return Path(shutil.copytree(finished_runs / "lightning_logs/version_0", tmp_path / "version_0"))


def edit_config(run: Path, *keys: str, value: object) -> None:
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    holder = config
    for key in keys[:-1]:
        holder = holder[key]
    holder[keys[-1]] = value
    file.write_text(yaml.safe_dump(config))


def test_a_run_comes_back_as_it_was(finished_runs: Path) -> None:
    folder = finished_runs / "lightning_logs/version_1"
    run = load_run(folder)
    assert (run.path, run.name, run.epoch, run.step) == (folder, "version_1", 2, 4)
    assert run.checkpoint == folder / "checkpoints/last.ckpt"
    assert not run.network.training
    stored = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[f"network.{key}"]) for key, value in run.network.state_dict().items())
    frame = run.frame(3)
    assert frame.index == 3
    assert frame.size == (16, 32)
    mse = (run.network(frame.inputs)[0].clamp(0, 1) - frame.target).square().mean()
    assert run.dissected(3).psnr == pytest.approx(float(-10 * mse.detach().log10()), abs=1e-4)


def test_a_networks_constants_come_back_as_well(finished_runs: Path) -> None:
    run = load_run(finished_runs / "lightning_logs/version_3")
    stored = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert torch.equal(run.network.state_dict()["encoding.frequencies"], stored["network.encoding.frequencies"])
    assert run.network(pixel_coordinates((16, 32))).shape == (16 * 32, 3)


@pytest.mark.parametrize("as_file", [True, False])
def test_another_checkpoint_of_a_run_can_be_named(finished_runs: Path, as_file: bool) -> None:
    folder = finished_runs / "lightning_logs/version_0"
    (best,) = (folder / "checkpoints").glob("best-*.ckpt")
    run = load_run(best) if as_file else load_run(folder, best.name)
    assert run.checkpoint.samefile(best)
    assert run.path.samefile(folder)
    assert run.name == f"version_0/{best.stem}"


def test_without_last_ckpt_the_newest_is_taken(copied: Path) -> None:
    (copied / "checkpoints/last.ckpt").unlink()
    assert load_run(copied).checkpoint.name.startswith("best-")


def test_loading_draws_no_random_numbers(finished_runs: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    load_run(finished_runs / "lightning_logs/version_0")
    assert torch.equal(torch.rand(3), expected)


def message_of(path: Path, checkpoint: str | None = None) -> str:
    with pytest.raises(RunError) as error:
        load_run(path, checkpoint)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no run" in message_of(tmp_path / "nope")


def test_a_folder_of_runs_names_them(finished_runs: Path) -> None:
    message = message_of(finished_runs / "lightning_logs")
    assert "it has no config.yaml; it holds runs, name one of them: version_0, version_1" in message


def test_a_checkpoint_outside_of_a_run(copied: Path, tmp_path: Path) -> None:
    far = tmp_path / "a/b/c.ckpt"
    far.parent.mkdir(parents=True)
    shutil.copy(copied / "checkpoints/last.ckpt", far)
    assert "lies in no run" in message_of(far)


def test_a_run_without_checkpoints(copied: Path) -> None:
    shutil.rmtree(copied / "checkpoints")
    assert "has no checkpoint; train with the callback LastCheckpoint" in message_of(copied)


def test_a_checkpoint_that_is_not_there(copied: Path) -> None:
    assert "has no checkpoint 'first.ckpt'" in message_of(copied, "first.ckpt")


@pytest.mark.parametrize("content", ["", "nonsense", "half"])
def test_a_broken_checkpoint_is_named(copied: Path, content: str) -> None:
    file = copied / "checkpoints/last.ckpt"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content == "half" else content.encode())
    assert f"checkpoint '{file}' cannot be read: it is damaged" in message_of(copied)


def test_a_file_of_something_else(copied: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, copied / "checkpoints/last.ckpt")
    assert "was not written by Lightning" in message_of(copied)


def test_weights_that_do_not_fit(copied: Path) -> None:
    edit_config(copied, "model", "init_args", "network", "init_args", "width", value=9)
    message = message_of(copied)
    assert "last.ckpt' do not fit the network of its config.yaml" in message
    assert "stem.weight" in message


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("model", "class_path"), "nowhere.Model", "nowhere"),
        (("model", "init_args", "lr"), -1.0, "lr is -1.0"),
        (("model", "init_args", "colour"), 3, "colour"),
        (("data", "init_args", "num_frames"), 0, "num_frames is 0"),
        (("model",), None, "it has no model"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_a_configuration_that_does_not_do(copied: Path, keys: tuple[str, ...], value: object, words: str) -> None:
    edit_config(copied, *keys, value=value)
    message = message_of(copied)
    assert "config.yaml" in message
    assert words in message


@pytest.mark.parametrize("content", ["a: [", "- 1\n- 2\n", "\x00"])
def test_a_broken_configuration(copied: Path, content: str) -> None:
    (copied / "config.yaml").write_text(content)
    assert "config.yaml" in message_of(copied)


def test_a_frame_that_is_not_there(finished_runs: Path) -> None:
    run = load_run(finished_runs / "lightning_logs/version_0")
    with pytest.raises(RunError, match="run version_0: there is no frame 4: Collage has frames 0 to 3"):
        run.frame(4)
