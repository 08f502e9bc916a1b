import os

import pytest

from streams.regular_files import (
    NotRegularError,
    TooLargeError,
    expect_inside,
    open_regular,
    read_bounded,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")


def test_the_bytes_of_a_file_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_bounded(tmp_path / "file", 5) == b"12345"
    assert read_bounded(tmp_path / "link", 5) == b"12345"
    with pytest.raises(TooLargeError, match="more than the 4 bytes that are read"):
        read_bounded(tmp_path / "file", 4)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-pipe").symlink_to("pipe")
    for name in ("pipe", "to-pipe", "/dev/zero"):
        with pytest.raises(NotRegularError, match="a device, pipe or socket"):
            open_regular(tmp_path / name)
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        open_regular(tmp_path)
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        open_regular(tmp_path / "round")


def test_links_are_refused_where_they_are_not_wanted(tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(NotRegularError, match="it is a link"):
        open_regular(tmp_path / "link", links=False)


def test_a_link_on_the_way_out_of_a_folder_is_refused(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "run").mkdir(parents=True)
    outside.mkdir()
    (root / "out").symlink_to(outside)
    expect_inside(str(root), str(root / "run" / "file"))
    expect_inside(str(root), str(root / "not-there" / "yet" / "file"))
    with pytest.raises(NotRegularError, match="leads out of the store"):
        expect_inside(str(root), str(root / "out" / "file"))
    (tmp_path / "other-name").symlink_to(root)
    expect_inside(str(tmp_path / "other-name"), str(tmp_path / "other-name" / "run" / "file"))
