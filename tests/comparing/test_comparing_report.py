"""The report is one file without scripts; JSON keeps to its schema; what is listed and shown in full is what changed."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from comparisons import QUERIES, WordModel, compare, write_data

from workbench.comparing.document import comparison_json, schema
from workbench.comparing.making import Compared
from workbench.comparing.question import pose
from workbench.comparing.report import choose_samples, comparison_html, unread_notes
from workbench.render.comparison_html import changed_lists
from workbench.render.comparison_layers import grids_html
from workbench.render.comparison_maps import cells_by_image
from workbench.render.comparison_parts import arrow_html, likeness_cells, likeness_html, refused_html
from workbench.types import PatchGrid

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("compared")
    models = [WordModel("good"), WordModel("blind", swaps={"red": "blue"}), WordModel("fine", finer=True, noise=1)]
    return compare(folder, *models)


class Outline(HTMLParser):
    """Tags and what they fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href") and tag != "a":
                self.sources.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name == "href" and tag == "a":
                self.links.append(value or "")


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    return found


def test_json_keeps_to_its_schema(compared: Compared) -> None:
    values = comparison_json(compared.comparison)
    text = json.dumps(values, allow_nan=False)
    jsonschema.Draft202012Validator(schema()).validate(json.loads(text))
    assert values["schema"] == "thinkscope.comparison"
    assert [pair["other"] for pair in values["pairs"]] == [1, 2]
    grid = values["pairs"][0]["layers"]
    assert np.array(grid["overlap"]).shape == (len(grid["rows"]), len(grid["cols"])) == (3, 3)
    deep = [(one["of"], one["layer"], one["think"]) for one in values["pairs"][0]["by_depth"]]
    assert deep[:4] == [
        ("thoughts", [1, 1], []),
        ("thoughts", [2, 2], []),
        ("thoughts", [3, 3], []),
        ("thought", [1, 1], [1, 1]),
    ]
    assert len(deep) == 3 * (1 + 4)


def test_the_schema_refuses_what_is_wrong(compared: Compared) -> None:
    values = json.loads(json.dumps(comparison_json(compared.comparison)))
    values["pairs"][0]["changes"][0]["words"] = 2
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(values)


def test_the_report_is_one_file_without_scripts(compared: Compared) -> None:
    text = comparison_html(compared)
    found = outline(text)
    assert "script" not in found.tags
    assert "link" not in found.tags
    assert all(source.startswith("data:") for source in found.sources)
    assert not re.findall(r"url\((?!data:)", text)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert "<del>red</del>" in text
    assert "<ins>blue</ins>" in text
    assert "mean over 6 samples" in text
    # Other patches: the maps are shown, but nothing slides over them.
    assert "cut the image into other patches (3 x 5 and 6 x 10)" in text
    shown = [len(choose_samples(pair)) for pair in compared.comparison.pairs]
    assert text.count('<div class="cp-over">') == shown[0] * 5


def test_foreign_text_stays_text(compared: Compared) -> None:
    comparison = compared.comparison
    samples = tuple(replace(one, text=EVIL, thoughts=(EVIL, EVIL, EVIL)) for one in comparison.samples)
    sides = tuple(replace(one, title=EVIL) for one in comparison.sides)
    hostile = replace(comparison, samples=samples, sides=sides, notes=(EVIL,))
    text = comparison_html(replace(compared, comparison=hostile))
    assert EVIL not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_the_sample_that_is_asked_for_comes_first(compared: Compared) -> None:
    pair = compared.comparison.pairs[0]
    assert choose_samples(pair)[0] == 0
    assert choose_samples(pair, 3)[0] == 3
    text = comparison_html(compared, first="q3")
    assert text.index('id="p0s3"') < text.index('id="p0s0"')


def test_a_sample_that_one_could_not_read_is_told_and_does_not_come_first(tmp_path: Path) -> None:
    models = WordModel("one"), WordModel("picky", refuses=QUERIES[3:4]), WordModel("three")
    compared = compare(tmp_path, *models)
    note = (
        "Sample 'q3' was asked for, but 'picky' could not read it: 'blue square right' is not for picky. 'picky' against 'one' "
        "opens with sample 'q0' instead."
    )
    assert unread_notes(compared.comparison, "q3") == [note]
    text = comparison_html(compared, first="q3")
    assert html.escape(note) in text
    assert 'id="p0s0" open' in text
    assert 'id="p1s3" open' in text
    assert "was asked for" not in comparison_html(compared, first="q2")
    assert unread_notes(compared.comparison, "q99") == unread_notes(compared.comparison, None) == []


def test_lists_hold_who_changed_most_first(compared: Compared) -> None:
    (_, fell), (_, rose), (_, said) = changed_lists(compared.comparison.pairs[0])
    red = {place for place, query in enumerate(QUERIES) if "red" in query}
    assert {one.sample for one in fell} == red == {one.sample for one in said}
    assert rose == []
    gains = [one.gained or 0 for one in fell]
    assert gains == sorted(gains)


