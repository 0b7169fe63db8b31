"""What is timed is what is said: as many words as asked, the same embedding, turns that are counted, ratios known by hand."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import write_tiny

from workbench.cli import main
from workbench.cli.bench_embed import block_name
from workbench.errors import OutOfMemory
from workbench.models import columns
from workbench.models.backbone import Backbone
from workbench.models.checkpoint import load_checkpoint
from workbench.models.layout import explicit_cot
from workbench.models.sequence import behind
from workbench.models.spelling_out import write_and_embed
from workbench.render.marked import read_page
from workbench.render.speed import speed_block, speed_cells, speed_json, speed_sentences, speed_svg
from workbench.timing import backbones, embedding
from workbench.timing.embedding import LATENT_TURNS, RECORDED, EmbedTimes, Timing, quartiles, ratios, time_embedding
from workbench.timing.machine import processor_name
from workbench.types import Sample


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory, shapes_rows: list[dict[str, Any]]) -> Any:
    """A random model that writes, and likes to end at once."""
    folder = write_tiny(tmp_path_factory.mktemp("writer") / "tiny", shapes_rows, layout=explicit_cot())
    model: Any = load_checkpoint(folder, device="cpu", dtype="float32")
    backbone = model._backbone
    head = backbone.family.head(backbone.model)
    encoded = [model.prepare(Sample(id=text, text=text)) for text in ("Which red ring?", "How many?")]
    prefixes = [one.inputs["prefix"] for one in encoded]
    with torch.no_grad():
        head.weight = torch.nn.Parameter(head.weight.clone(), requires_grad=False)
        head.bias = torch.nn.Parameter(torch.zeros(len(head.weight)), requires_grad=False)
        head.bias[backbone.ids.end] = 100.0
    return backbone, prefixes


def test_a_text_is_as_long_as_it_is_told_to_be(writer: Any) -> None:
    backbone, prefixes = writer
    written, _ = write_and_embed(backbone, prefixes, max_tokens=9)
    assert [(len(text.ids), text.ended) for text in written] == [(0, True), (0, True)]
    written, embeddings = write_and_embed(backbone, prefixes, max_tokens=7, min_tokens=7)
    assert [(len(text.ids), text.ended) for text in written] == [(7, True), (7, True)]
    assert all(backbone.ids.end not in text.ids for text in written)
    assert all(len(text.log_probabilities) == 7 for text in written)
    bare, same = write_and_embed(backbone, prefixes, max_tokens=7, min_tokens=7, scored=False)
    assert [text.ids for text in bare] == [text.ids for text in written]
    assert [text.log_probabilities for text in bare] == [(), ()]
    torch.testing.assert_close(embeddings, same, atol=0, rtol=0)
    between, _ = write_and_embed(backbone, prefixes, max_tokens=9, min_tokens=4)
    assert [len(text.ids) for text in between] == [4, 4]


@pytest.mark.parametrize("n", [1, 5, 70])
def test_writing_does_no_avoidable_work(writer: Any, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass for the query, one for each token, one to embed; keys and values of earlier tokens are never moved."""
    backbone, prefixes = writer
    widths: list[int] = []
    run = Backbone.run

    def counted(self: Backbone, inputs: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        widths.append(inputs.shape[1])
        return run(self, inputs, *args, **options)

    def moved(*_: Any) -> None:
        raise AssertionError("the columns were copied")

    monkeypatch.setattr(Backbone, "run", counted)
    monkeypatch.setattr(columns, "_wider", moved)
    write_and_embed(backbone, prefixes, max_tokens=n, min_tokens=n)
    assert widths[1:] == [1] * n + [2]


def test_rows_that_end_early_embed_as_alone(writer: Any) -> None:
    """Texts of several lengths, of queries of several lengths, each as it comes out in a batch of its own."""
    backbone, prefixes = writer
    words = [int(prefix.ids[-2]) for prefix in prefixes]
    several = [*prefixes, behind(prefixes[0], torch.tensor(words)), behind(prefixes[1], torch.tensor(words * 2))]
    head = backbone.family.head(backbone.model)
    bias, weight = head.bias.clone(), head.weight.clone()
    try:
        for seed in range(40):
            drawn = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                head.bias[backbone.ids.end] = 0.0
                head.weight[backbone.ids.end] = torch.randn(head.weight.shape[1], generator=drawn)
            together, embeddings = write_and_embed(backbone, several, max_tokens=12)
            if len({len(text.ids) for text in together}) > 2:
                break
        else:
            pytest.fail("no draw made texts of several lengths")
        for prefix, text, embedding in zip(several, together, embeddings, strict=True):
            [alone], own = write_and_embed(backbone, [prefix], max_tokens=12)
            assert (alone.ids, alone.ended) == (text.ids, text.ended)
            torch.testing.assert_close(own[0], embedding, atol=1e-5, rtol=0)
    finally:
        with torch.no_grad():
            head.bias.copy_(bias)
            head.weight.copy_(weight)


def test_every_way_is_timed_in_every_round() -> None:
    said: list[float] = []
    times = time_embedding(
        size="bundled",
        batches=(1, 2),
        lengths=(2, 4),
        thinks=(0, 3),
        rounds=2,
        device=torch.device("cpu"),
        dtype=torch.float32,
        progress=lambda done, message: said.append(done),
    )
    assert {(t.recipe, t.batch, t.think, t.written) for t in times.timings} == {
        (recipe, batch, think, written)
        for batch in (1, 2)
        for recipe, think, written in (
            ("no-think", 0, 0),
            ("tte-flash", 3, 0),
            ("lame", 3, 0),
            ("explicit-cot", 0, 2),
            ("explicit-cot", 0, 4),
        )
    }
    assert all(len(t.seconds) == (2 if t.written else 2 * LATENT_TURNS) for t in times.timings)
    assert all(second > 0 for t in times.timings for second in t.seconds)
    assert (times.visual, times.size) == (49, "bundled")
    assert (times.kind, times.device) == ("cpu", processor_name())
    assert times.positions > times.visual
    assert said == sorted(said)
    assert said[-1] == 1.0
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.gpu
def test_it_times_on_a_gpu_in_bfloat16() -> None:
    times = time_embedding(
        size="bundled",
        batches=(4,),
        lengths=(3,),
        thinks=(2,),
        rounds=1,
        device=torch.device("cuda"),
        dtype=torch.bfloat16,
        progress=lambda done, message: None,
    )
    assert [timing.recipe for timing in times.timings] == ["no-think", "tte-flash", "lame", "explicit-cot", RECORDED]
    assert (times.kind, times.device) == ("cuda", torch.cuda.get_device_name())


def made() -> EmbedTimes:
    """no-think 10 ms; K = 8: 10.4; K = 64: 16; 100 tokens: 1,010; 200 tokens: 2,010."""

    def timing(recipe: str, seconds: float, think: int = 0, written: int = 0) -> Timing:
        return Timing(recipe=recipe, batch=2, think=think, written=written, seconds=(seconds, seconds, 2 * seconds))

    return EmbedTimes(
        size="bundled",
        parameters=1000,
        positions=60,
        visual=49,
        kind="cpu",
        device="Some CPU",
        dtype="float32",
        threads=1,
        torch="2",
        rounds=3,
        timings=(
            timing("no-think", 0.010),
            timing("tte-flash", 0.0104, think=8),
            timing("tte-flash", 0.016, think=64),
            timing("explicit-cot", 1.01, written=100),
            timing("explicit-cot", 2.01, written=200),
        ),
    )


def test_a_batch_that_does_not_fit_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = embedding._time_batch

    def time_batch(known: Any, prefixes: Any, *rest: Any) -> Any:
        if len(prefixes) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return timed(known, prefixes, *rest)

    monkeypatch.setattr(embedding, "_time_batch", time_batch)
    how: dict[str, Any] = {"lengths": (2,), "thinks": (0,), "rounds": 1, "latent_turns": 1, "dtype": torch.float32}
    how |= {"size": "bundled", "device": torch.device("cpu"), "progress": lambda *_: None}
    times = time_embedding(batches=(1, 3), **how)
    assert {timing.batch for timing in times.timings} == {1}
    assert times.left_out == (3,)
    assert "Batch 3: not timed, for memory ran out." in speed_sentences(times)
    assert speed_json(times)["left_out"] == [3]
    with pytest.raises(OutOfMemory, match="Memory ran out at a batch of 3; take smaller ones"):
        time_embedding(batches=(2, 3), **how)


def test_ratios_and_slopes_by_hand() -> None:
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)
    assert quartiles([7.0]) == (7.0, 7.0)
    times = made()
    assert ratios(times.timings[1], times.timings[0]) == pytest.approx((1.04, 1.04, 1.04))
    claims = {claim["claim"]: claim for claim in speed_json(times)["claims"]}
    assert claims["further time of tte-flash over no-think at K = 8"]["value"] == pytest.approx(4.0)
    assert claims["explicit-cot at 200 written tokens over tte-flash at K = 8"]["value"] == pytest.approx(2.01 / 0.0104)
    assert claims["a further think token"]["value"] == pytest.approx(0.1)
    assert claims["a further written token"]["value"] == pytest.approx(10.0)
    assert any("4 (4 to 4) %" in sentence for sentence in speed_sentences(times))
    assert "Batch 2: a further written token: 10 (10 to 15) ms per batch." in speed_sentences(times)
    first = speed_cells(times)[0]
    assert first == ("2", "no-think", "0", "0", "10", "10 to 15", "200", "1.000")
    text = speed_block(times, "thinkscope bench-embed")
    assert text.startswith(
        "`thinkscope bench-embed`. Size bundled: 0.0 million parameters, float32 on Some CPU, 1 thread, "
    )
    assert text.count("\n| ") == 7


