"""`python docs/examples.py`: write the bundled examples and candidates, `assets/examples/`, from the Shapes world.

Everything comes from the test split, which no bundled checkpoint was trained on, and is the same on every machine.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from workbench.data.shapes import ShapesConfig, ShapesSample, caption, draw, make_sample

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "examples"
TASKS = ("what_at", "where", "how_many", "relation", "find_caption", "choose", "what_at", "where")
N_CANDIDATES = 240
FEWEST, MOST = 3, 4
"""Objects in an example: enough to be worth asking about, and no more than the bundled checkpoints have learned."""


def main() -> None:
    """Write the pictures, their questions and the candidates."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    config = ShapesConfig()
    chosen = pick_examples(config)
    rows = []
    for number, sample in enumerate(chosen, start=1):
        name = f"shapes-{number}.png"
        replace_image(FOLDER / name, sample)
        rows.append({"image": name, "query": sample.query, "title": sample.query, "task": sample.task})
    replace_text(FOLDER / "examples.json", json.dumps(rows, indent=2) + "\n")
    replace_text(FOLDER / "candidates.txt", "\n".join(candidates(config, chosen)) + "\n")
    print(f"wrote {len(rows)} examples and {N_CANDIDATES} candidates to {FOLDER}")


def pick_examples(config: ShapesConfig) -> list[ShapesSample]:
    """One sample for each entry of `TASKS`, each of another scene."""
    chosen: list[ShapesSample] = []
    for task in TASKS:
        chosen.append(next(sample for sample in samples(config) if sample.task == task and adds(sample, chosen)))
    return chosen


def adds(sample: ShapesSample, chosen: list[ShapesSample]) -> bool:
    """Whether a sample has enough to see and makes the examples more varied."""
    backgrounds = [other.scene.background.kind for other in chosen]
    tall = [other.scene.height > other.scene.width for other in chosen]
    return (
        FEWEST <= len(sample.scene.objects) <= MOST
        and sample.scene not in [other.scene for other in chosen]
        and backgrounds.count(sample.scene.background.kind) < 2
        and (sample.scene.height <= sample.scene.width or sum(tall) < 2)
    )


def candidates(config: ShapesConfig, chosen: list[ShapesSample]) -> list[str]:
    """The right answers to the examples, and answers and captions of other test samples, sorted."""
    found = {text for sample in chosen for text in (sample.target_text, caption(sample.scene.items)) if text}
    for sample in samples(config, start=1000):
        if len(found) == N_CANDIDATES:
            break
        if sample.target_text is not None and len(sample.scene.objects) <= MOST:
            found.add(sample.target_text)
    return sorted(found)


def samples(config: ShapesConfig, start: int = 0) -> Iterator[ShapesSample]:
    """Test samples that come with an image, in order, without end."""
    index = start
    while True:
        sample = make_sample(config, "test", index)
        if sample.has_image:
            yield sample
        index += 1


def replace_image(path: Path, sample: ShapesSample) -> None:
    """Write a sample's picture beside its name and rename it."""
    draft = path.with_suffix(".tmp.png")
    Image.fromarray(draw(sample.scene)).save(draft, optimize=True)
    draft.replace(path)


def replace_text(path: Path, text: str) -> None:
    """Write a text beside its name and rename it."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    main()
