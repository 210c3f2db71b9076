"""`python -m recgate` is `recgate`."""

from __future__ import annotations

from recgate.cli import main

if __name__ == "__main__":
    main()
