"""``python -m xinc_pl``."""

from xinc_pl.cli import main

if __name__ == "__main__":
    main()
