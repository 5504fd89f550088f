"""Which part may import which: the arrows of the architecture, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xinc_pl

PACKAGE = Path(xinc_pl.__file__).parent

ALLOWED = {
    "frames": set(),
    "frame_files": {"canvas", "frames"},
    "random_state": set(),
    "arguments": set(),
    "suggestions": set(),
    "pictures": set(),
    "complaints": {"suggestions"},
    "memory": set(),
    "models": {"memory"},
    "canvas": set(),
    "data": {"arguments", "frames", "memory", "names", "plain_yaml"},
    "training": {"arguments", "frames", "memory", "models", "random_state"},
    "analysis": {"canvas", "frames"},
    "plots": {"analysis", "pictures"},
    "board": {"canvas", "frames", "recorded"},
    "callbacks": {
        *("analysis", "arguments", "canvas", "data", "frame_files", "frames", "models", "names", "pictures"),
        "plots",
        *("random_state", "suggestions", "training"),
    },
    "names": set(),
    "plain_yaml": set(),
    "checkpoints": {"arguments", "models"},
    "inert": set(),
    "trust": {"data", "models", "training"},
    "resuming": {"checkpoints", "training"},
    "scalars": set(),
    "recorded": {"analysis", "canvas", "frame_files", "frames", "memory", "scalars"},
    "runs": {
        *("analysis", "canvas", "checkpoints", "complaints", "data", "frames", "plain_yaml", "random_state"),
        *("callbacks", "recorded", "scalars", "trust"),
    },
    "tools": {
        *("analysis", "arguments", "callbacks", "canvas", "checkpoints", "complaints", "config_files", "frames"),
        *("inert", "models", "names", "pictures", "plain_yaml", "plots", "runs", "suggestions", "training"),
    },
    "config_files": {"plain_yaml", "suggestions"},
    "refusals": {"complaints", "memory"},
    "settings": {"arguments", "suggestions", "training"},
    "cli": {
        *("callbacks", "checkpoints", "complaints", "config_files", "data", "models", "refusals", "resuming", "runs"),
        *("settings", "suggestions", "tools", "training"),
    },
    "__main__": {"cli"},
    "__init__": {"callbacks", "canvas", "data", "frames", "models", "runs", "training"},
}
"""Part of the package, and the parts it may import."""

FRAMEWORK_FREE = {
    "arguments",
    "frames",
    "frame_files",
    "memory",
    "random_state",
    "suggestions",
    "inert",
    "models",
    "canvas",
    "analysis",
    "plots",
    "recorded",
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            assert node.module is not None
            modules.add(node.module)
            if node.module == "xinc_pl":
                modules.update(f"xinc_pl.{alias.name}" for alias in node.names)
    return modules


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "configs" not in path.parts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path: Path) -> None:
    own = part_of(path)
    parts = {name.split(".")[1] for name in imported_modules(path) if name.startswith("xinc_pl.")}
    assert parts - {own} <= ALLOWED[own], f"{own} must not import {parts - {own} - ALLOWED[own]}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_knows_no_framework(path: Path) -> None:
    if part_of(path) in FRAMEWORK_FREE:
        frameworks = {"lightning", "tensorboard", "jsonargparse"}
        assert not {name.split(".")[0] for name in imported_modules(path)} & frameworks


def test_every_part_is_accounted_for() -> None:
    assert {part_of(path) for path in SOURCES} == set(ALLOWED)


ROOMS = (
    {"errors", "maps", "mosaic"},
    {"backends", "recording"},
    {"layers"},
    {"rules"},
    {"effect", "statistics"},
    {"layer_canvas"},
    {"canvas", "video"},
    {"dissect"},
    {"checks", "recorded"},
    {"__init__"},
)
"""The rooms of the core: each may import those before it, none beside it."""

CORE = PACKAGE / "canvas"


def room_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_imports_within_the_core_go_one_way(path: Path) -> None:
    own = room_of(path)
    (level,) = (index for index, rooms in enumerate(ROOMS) if own in rooms)
    earlier = set().union(*ROOMS[:level])
    names = {tuple(name.split(".")) for name in imported_modules(path)}
    used = {parts[2] for parts in names if parts[:2] == ("xinc_pl", "canvas") and len(parts) > 2}
    assert used - {own} <= earlier, f"{own} must not import {used - {own} - earlier}"
    assert own == "__init__" or ("xinc_pl", "canvas") not in names, f"{path} imports what imports it"


def test_dissecting_needs_no_lightning() -> None:
    program = "import sys, xinc_pl; xinc_pl.dissect; assert not {'lightning', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_everything_public_is_there() -> None:
    assert all(getattr(xinc_pl, name) is not None for name in xinc_pl.__all__)
    assert set(xinc_pl.__all__) <= set(dir(xinc_pl))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = xinc_pl.nonsense
