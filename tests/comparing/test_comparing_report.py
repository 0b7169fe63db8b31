"""The report is one file without scripts; JSON keeps to its schema; what is listed and shown in full is what changed."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from comparisons import QUERIES, WordModel, compare

from workbench.comparing.document import comparison_json, schema
from workbench.comparing.making import Compared
from workbench.comparing.report import choose_samples, comparison_html
from workbench.render.comparison_html import changed_lists
from workbench.render.comparison_maps import cells_by_image
from workbench.render.comparison_parts import arrow_html, refused_html
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


def test_lists_hold_who_changed_most_first(compared: Compared) -> None:
    (_, fell), (_, rose), (_, said) = changed_lists(compared.comparison.pairs[0])
    red = {place for place, query in enumerate(QUERIES) if "red" in query}
    assert {one.sample for one in fell} == red == {one.sample for one in said}
    assert rose == []
    gains = [one.gained or 0 for one in fell]
    assert gains == sorted(gains)


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


def test_an_image_that_has_gone_is_told(tmp_path: Path) -> None:
    from workbench.errors import BadInput

    compared = compare(tmp_path, WordModel("one"), WordModel("two", swaps={"red": "blue"}))
    (tmp_path / "data" / "0.png").unlink()
    with pytest.raises(BadInput, match=r"0\.png"):
        comparison_html(compared)
