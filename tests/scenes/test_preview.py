"""Contact sheets show each picture unaltered, in the row of its name."""

import imageio.v3 as iio
import numpy as np
import pytest

from scenes import preview, rooms
from scenes.kit import errors, sheets


def holds(sheet, picture):
    """Where a picture lies in a sheet; None if it does not."""
    windows = np.lib.stride_tricks.sliding_window_view(sheet, picture.shape)[:, :, 0]
    found = np.argwhere((windows == picture).all((2, 3, 4)))
    return tuple(found[0]) if len(found) else None


def test_contact_sheet_keeps_pictures_and_order():
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(0, 256, (n, 9, 7, 3), np.uint8) for name, n in (("first", 3), ("a longer name", 2))}
    sheet = sheets.contact_sheet(rows)
    places = {(name, i): holds(sheet, picture) for name, row in rows.items() for i, picture in enumerate(row)}
    assert None not in places.values()
    assert places["first", 0][0] == places["first", 2][0] < places["a longer name", 0][0]
    assert places["first", 0][1] == places["a longer name", 0][1] < places["first", 1][1]
    labels = sheet[:, : places["first", 0][1]]
    assert len(np.unique(labels[: places["first", 0][0] + 9])) > 2  # something is written there


def test_preview_writes_what_the_renderer_drew(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    line = f"rooms --n 2 --size 24 --splits train new-shapes --seed 4 --env.n-objects 2 --out {out}"
    assert preview.main(line.split()) == out
    assert str(out) in capsys.readouterr().out
    sheet = iio.imread(out)
    given = sheets.Preview(n=2, size=24, seed=4)
    for split in ("train", "new-shapes"):
        for picture in preview.draw(rooms, rooms.Config(n_objects=2), split, given):
            assert picture.std() > 5 and holds(sheet, picture) is not None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("room", "did you mean 'rooms'"),
        ("rooms --splits trian", "did you mean 'train'"),
        ("rooms --renderer raycats", "did you mean 'raycast'"),
        ("rooms --n 0", "n is 0, wanted 1 to 1000"),
        ("rooms --n 100000000000", "n is 100000000000, wanted 1 to 1000"),
        ("rooms --size 0", "size is 0, wanted 1 to 4096"),
        ("rooms --n 1 --size 8 --splits train --out .", "cannot write .: it is a folder"),
        ("rooms --env.new-shapes boks", "did you mean 'box'"),
    ],
)
def test_slips_leave_no_file(line, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.CaveError, match=told):
        preview.main(line.split())
    assert not list(tmp_path.iterdir())
