"""``python -m xinc_pl``."""

import os
import sys


def _without(folder: str, search_path: list[str]) -> list[str]:
    """Where Python looks for modules, without one folder."""
    return [place for place in search_path if os.path.realpath(place) != os.path.realpath(folder)]


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ("analyse", "compare", "export", "import") and "--trust" not in sys.argv:
        # Python puts the working folder first. It may be that of somebody's run, with an umap.py in it.
        sys.path[:] = _without(os.getcwd(), sys.path)

    from xinc_pl.cli import main

    main()