def test_chance_and_procrustes_are_told_at_like_depth(compared: Compared) -> None:
    pair = compared.comparison.pairs[1]
    text = grids_html(pair, ("good", "fine"))
    layers, deep = text.split("Matched think tokens at every depth")
    rows = [one for one in pair.by_depth if one.of == "thoughts"]
    table = layers[layers.index("Layers of like depth") :]
    for one in rows:
        cells = (f"Layer {one.layer[0]}", *likeness_cells(one))
        row = "</td>".join(
            f"<td>{cell}" if not place else f'<td class="cp-number">{cell}' for place, cell in enumerate(cells)
        )
        assert row in table
    # All against all has values alone; the pairs at each depth have p, and what is unexplained beside its chance.
    assert "p 0." not in layers
    single = [one for one in pair.by_depth if one.of == "thought"]
    assert len(single) == 3 * 4
    cells = re.findall(r"<td [^>]*>(-?[0-9.]+) <small>(p|of) ([0-9.]+)</small>", deep)
    assert [cell for cell in cells if cell[1] == "of"] == [
        (f"{one.residual:.2f}", "of", f"{one.residual_chance:.2f}") for one in single
    ]
    assert [cell for cell in cells if cell[1] == "p"] == [
        *((f"{one.overlap.value:z.2f}", "p", f"{one.overlap_p:.3f}") for one in single),
        *((f"{one.cka:z.2f}", "p", f"{one.cka_p:.3f}") for one in single),
    ]
    assert "best match" not in text


def test_a_choice_of_pairs_is_told_with_the_chance_that_it_has(compared: Compared) -> None:
    pair = replace(compared.comparison.pairs[0], matched="likeness")
    assert "the tokens are matched anew in each shuffle" in grids_html(pair, ("a", "b"))
    assert "the tokens are matched anew in each shuffle" in likeness_html(pair)
    assert "matched anew" not in likeness_html(compared.comparison.pairs[0])


def test_arrows_point_up_for_the_better_rank() -> None:
    assert "▲ 3" in arrow_html(4, 1)
    assert "▼ 3" in arrow_html(1, 4)
    assert "=" in arrow_html(2, 2)
    assert arrow_html(None, 2) == ""


def test_refusals_are_told_in_plain_words(compared: Compared) -> None:
    assert "<b>Attention maps</b>: The images of 6 of 6 samples" in refused_html(compared.comparison.pairs[1])
    assert refused_html(compared.comparison.pairs[0]) == ""


def test_a_row_is_cut_into_its_images() -> None:
    grids = (PatchGrid(frames=1, rows=2, cols=3, start=0), PatchGrid(frames=2, rows=1, cols=2, start=6))
    row = np.arange(10, dtype=np.float32)
    first, second = cells_by_image(row, grids)
    np.testing.assert_array_equal(first, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(second, [[7, 8]])


def test_a_sample_whose_image_has_gone_is_shown_without_it(tmp_path: Path) -> None:
    compared = compare(tmp_path, WordModel("one"), WordModel("two", swaps={"red": "blue"}))
    whole = comparison_html(compared)
    (tmp_path / "data" / "0.png").unlink()
    page = comparison_html(compared)
    assert "Sample &#x27;q0&#x27; is shown without its picture: There is no file" in page
    assert "without its picture" not in whole
    assert 0 < page.count('<div class="cp-shown">') == whole.count('<div class="cp-shown">') - 1


def test_only_pictures_that_slide_are_said_to(tmp_path: Path) -> None:
    models = WordModel("one"), WordModel("two", swaps={"red": "blue"})
    bare = compare(tmp_path / "bare", *models, question=pose(str(write_data(tmp_path / "bare", images=False))))
    assert "Drag the lower right corner" in comparison_html(compare(tmp_path / "a", *models))
    assert "Drag the lower right corner" not in comparison_html(bare)
    finer = comparison_html(compare(tmp_path / "b", WordModel("one"), WordModel("two", finer=True)))
    assert "Drag the lower right corner" not in finer


def test_values_of_other_samples_say_of_how_many_they_are(tmp_path: Path) -> None:
    few = compare(tmp_path / "few", WordModel("one"), WordModel("two", refuses=[QUERIES[0]]))
    page = comparison_html(few)
    assert "(100.0% to 100.0%) <small>of 6</small>" in page
    assert "(100.0% to 100.0%) <small>of 5</small>" in page
    same = comparison_html(compare(tmp_path / "all", WordModel("one"), WordModel("two")))
    assert "(100.0% to 100.0%)</td>" in same
    assert "(100.0% to 100.0%) <small>of" not in same