def test_the_plot_is_a_file_of_its_own() -> None:
    tree = ElementTree.fromstring(speed_svg(made(), 2))
    circles = [element for element in tree.iter() if element.tag.endswith("circle")]
    assert len(circles) == 4
    heights = [float(circle.attrib["cy"]) for circle in circles]
    assert heights[0] > heights[1] > heights[2] > heights[3], "what takes longer stands higher"


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["bench-embed", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_bad_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--batches is 'a'" in refusal(capsys, "--batches", "a")
    assert "The batch size is 0" in refusal(capsys, "--batches", "0")
    assert "number of rounds is 0" in refusal(capsys, "--rounds", "0")
    assert "length of written reasoning is 9999" in refusal(capsys, "--written", "9999")
    assert "--threads is 0" in refusal(capsys, "--threads", "0")
    assert "cannot be read" in refusal(capsys, "--page", str(tmp_path / "none.md"))
    assert "no folder" in refusal(capsys, "--svg", str(tmp_path / "none" / "a.svg"))
    monkeypatch.setattr(backbones, "_PARAMETERS_2B", 10**15)
    assert "needs about" in refusal(capsys, "--size", "2b", "--device", "cpu")


def test_the_command_prints_json_and_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["bench-embed", "--batches", "1", "--written", "2", "--think", "2", "--rounds", "1", "--device", "cpu"]
    page = tmp_path / "page.md"
    page.write_text(
        "# Speed\n<!-- bench-embed bundled:begin -->\n<!-- bench-embed bundled:end -->\nend\n", encoding="utf-8"
    )
    assert main([*words, "--json", "--svg", str(tmp_path / "speed.svg"), "--page", str(page)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [timing["recipe"] for timing in told["timings"]] == ["no-think", "tte-flash", "lame", "explicit-cot"]
    assert told["timings"][-1]["written_tokens"] == 2
    assert ElementTree.parse(tmp_path / "speed.svg")
    filled = page.read_text(encoding="utf-8")
    assert "| 1 | explicit-cot | 0 | 2 |" in filled
    assert "--size bundled --batches 1 --written 2 --think 0,2 --rounds 1 --threads " in filled
    assert " --device cpu --dtype float32`. Size bundled: " in filled
    assert "- Claim: " in filled
    assert main(words) == 0
    assert "explicit-cot at 2 written tokens over tte-flash at K = 2" in capsys.readouterr().out


def test_what_was_asked_of_the_machine_is_in_the_command_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench-embed bundled:begin -->\n<!-- bench-embed bundled:end -->\n", encoding="utf-8")
    words = ["--batches", "1", "--written", "2", "--think", "2", "--rounds", "1", "--device", "cpu"]
    assert main(["bench-embed", *words, "--dtype", "bfloat16", "--page", str(page)]) == 0
    assert " --device cpu --dtype bfloat16`. Size bundled: 2.6 million parameters, bfloat16 on " in page.read_text()


def test_each_kind_of_device_has_its_block() -> None:
    names = {(size, kind): block_name(size, kind) for size in ("bundled", "2b") for kind in ("cpu", "cuda")}
    assert len(set(names.values())) == 4
    assert names["2b", "cpu"] == "bench-embed 2b"
    for name in names.values():
        assert read_page(Path(__file__).parents[2] / "docs" / "bench-embed.md", name)
