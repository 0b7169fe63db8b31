"""Maps for the tests of what shows them: small, with everything a map can hold, and made without any model."""

import io

import numpy as np
from PIL import Image

from workbench.latent_map import (
    NO_STEP,
    Cluster,
    Column,
    LatentMap,
    MapFigure,
    MapSample,
    Mover,
    Pairing,
)
from workbench.types import Provenance

HOSTILE = "</script><img src=x onerror=\"document.title='broken into'\">"
"""A thought that would run if it were ever taken for markup."""
GROUPS = ("red", "green", "blue")


def make_latent_map(
    *, n_samples: int = 30, k: int = 4, checkpoints: int = 1, seed: int = 0, near: int = 5, umap: bool = True
) -> LatentMap:
    """`n_samples` samples in three groups that lie apart; k = 0 makes one point a sample (of="embedding").

    Under the second checkpoint everything lies a little further right, and sample 0 has moved to another group.
    """
    rng = np.random.default_rng(seed)
    steps = max(1, k)
    sample = np.tile(np.repeat(np.arange(n_samples), steps), checkpoints).astype(np.int32)
    step = np.tile(np.tile(np.arange(steps), n_samples), checkpoints).astype(np.int32)
    checkpoint = np.repeat(np.arange(checkpoints), n_samples * steps).astype(np.int32)
    if k == 0:
        step[:] = NO_STEP
    n = len(sample)
    group = sample % len(GROUPS)
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [5.0, 8.0]], dtype=np.float32)
    places = centres[group] + rng.normal(0, 0.8, (n, 2)).astype(np.float32)
    places[:, 0] += 0.6 * checkpoint + 0.25 * np.maximum(step, 0)
    places[(sample == 0) & (checkpoint == 1)] += centres[1] - centres[0]
    neighbours, distances = _nearest(places, checkpoint, near)
    projections = {"pca": places} | ({"umap": places[:, ::-1] * np.float32([1, -1])} if umap else {})
    return LatentMap(
        title="Thoughts of tte-flash on 30 Shapes queries",
        of="thoughts" if k else "embedding",
        layer=3 if k else None,
        checkpoints=tuple(provenance(f"checkpoint-{number}") for number in range(checkpoints)),
        source={"data": "shapes", "split": "test"},
        samples=tuple(_sample(number, checkpoints) for number in range(n_samples)),
        sample=sample,
        k=step,
        checkpoint=checkpoint,
        projections=projections,  # type: ignore[arg-type]
        shown="pca",
        columns=_columns(group, step, checkpoint, checkpoints, rng),
        neighbours=neighbours,
        distances=distances,
        kept=rng.uniform(0, 1, n).astype(np.float32),
        figures=tuple(
            MapFigure(
                name="trustworthiness",
                projection=name,  # type: ignore[arg-type]
                value=0.91,
                n=n,
                k=near,
                seed=0,
                chance=0.5,
                about="Whether neighbours on the map are neighbours.",
            )
            for name in projections
        ),
        clusters=tuple(
            Cluster(label=f"{name}, square", words=(name, "square"), size=int((group == code).sum()))
            for code, name in enumerate(GROUPS)
        ),
        duplicates=3,
        pairing=_pairing(n, checkpoints) if checkpoints > 1 else None,
        parameters={"points_found": 2 * n, "n_neighbours": 15, "metric": "cosine"},
        seed=7,
        versions={"umap-learn": "0.5.12"},
        seconds={"collect": 1.0, "pca": 0.1},
        notes=("A sample of half the points is shown.",),
        reading="Points that lie together are alike; how far apart groups lie says little.",
    )


def provenance(name: str) -> Provenance:
    return Provenance(
        checkpoint=f"/models/{name}",
        weights_sha256="ab" * 32,
        checkpoint_sha256="cd" * 32,
        family="qwen2-vl",
        format="native",
        dtype="float32",
        device="cpu",
    )


def _sample(number: int, checkpoints: int) -> MapSample:
    colour = GROUPS[number % len(GROUPS)]
    thought = HOSTILE if number == 1 else f"the {colour} square is left of the circle"
    return MapSample(
        id=f"test-{number:06d}",
        row=number + 1,
        text=f"What is left of the circle in picture {number}?",
        answer=f"{colour} square",
        image=f"{number}.png",
        thumbnail=_thumbnail(colour),
        thoughts=tuple(thought if which == 0 else f"another {colour} thought" for which in range(checkpoints)),
    )


def _thumbnail(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(buffer, format="JPEG")
    return buffer.getvalue()


def _columns(
    group: np.ndarray, step: np.ndarray, checkpoint: np.ndarray, checkpoints: int, rng: np.random.Generator
) -> tuple[Column, ...]:
    n = len(group)
    confidence = rng.uniform(0.4, 1, n).astype(np.float32)
    confidence[0] = np.nan
    found = [
        Column(
            name="answer", kind="categorical", values=group.astype(np.int32), categories=GROUPS, about="Of the data."
        ),
        Column(name="confidence", kind="number", values=confidence, about="How sure the model is.", better="higher"),
        Column(name="cluster", kind="categorical", values=group.astype(np.int32), categories=GROUPS),
        Column(name="remark", kind="text", values=np.array([f"remark {i}" for i in range(n)])),
    ]
    if step[0] != NO_STEP:
        names = tuple(str(number + 1) for number in range(int(step.max()) + 1))
        found.insert(1, Column(name="think position", kind="categorical", values=step, categories=names))
    if checkpoints > 1:
        found.append(
            Column(
                name="checkpoint", kind="categorical", values=checkpoint, categories=("checkpoint-0", "checkpoint-1")
            )
        )
    return tuple(found)


def _pairing(n: int, checkpoints: int) -> Pairing:
    half = n // checkpoints
    first = np.arange(half, dtype=np.int32)
    change = np.linspace(1, 0, half, dtype=np.float32)
    return Pairing(
        alignment={"pca": "procrustes", "umap": "aligned-umap"},
        about="A line joins the two places of one thought.",
        pairs=np.stack([first, first + half], axis=1),
        change=change,
        movers=tuple(Mover(pair=pair, change=float(change[pair])) for pair in range(3)),
        k=5,
    )


def _nearest(places: np.ndarray, checkpoint: np.ndarray, near: int) -> tuple[np.ndarray, np.ndarray]:
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)
    gaps[checkpoint[:, None] != checkpoint[None]] = np.inf
    np.fill_diagonal(gaps, np.inf)
    order = np.argsort(gaps, axis=1)[:, :near]
    return order.astype(np.int32), np.take_along_axis(gaps, order, axis=1).astype(np.float32)
