"""Which callbacks the words of ``xinc analyse`` name."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

import xinc_pl.callbacks
from xinc_pl.callbacks import CanvasRecorder, XINCCallback
from xinc_pl.complaints import one_line
from xinc_pl.config_files import bundled_configs, find_config, read_config
from xinc_pl.runs import RunError

_DEFAULT = "analyses"


def split_words(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of the command itself; and those about callbacks, ``--callbacks A B`` as ``--callbacks+=A`` ..."""
    own: list[str] = []
    about: list[str] = []
    words = list(args)
    while words:
        word = words.pop(0)
        if word in ("--callbacks", "--callbacks+"):
            while words and not words[0].startswith("-"):
                about.append(f"--callbacks+={words.pop(0)}")
        elif word.startswith("--callbacks=") or word.startswith("--callbacks+="):
            about.append(f"--callbacks+={word.partition('=')[2]}")
        elif word.startswith("--callbacks."):
            about.append(word if "=" in word or not words else f"{word}={words.pop(0)}")
        else:
            own.append(word)
    return own, about


def callbacks_named(configs: Sequence[str], words: Sequence[str]) -> list[XINCCallback]:
    """Make the callbacks that configurations and words name, or all analyses where there are neither.

    Args:
        configs: Files, or names of bundled ones. Callbacks in them that are no analyses are passed over.
        words: As ``split_words`` returns them.

    Raises:
        RunError: Says what does not do.
    """
    parser = ArgumentParser(exit_on_error=False, prog="xinc analyse")
    parser.add_argument("--callbacks", type=list[XINCCallback], default=[])
    described = []
    for name in configs or ([] if words else [_DEFAULT]):
        described += _described(name)
    try:
        parser.set_defaults({"callbacks": described})
        parsed = parser.parse_args(list(words))
        made: list[XINCCallback] = list(parser.instantiate_classes(parsed).callbacks)
    except ArgumentError as error:
        raise RunError(one_line(str(error))) from error
    except (ValueError, TypeError) as error:
        raise RunError(" ".join(str(error).split())) from error
    recorders = [each for each in made if isinstance(each, CanvasRecorder)]
    if recorders:
        raise RunError("CanvasRecorder records while a run is trained; there is nothing to analyse with it")
    names = [each.name for each in made]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RunError(f"{names.count(twice[0])} callbacks are called {twice[0]!r}; give one of them another name")
    if not made:
        raise RunError("there is no callback to analyse with; name some with --callbacks, or in a file with --config")
    return made


def _described(config: str) -> list[Any]:
    """The analyses in a configuration, as they stand there."""
    try:
        content = read_config(find_config(config))
    except TypeError as error:
        raise RunError(str(error)) from error
    trainer = content.get("trainer")
    callbacks = (trainer or {}).get("callbacks") if isinstance(trainer, dict) or trainer is None else None
    callbacks = content.get("callbacks") if callbacks is None else callbacks
    if not isinstance(callbacks, list):
        raise RunError(
            f"config {config!r} names no callbacks: it needs trainer: callbacks: and a list, as in "
            f"{bundled_configs()[_DEFAULT].name}"
        )
    return [each for each in callbacks if _is_analysis(each, config)]


def _is_analysis(described: Any, config: str) -> bool:  # noqa: ANN401 - YAML
    path = described.get("class_path") if isinstance(described, dict) else described
    if not isinstance(path, str):
        raise RunError(f"config {config!r}: callbacks has {described!r}; each needs a class_path")
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module) if module else xinc_pl.callbacks, name, None)
    except ImportError as error:
        raise RunError(
            f"config {config!r}: {path} cannot be imported ({error}); a class in the working folder is found with "
            "--trust only"
        ) from error
    return isinstance(kind, type) and issubclass(kind, XINCCallback) and not issubclass(kind, CanvasRecorder)
