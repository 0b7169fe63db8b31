"""LaME: what is rebuilt from the reason tokens and what reads them, what learns in each stage, and what each option does."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import SMALL_RUN
from torch import Tensor

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.errors import BadCheckpoint, BadInput, Unsupported
from workbench.models.checkpoint import load_checkpoint
from workbench.probe import PROBES, missing
from workbench.recipes.batches import Encoder, TrainBatch
from workbench.recipes.config import DataSettings, TrainConfig, read_config
from workbench.recipes.lame import Lame, LameStep
from workbench.recipes.rows import Row, read_training_rows, target_text
from workbench.types import Sample

SMALL = (*SMALL_RUN, "optimiser.batch=6", "optimiser.warmup=2", "optimiser.steps=4")
TABLE = "model.model.language_model.embed_tokens.weight"
Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes"), ShapesConfig(), "train", 24)


def configure(data: Path, folder: Path, *more: str) -> TrainConfig:
    return read_config(None, [*SMALL, f"data.train={data}", f"output.folder={folder}", *more])


def train(config: TrainConfig) -> Path:
    return Lame().train(config, resume=False, report=lambda line: None)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a run of four steps. Read-only."""
    more = ("lame.warmup=0.5", "lame.warmup_learns=text", "optimiser.method=muon")
    return train(configure(data, tmp_path_factory.mktemp("run"), *more))


@pytest.fixture(scope="module")
def model(finished: Path) -> Any:
    return load_checkpoint(finished, device="cpu", dtype="float32")


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, float], Weights]]:
    """Filled by the trainings of a test: what each step reported, and all weights after it."""
    from workbench.recipes import loop

    seen: list[tuple[dict[str, float], Weights]] = []
    one_step = loop._Run._step

    def watching(run: Any, module: Any, plain: Any, *rest: Any) -> Any:
        found = one_step(run, module, plain, *rest)
        seen.append((found, {name: value.detach().clone() for name, value in plain.named_parameters()}))
        return found

    monkeypatch.setattr(loop._Run, "_step", watching)
    return seen


def moved(before: Weights, after: Weights) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def encoded(model: Any, rows: list[Row], folder: Path, text: Any = "target_apart") -> TrainBatch:
    backbone = model._backbone
    return Encoder(backbone.processor, backbone.ids, DataSettings(), folder, 0, text=text)(list(enumerate(rows)))


@pytest.fixture
def step(model: Any, data: Path) -> Callable[..., dict[str, Tensor]]:
    """(part, rows, limits) -> gradients of that part of the loss alone, by the names of a step's weights; 0 where none is."""

    def step(part: str, rows: list[Row], limits: Tensor | None = None) -> dict[str, Tensor]:
        one = LameStep(model._backbone, configure(data, Path("unused")), None)
        one.weights = dict.fromkeys(one.weights, 0.0) | {part: 1.0}
        one.requires_grad_(True)
        try:
            one(encoded(model, rows, data.parent), "latents_only", limits)["loss"].backward()
            weights = one.named_parameters()
            return {name: torch.zeros_like(w) if w.grad is None else w.grad.clone() for name, w in weights}
        finally:
            one.zero_grad(set_to_none=True)
            one.requires_grad_(False)

    return step


def samples() -> list[Sample]:
    return [Sample(id=text, text=text) for text in ("What is at the centre?", "Count the rings, please.")]


def test_images_are_told_by_their_caption_or_by_nothing(data: Path, model: Any) -> None:
    rows = read_training_rows(data)
    pictured = next(row for row in rows if row["target"]["images"])
    [ids] = encoded(model, [pictured], data.parent).labels.tolist()
    caption = model._backbone.processor.tokenizer.decode(ids[:-1])
    assert caption == pictured["target_id"].removeprefix("image:") == target_text(pictured)
    assert target_text({"target": {"text": None, "images": ["x.png"]}, "target_id": "17"}) == ""
    assert target_text({"target": {"images": ["x.png"], "caption": "a ring"}}) == "a ring"
    assert encoded(model, [{**pictured, "target_id": "17"}], data.parent).labels.shape == (1, 0)
    assert encoded(model, [pictured], data.parent, "target_text_apart").labels.shape == (1, 0)
    written = next(row for row in rows if row["target"]["text"])
    one, other = (encoded(model, [written], data.parent, text).labels for text in ("target_apart", "target_text_apart"))
    assert torch.equal(one, other)


