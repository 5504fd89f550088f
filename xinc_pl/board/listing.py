"""Which runs TensorBoard lists, and which of them have recordings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard import plugin_util
from tensorboard.plugins.base_plugin import TBContext

from xinc_pl.board.requests import RequestError


class Listing:
    """Runs by the names that TensorBoard gives them. A request names a run, never a path."""

    def __init__(self, context: TBContext) -> None:
        self._context = context

    @property
    def logdir(self) -> str:
        """Where TensorBoard was told to look."""
        flags = self._context.flags
        return str(self._context.logdir or getattr(flags, "logdir_spec", "") or "")

    @property
    def root(self) -> Path | None:
        """The one folder below which all runs lie; None where TensorBoard was given several."""
        return Path(self._context.logdir) if self._context.logdir else None

    def folders(self, environ: Mapping[str, Any]) -> Mapping[str, Path]:
        """The folder of every run that TensorBoard lists."""
        provider = self._context.data_provider
        if provider is None:
            return {}
        runs = provider.list_runs(plugin_util.context(environ), experiment_id=plugin_util.experiment_id(environ))
        folders = ((run.run_name, self._folder(run.run_name)) for run in runs)
        return {name: folder for name, folder in folders if folder is not None}

    def recorded(self, environ: Mapping[str, Any]) -> Mapping[str, Path]:
        """Those with recordings, by name; looks at names of files alone."""
        return {name: folder for name, folder in sorted(self.folders(environ).items()) if has_recordings(folder)}

    def folder(self, environ: Mapping[str, Any], name: str) -> Path:
        """The folder of one run.

        Raises:
            RequestError: TensorBoard lists none of that name.
        """
        return folder_of(self.folders(environ), name)

    def _folder(self, name: str) -> Path | None:
        """Where a run lies: below ``--logdir``, or below what ``--logdir_spec name:folder,...`` says."""
        if self._context.logdir:
            return Path(self._context.logdir, name)
        for part in str(getattr(self._context.flags, "logdir_spec", "") or "").split(","):
            alias, colon, folder = part.partition(":")
            if colon and name.split("/")[0] == alias:
                return Path(folder, *name.split("/")[1:])
        return None


def folder_of(folders: Mapping[str, Path], name: str) -> Path:
    """One of the folders that TensorBoard lists.

    Raises:
        RequestError: It lists none of that name.
    """
    if name not in folders:
        raise RequestError(f"TensorBoard lists no run {name[:80]!r}", 404)
    return folders[name]


def has_recordings(folder: Path) -> bool:
    """Whether a folder holds what ``CanvasRecorder`` writes."""
    try:
        return any(True for _ in folder.glob("xinc*/*/epoch_*.safetensors"))
    except OSError:
        return False
