"""Configuration files: those that come with the package by name, and what is wrong with a file before it is used."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile

from xinc_pl.plain_yaml import PlainYAMLError, read_plain_yaml
from xinc_pl.suggestions import did_you_mean


def bundled_configs() -> dict[str, Path]:
    """Configurations that come with the package, by name without suffix."""
    package = Path(__file__).parent
    folders = [package / "configs"]
    if (package.parent / "pyproject.toml").is_file():  # a clone
        folders.append(package.parent / "configs")
    return {path.stem: path for folder in reversed(folders) for path in sorted(folder.glob("*.yaml"))}


class BundledConfigFile(ActionConfigFile):
    """``--config`` that takes a path, or the name of a bundled configuration."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:  # noqa: ANN401
        """Apply the configuration that ``values`` names."""
        path = find_config(values)
        if not _is_text(values):
            _check_keys(read_config(path), parser, values)
            # Named, when a value of it turns out to be wrong.
            parser.config_files = [*getattr(parser, "config_files", []), path]
        super().__call__(parser, cfg, str(path), option_string)  # type: ignore[no-untyped-call]


def read_config(path: Path) -> Mapping[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        TypeError: Names the file and says why it is no configuration.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TypeError(f"config {str(path)!r} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TypeError(f"config {str(path)!r} is not text in UTF-8 (byte {error.start}); save it as UTF-8") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TypeError(f"config {str(path)!r} is not YAML: {_yaml_problem(error)}") from error
    except (RecursionError, ValueError, TypeError, KeyError) as error:
        raise TypeError(f"config {str(path)!r} cannot be read: {type(error).__name__}: {error}") from error
    if content is None:
        raise TypeError(f"config {str(path)!r} is empty")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "a single value"
        raise TypeError(f"config {str(path)!r} is {kind}; a configuration has keys, such as model, data and trainer")
    try:
        read_plain_yaml(path)  # jsonargparse would look for the end of YAML that has none
    except PlainYAMLError as error:
        raise TypeError(f"config {str(path)!r} cannot be read: {error}") from error
    return content


def file_with_key(files: Iterable[Path], key: str) -> Path | None:
    """The last of some configuration files that sets a key such as ``model.network.width``."""
    for path in reversed(list(files)):
        try:
            value: Any = read_config(path)
        except TypeError:
            continue
        if _sets(value, key.split(".")):
            return path
    return None


def find_config(name: str) -> Path:
    """The file of a configuration: a path, or the name of a bundled one.

    Raises:
        TypeError: There is none.
    """
    if _is_text(name) or Path(name).is_file():
        return Path(name)
    bundled = bundled_configs()
    if name.removesuffix(".yaml") in bundled:
        return bundled[name.removesuffix(".yaml")]
    kind = "a folder, not a file" if Path(name).is_dir() else "neither a file nor bundled"
    raise TypeError(f"config {name!r} is {kind}; bundled are {', '.join(sorted(bundled))}{did_you_mean(name, bundled)}")


def _is_text(values: str) -> bool:
    """Whether a configuration was given itself, instead of its file."""
    return "\n" in values


def _check_keys(content: Mapping[str, Any], parser: Any, name: str) -> None:  # noqa: ANN401 - jsonargparse's
    """Tell another program's file by its keys.

    Raises:
        TypeError: Names the file and the first key that is not known here.
    """
    known = {action.dest.split(".")[0] for action in parser._actions} - {"help", "config", "print_config"}
    commands: Mapping[str, Any] = next(
        (action.choices for action in parser._actions if action.dest == "subcommand"), {}
    )
    known |= set(commands)
    for key, value in content.items():
        root = str(key).split(".")[0].removesuffix("+")
        if root in known:
            if root == "trainer" and "." not in str(key) and not isinstance(value, dict):
                raise TypeError(f"config {name!r}: trainer is {value!r}; it has to be a mapping, such as max_epochs: 3")
            continue
        if any(root == action.dest.split(".")[0] for each in commands.values() for action in each._actions):
            raise TypeError(f"config {name!r} is for a subcommand; put it behind it, as in xinc fit --config {name}")
        if root in ("fit", "validate", "test", "predict"):
            raise TypeError(
                f"config {name!r} names the subcommand {root}; put it before it: xinc --config {name} {root}"
            )
        listed = "" if (hint := did_you_mean(root, known)) else f"; there are {', '.join(sorted(known))}"
        raise TypeError(f"config {name!r}: there is no key {root!r} here{hint or listed}")


def _yaml_problem(error: yaml.YAMLError) -> str:
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem is None or mark is None:
        return " ".join(str(error).split())
    return f"{problem} in line {mark.line + 1}, column {mark.column + 1}"


def _sets(value: Any, parts: list[str]) -> bool:  # noqa: ANN401 - YAML
    """Whether a value holds a key, below the ``init_args`` of classes too."""
    if not parts:
        return True
    if isinstance(value, list):
        return any(_sets(each, parts) for each in value)
    if not isinstance(value, dict):
        return False
    inside = value.get("init_args")
    return (parts[0] in value and _sets(value[parts[0]], parts[1:])) or (
        isinstance(inside, dict) and _sets(inside, parts)
    )