def only_images(data: Path, name: str, *, captions: bool) -> Path:
    """Rows whose targets are images, written beside the data."""
    rows = [row for row in read_training_rows(data) if row["target"]["images"]]
    kept = [row if captions else {**row, "target_id": None} for row in rows]
    path = data.with_name(name)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in kept), encoding="utf-8")
    return path


def test_data_without_a_word_to_rebuild_are_refused(data: Path, tmp_path: Path) -> None:
    told, silent = only_images(data, "told.jsonl", captions=True), only_images(data, "silent.jsonl", captions=False)
    small = ("optimiser.batch=2", "optimiser.steps=1")
    for path, setting in ((silent, "caption"), (told, "none")):
        with pytest.raises(BadInput, match=f"No target in '{path.name}' has words that lame could write"):
            train(configure(path, tmp_path / "refused", *small, f"lame.image_targets={setting}"))
    train(configure(told, tmp_path / "captions", *small))
    # Who asks for no words gets none.
    train(configure(silent, tmp_path / "silent", *small, "loss.text=0"))


def test_it_decodes_from_the_reason_tokens_alone(model: Any) -> None:
    assert model.info.tells == "target"
    assert missing(PROBES.get("lens"), model) is None
    traces = model.trace([model.prepare(sample) for sample in samples()])
    written = model.decode(traces, max_tokens=6)
    assert [thought.text for thought in model.decode(traces, max_tokens=6, thoughts_from=traces[::-1])] == [
        thought.text for thought in written[::-1]
    ]
    assert model.vocabulary(traces[0].latents[-1]).shape == (3, len(model._decoder.table))
    with pytest.raises(Unsupported, match="only: latents_only"):
        model.decode(traces, context="query_and_latents")


def test_what_is_written_and_what_is_scored_are_readings_of_the_decoder(model: Any) -> None:
    """By one pass over thoughts and text, as in training."""
    traces, ids = model.trace([model.prepare(sample) for sample in samples()]), model._backbone.ids

    def readings(trace: Any, text: tuple[int, ...]) -> Tensor:
        with torch.no_grad():
            given = torch.tensor([[ids.start, *text]])
            return model._decoder(trace.continuation.latents[None], given)[0].log_softmax(-1)

    for trace, thought in zip(traces, model.decode(traces, max_tokens=6), strict=True):
        assert thought.token_ids
        read = readings(trace, thought.token_ids)
        assert read.argmax(-1)[: len(thought.token_ids)].tolist() == list(thought.token_ids)
        expected = [read[place, token].item() for place, token in enumerate(thought.token_ids)]
        assert thought.log_probabilities == pytest.approx(expected, abs=1e-4)
    text = "a large red ring"
    wanted = (*model.text_ids(text), ids.end)
    for trace, score in zip(traces, model.score(traces, [text, text]), strict=True):
        read = readings(trace, wanted[:-1])
        expected = [read[place, token].item() for place, token in enumerate(wanted)]
        assert score.log_probabilities == pytest.approx(expected, abs=1e-4)


def test_it_keeps_its_objectives_on_heads_of_their_own(model: Any, data: Path, step: Any) -> None:
    """The contrastive loss does not touch the decoder, the text loss does not touch the embed token's row."""
    ids = model._backbone.ids
    for part, decoder_moves in (("contrastive", False), ("text", True)):
        gradients = step(part, read_training_rows(data)[:4])
        table = gradients[TABLE]
        reached = any(bool(value.any()) for name, value in gradients.items() if name.startswith("decoder."))
        assert reached == decoder_moves
        assert table[list(ids.think)].any()
        assert bool(table[list(ids.embed)].any()) == (not decoder_moves)


