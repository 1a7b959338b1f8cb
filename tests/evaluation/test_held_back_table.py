"""Tables of stages: means over passages first, then over pictures, intervals by group."""

from pathlib import Path

import pytest

from vestige.errors import DataError
from vestige.evaluation.held_back import held_back_table


def test_means_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "held-back.csv"
    lines = [
        ("a.png", "x", 0, 10),
        ("a.png", "x", 1, 20),
        ("b.png", "x", 0, 30),
        ("c.png", "y", 0, 40),
        ("d.png", "y", 0, 50),
    ]
    path.write_text("picture,group,draw,psnr\n" + "".join(f"{','.join(map(str, one))}\n" for one in lines))
    table = held_back_table("t", {"dair": path})
    # Pictures: 15, 30, 40, 50. Two groups: a draw has one of them twice or both.
    assert table.rows == [["dair", "psnr", "33.75 (22.5 to 45)", "4", "2"]]


def test_one_group_gives_no_interval(tmp_path: Path) -> None:
    path = tmp_path / "held-back.csv"
    path.write_text("picture,group,draw,psnr\na.png,x,0,10\nb.png,x,0,20\n")
    table = held_back_table("t", {"dair": path})
    assert table.rows == [["dair", "psnr", "15 (no interval)", "2", "1"]]
    assert "over pictures that the stage was not trained on" in table.note


@pytest.mark.parametrize(
    "text", ["", "picture,group,draw,psnr\n", "picture,group,draw,psnr\na,b,0,loud\n", "psnr\n1\n"]
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "held-back.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"held-back\.csv: cannot be read as figures of a stage"):
        held_back_table("t", {"dair": path})
