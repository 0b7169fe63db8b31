"""Where tables lie, and which data it is."""

from pathlib import Path

import pytest

from workbench.data.layout import find_tables
from workbench.data.revision import found_commit, hash_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("names", "config", "found"),
    [
        (
            ["c/test-1.parquet", "c/test-0.parquet", "c/test_hard-0.parquet"],
            "c",
            ["c/test-0.parquet", "c/test-1.parquet"],
        ),
        (["data/test-0.parquet", "test.parquet"], None, ["data/test-0.parquet"]),
        (["test.parquet", "tests.parquet"], None, ["test.parquet"]),
        (["c/test/0.parquet"], "c", ["c/test/0.parquet"]),
        (["default/test/0.parquet"], None, ["default/test/0.parquet"]),
        (["test.jsonl"], None, ["test.jsonl"]),
        (["other/test-0.parquet"], "c", []),
    ],
)
def test_tables_are_found_where_the_hub_puts_them(
    tmp_path: Path, names: list[str], config: str | None, found: list[str]
) -> None:
    touch(tmp_path, *names)
    assert [path.relative_to(tmp_path).as_posix() for path in find_tables(tmp_path, config, "test")] == found


def test_the_card_decides_and_cannot_point_outside(tmp_path: Path) -> None:
    touch(tmp_path, "odd/place.parquet", "c/test-0.parquet")
    card = "---\nconfigs:\n- config_name: c\n  data_files:\n  - split: test\n    path: {path}\n---\n"
    (tmp_path / "README.md").write_text(card.format(path="odd/*.parquet"))
    assert [path.name for path in find_tables(tmp_path, "c", "test")] == ["place.parquet"]
    (tmp_path / "README.md").write_text(card.format(path="../*.parquet"))
    assert [path.name for path in find_tables(tmp_path, "c", "test")] == ["test-0.parquet"]
    (tmp_path / "README.md").write_text("---\n: [broken\n---\n")
    assert [path.name for path in find_tables(tmp_path, "c", "test")] == ["test-0.parquet"]


def test_the_commit_of_a_clone_and_of_a_download(tmp_path: Path) -> None:
    assert found_commit(tmp_path) == ""
    clone = tmp_path / "clone"
    touch(clone, ".git/HEAD", ".git/packed-refs")
    (clone / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert found_commit(clone) == ""
    (clone / ".git" / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/main\n")
    assert found_commit(clone) == COMMIT
    (clone / ".git" / "HEAD").write_text(COMMIT)
    assert found_commit(clone) == COMMIT
    download = tmp_path / "download"
    touch(download, ".cache/huggingface/download/data/x.parquet.metadata")
    (download / ".cache/huggingface/download/data/x.parquet.metadata").write_text(f"{COMMIT}\netag\n1.0\n")
    assert found_commit(download) == COMMIT


def test_names_and_contents_make_the_hash_but_not_the_place(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text("x")
        (tmp_path / folder / "b").write_text("y")

    def held(folder: str) -> str:
        return hash_files((tmp_path / folder).iterdir(), root=tmp_path / folder)

    assert held("one") == held("other")
    (tmp_path / "other" / "b").write_text("z")
    assert held("one") != held("other")
    (tmp_path / "other" / "b").write_text("y")
    (tmp_path / "other" / "b").rename(tmp_path / "other" / "c")
    assert held("one") != held("other")