def test_thoughts_that_are_cut_off_are_hidden_from_decoder_and_embedding(model: Any, data: Path, step: Any) -> None:
    rows, ids = read_training_rows(data)[:4], model._backbone.ids
    for limit in range(4):
        limits = torch.full((4,), limit)
        # The text's loss alone: documents are not cut, so the other one reaches every thought through them.
        table = step("text", rows, limits)[TABLE]
        assert [bool(table[row].any()) for row in ids.think] == [k < limit for k in range(3)]
    step = LameStep(model._backbone, configure(data, Path("unused")), None).eval()
    batch = encoded(model, rows, data.parent)
    with torch.no_grad():
        cut, whole = (step(batch, "latents_only", torch.full((4,), limit)) for limit in (0, 3))
        free = step(batch, "latents_only")
    assert torch.equal(whole["contrastive"], free["contrastive"])
    torch.testing.assert_close(whole["text"], free["text"])
    assert cut["contrastive"] != whole["contrastive"]
    assert cut["text"] != whole["text"]


def test_a_run_with_random_truncation_learns(data: Path, tmp_path: Path) -> None:
    train(configure(data, tmp_path / "run", "loss.truncation=0.9", "loss.readout=0.1", "optimiser.steps=3"))
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(
        np.isfinite([line["text"], line["readout"], line["contrastive"], line["gradient"]]).all() for line in log
    )


@pytest.mark.parametrize("contrastive", [True, False])
@pytest.mark.parametrize("learns", ["bottleneck", "text"])
def test_it_warms_up_what_it_says(
    data: Path, tmp_path: Path, learns: str, contrastive: bool, watched: list[tuple[dict[str, float], Weights]]
) -> None:
    """In stage 1 nothing else moves; the first step of stage 2 moves all of it."""
    more = (
        "lame.warmup=0.5",
        f"lame.warmup_learns={learns}",
        f"lame.warmup_contrastive={str(contrastive).lower()}",
        "data.negatives=2",
        "optimiser.weight_decay=0",
    )
    made = train(configure(data, tmp_path / learns, *more))
    (first, before), (_, warm), (later, joint) = watched[:3]
    assert (("contrastive" in first), ("contrastive" in later)) == (contrastive, True)
    inner = {name for name in before if name.startswith("model.") and name != TABLE}
    vision = {name for name in inner if "visual" in name}
    decoder = {name for name in before if name.startswith("decoder.")}
    warmed = moved(before, warm)
    assert {TABLE, *decoder} <= warmed
    assert warmed & inner == (inner - vision if learns == "text" else set())
    if learns == "bottleneck":
        ids = load_checkpoint(made, device="cpu")._backbone.ids  # pyright: ignore[reportAttributeAccessIssue]
        rows = (before[TABLE] != warm[TABLE]).any(dim=1).nonzero()[:, 0].tolist()
        # Without the contrastive loss the embed token has no gradient either.
        assert rows == sorted([*ids.think, *(ids.embed if contrastive else ())])
    assert moved(warm, joint) == set(before)


@pytest.mark.parametrize("learns", ["both_stages", "stage_1"])
def test_the_decoder_learns_in_the_stages_that_are_said(
    data: Path, tmp_path: Path, learns: str, watched: list[tuple[dict[str, float], Weights]]
) -> None:
    more = ("lame.warmup=0.5", f"lame.decoder_learns={learns}", "loss.contrastive=0", "optimiser.weight_decay=0.1")
    made = train(configure(data, tmp_path / learns, *more))
    (_, first), (_, second), (_, third), (_, last) = watched
    decoder = {name for name in first if name.startswith("decoder.")}
    assert decoder <= moved(first, second)
    for before, after in ((second, third), (third, last)):
        assert moved(before, after) & decoder == (decoder if learns == "both_stages" else set())
        # Its loss goes on teaching what it reads.
        ids = load_checkpoint(made, device="cpu")._backbone.ids  # pyright: ignore[reportAttributeAccessIssue]
        assert (before[TABLE] != after[TABLE])[list(ids.think)].any(dim=1).all()


