"""``python -m xinc_pl``, and ``xinc``."""

import gc
import os
import sys


def run() -> None:
    """Run the command line with the words that the program was called with."""
    if sys.argv[1:2] and sys.argv[1] in ("analyse", "compare", "export", "import") and "--trust" not in sys.argv:
        # Python puts the working folder first. It may be that of somebody's run, with an umap.py in it.
        sys.path[:] = _without(os.getcwd(), sys.path)
    gc.disable()  # what is imported stays; to look again and again for some that does not takes as long as importing
    try:
        from xinc_pl.cli import main
    finally:
        gc.freeze()
        gc.enable()
    main()


def _without(folder: str, search_path: list[str]) -> list[str]:
    """Where Python looks for modules, without one folder."""
    return [place for place in search_path if os.path.realpath(place) != os.path.realpath(folder)]


if __name__ == "__main__":
    run()
