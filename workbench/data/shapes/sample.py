"""Samples: a scene, a question about it, the reasoning, the answer and what to retrieve."""

from dataclasses import dataclass

from workbench.data.shapes.composition import make_scene
from workbench.data.shapes.config import ShapesConfig
from workbench.data.shapes.dice import Dice
from workbench.data.shapes.language import Piece, Word, caption, join, scene_pieces, words
from workbench.data.shapes.negatives import negatives
from workbench.data.shapes.scene import Scene
from workbench.data.shapes.tasks import draft
from workbench.data.shapes.world import SPLITS

_PURPOSE_SAMPLE, _PURPOSE_ORDER = 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapesSample:
    """One question about one scene, with everything there is to know about its answer."""

    id: str
    split: str
    task: str
    scene: Scene
    query: str
    has_image: bool
    """Whether the query comes with the scene's image; false for `find_image`, whose target it is."""
    reasoning: str
    words: tuple[Word, ...]
    """Start, end and named object (index into `scene.objects` or None) of every word of the reasoning."""
    answer: str
    target_text: str | None
    target_is_image: bool
    target_id: str
    """Equal for equal targets: "text:..." or "image:" and the scene's canonical caption."""
    negatives: tuple[str, ...]


def make_sample(config: ShapesConfig, split: str, index: int) -> ShapesSample:
    """Sample number `index` of a split; depends on nothing but its arguments.

    Tasks take turns in an order shuffled anew for every round. A relation that falls on a scene with a single
    object is replaced by the next task in `config.tasks`. Raises `BadInput` as `make_scene` does.
    """
    scene = make_scene(config, split, index // config.samples_per_scene if split == "train" else index)
    return ask(scene, _task(config, split, index, scene), split=split, index=index, seed=config.seed)


def ask(scene: Scene, task: str, *, split: str, index: int, seed: int) -> ShapesSample:
    """A question of the named task about a given scene, in the words that (seed, split, index) pick."""
    dice = Dice(seed, SPLITS.index(split), index, _PURPOSE_SAMPLE)
    asked = draft(task, dice, scene.items)
    answer = join(asked.answer)
    pieces: list[Piece] = [
        *scene_pieces(scene.items),
        (" ", None),
        *asked.step,
        (" answer: ", None),
        *asked.answer,
        (".", None),
    ]
    is_image = asked.target is None
    return ShapesSample(
        id=f"{split}-{index:06d}",
        split=split,
        task=task,
        scene=scene,
        query=asked.query,
        has_image=not is_image,
        reasoning=join(pieces),
        words=words(pieces),
        answer=answer,
        target_text=asked.target,
        target_is_image=is_image,
        target_id=f"image:{caption(scene.items)}" if is_image else f"text:{asked.target}",
        negatives=negatives(task, dice, scene.items, asked, split),
    )


def _task(config: ShapesConfig, split: str, index: int, scene: Scene) -> str:
    turn, position = divmod(index, len(config.tasks))
    task = Dice(config.seed, SPLITS.index(split), turn, _PURPOSE_ORDER).shuffled(config.tasks)[position]
    if task == "relation" and len(scene.objects) < 2:
        others = [other for other in config.tasks if other != "relation"]
        task = others[config.tasks.index("relation") % len(others)]
    return task