@pytest.mark.parametrize("contrastive", [False, True])
def test_a_step_without_anything_to_learn_moves_nothing(
    data: Path, tmp_path: Path, contrastive: bool, watched: list[tuple[dict[str, float], Weights]]
) -> None:
    """A warm-up on rows of which half have no words: decay and moments rest as well, those of the decoder also where the
    contrastive loss moves the rest."""
    rows = read_training_rows(data)
    pictured, written = ([row for row in rows if bool(row["target"]["images"]) is seen][:6] for seen in (True, False))
    # Words in one image's row of two are words of the batch, so like goes with like: the longer queries are the wordless.
    pictured = [{**row, "query": row["query"] * 3} for row in pictured]
    path = data.with_name("half.jsonl")
    path.write_text("".join(f"{json.dumps({**row, 'target_id': None})}\n" for row in (*pictured, *written)))
    more = (
        "lame.warmup=0.9",
        "lame.warmup_learns=text",
        f"lame.warmup_contrastive={str(contrastive).lower()}",
        "optimiser.batch=2",
        "optimiser.steps=13",
        "optimiser.weight_decay=0.1",
    )
    train(configure(path, tmp_path / "run", *more))
    wordy = ["text" in reported for reported, _ in watched[:11]]
    assert False in wordy[wordy.index(True) :], "some step without words comes when there is something to remember"
    for (_, before), (reported, after) in itertools.pairwise(watched[:11]):
        decoder = {name for name in moved(before, after) if name.startswith("decoder.")}
        assert bool(decoder) == ("text" in reported)
        assert bool(moved(before, after) - decoder) == bool(reported["gradient"]) == ("text" in reported or contrastive)


@pytest.mark.parametrize("sees", ["query_and_reason", "reason_only"])
def test_it_embeds_from_what_it_says(data: Path, tmp_path: Path, sees: str) -> None:
    more = (f"lame.embed_sees={sees}", "lame.projection=24", "optimiser.steps=1")
    model: Any = load_checkpoint(train(configure(data, tmp_path / sees, *more)), device="cpu")
    [trace] = model.trace([model.prepare(samples()[0])])
    on_query = trace.attention[:, :, -1, : trace.think.start].sum()
    assert (on_query > 0) == (sees == "query_and_reason")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("model.think=0", "needs reason tokens"),
        ('model.contexts=["query_and_latents"]', "sees the reason tokens alone"),
        ("lame.warmup=1.0", "must be a share"),
        ("lame.decoder_learns=stage_1", "decoder_learns is stage_1, but there is none"),
    ],
)
def test_it_refuses_settings_that_do_not_go_together(data: Path, tmp_path: Path, setting: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        train(configure(data, tmp_path / "run", setting))


def test_a_damaged_decoder_is_one_sentence(finished: Path, tmp_path: Path) -> None:
    def spoil(name: str) -> Path:
        return Path(shutil.copytree(finished, tmp_path / name))

    gone, torn, other, wild = (spoil(name) for name in ("gone", "torn", "other", "wild"))
    (gone / "decoder.safetensors").unlink()
    (torn / "decoder.safetensors").write_bytes(b"no weights")
    for folder, size in ((other, {"layers": 1}), (wild, {"layers": "two"})):
        manifest = json.loads((folder / "thinkscope.json").read_text())
        (folder / "thinkscope.json").write_text(json.dumps(manifest | {"decoder": size}))
    sentences = {gone: "has no decoder", torn: "is damaged", other: "another decoder", wild: "no size of one"}
    for folder, sentence in sentences.items():
        with pytest.raises(BadCheckpoint, match=sentence) as told:
            load_checkpoint(folder, device="cpu")
        assert "\n" not in str(told.value)
