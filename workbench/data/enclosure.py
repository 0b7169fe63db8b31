"""A folder that the image paths of a table may not leave: for tables written by people who shall see nothing else."""

from dataclasses import dataclass
from pathlib import Path

from workbench.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """Stands for a table's folder where paths are joined to it, `enclosure / path`, as a plain folder does."""

    root: Path
    """Everything below it may be opened."""
    folder: Path
    """Where the table lies; its paths are relative to this."""

    def __truediv__(self, given: str) -> Path:
        """The file of a path. Raises BadInput for one that leads out of the root, by dots, links or from the top."""
        root = self.root.resolve()
        try:
            path = (self.folder / given).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise BadInput(f"'{given[:200]}' is no path of an image.") from error
        if not path.is_relative_to(root):
            raise BadInput(f"'{given[:200]}' leads out of the folder of the data; give the path of an image inside.")
        if not path.exists():
            raise BadInput(f"There is no file '{given[:200]}' in the data; check the path of the image.")
        return path
