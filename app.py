"""`python app.py [CHECKPOINT_FOLDER ...]`: start the web app on http://127.0.0.1:7860 (see `thinkscope app --help`)."""

import sys
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.ui.app import serve


def main() -> int:
    """Serve until interrupted; 2 when a folder cannot be used."""
    try:
        serve([Path(folder) for folder in sys.argv[1:]])
    except WorkbenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
