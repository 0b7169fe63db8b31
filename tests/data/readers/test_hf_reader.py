"""The library `datasets`: saved, laid out as on the hub, or out of reach."""

import sys
from pathlib import Path

import datasets
import pytest
from published import encoded, picture, write_picture, write_table

from workbench.data.reader import find_reader, read_pairs
from workbench.data.sifting import Report
from workbench.errors import BadInput, MissingExtra
from workbench.images import open_image


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_a_repository_as_it_lies_on_the_hub(tmp_path: Path) -> None:
    rows = [{"query": f"q{place}", "image": encoded()} for place in range(4)]
    folder = tmp_path / "copy"
    write_table(folder / "data" / "test-00000-of-00002.parquet", rows[:3])
    write_table(folder / "data" / "test-00001-of-00002.parquet", rows[3:])
    write_table(folder / "data" / "train-00000-of-00001.parquet", rows[:1])
    pairs = list(read_pairs(str(folder)))
    assert [pair.query.text for pair in pairs] == ["q0", "q1", "q2", "q3"]
    assert open_image(pairs[3].query.images[0]).size == (50, 30)
    assert len(list(read_pairs(str(folder), split="train"))) == 1


def test_a_configuration_is_picked_after_a_hash(tmp_path: Path) -> None:
    for config in ("easy", "hard"):
        write_table(tmp_path / config / "test-00000-of-00001.parquet", [{"query": config}])
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(
            f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}/test-*\n"
            for name in ("easy", "hard")
        )
        + "---\n# Data\n"
    )
    assert [pair.query.text for pair in read_pairs(f"hf:{tmp_path}#hard")] == ["hard"]
    with pytest.raises(BadInput, match=r"cannot be read: .*easy"):
        list(read_pairs(f"hf:{tmp_path}#harder"))


def test_a_folder_of_images_as_the_library_knows_it(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_picture(folder / "test" / "one.png", "red", (12, 14))
    (folder / "test" / "metadata.jsonl").write_text('{"file_name": "one.png", "question": "what ?"}\n')
    [pair] = read_pairs(f"hf:{folder}")
    assert pair.query.text == "what ?"
    assert (pair.query.images[0].width, pair.query.images[0].height) == (12, 14)


def test_a_saved_single_split_has_no_other(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list([{"query": "a", "image": {"bytes": picture(), "path": None}}] * 2)
    data.cast_column("image", datasets.Image()).save_to_disk(str(tmp_path / "one"))
    reader, source = find_reader(str(tmp_path / "one"))
    assert reader.name == "hf"
    assert [pair.row for pair in reader.read(source, split="test")] == [1, 2]


def test_a_damaged_image_spoils_its_row_only(tmp_path: Path) -> None:
    rows = [{"query": "a", "image": encoded()}, {"query": "b", "image": {"bytes": b"\x89PNG cut", "path": "b.png"}}]
    write_table(tmp_path / "copy" / "data" / "test-00000-of-00001.parquet", [*rows, {"query": "c", "image": None}])
    report = Report()
    pairs = list(read_pairs(str(tmp_path / "copy"), on_error="skip", report=report))
    assert [pair.query.text for pair in pairs] == ["a", "c"]
    [problem] = report.problems
    assert problem.row == 2
    assert "'b.png'" in problem.reason


def test_a_name_of_the_hub_without_network_says_what_to_do() -> None:
    with pytest.raises(BadInput, match=r"the hub did not give it.*hf download --repo-type dataset owner/name"):
        next(read_pairs("hf:owner/name@abc#config"))
    reader, source = find_reader("hf:owner/name")
    with pytest.raises(BadInput, match="the hub did not give it"):
        reader.describe(source, split="test")


@pytest.mark.parametrize("source", ["/no/such/folder", "a/b/c", "", "https://huggingface.co/datasets/a/b"])
def test_what_is_neither_folder_nor_name_is_told(source: str) -> None:
    with pytest.raises(BadInput, match="expected OWNER/NAME"):
        next(read_pairs(f"hf:{source}"))


def test_without_the_library_the_install_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install 'thinkscope\[data\]'"):
        next(read_pairs(f"hf:{tmp_path}"))
