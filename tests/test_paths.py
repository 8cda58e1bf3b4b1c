"""Folders that something is made in."""

import os
import time

import pytest

from sapphire.paths import ABANDONED, renewed


def test_a_folder_takes_its_place_whole_and_nothing_else_stays(tmp_path):
    target = tmp_path / "model"
    for content in ("first", "second"):
        with renewed(target) as new:
            (new / "weights").write_text(content)
            (new.parent / "download").write_text("thrown away")
            assert not target.exists() or (target / "weights").read_text() == "first"
        assert (target / "weights").read_text() == content
    assert list(tmp_path.iterdir()) == [target] and [each.name for each in target.iterdir()] == ["weights"]


def test_after_an_error_the_folder_is_as_it_was(tmp_path):
    target = tmp_path / "model"
    with renewed(target) as new:
        (new / "weights").write_text("whole")
    with pytest.raises(ValueError), renewed(target) as new:
        (new / "weights").write_text("half")
        raise ValueError
    assert list(tmp_path.iterdir()) == [target] and (target / "weights").read_text() == "whole"


def test_what_a_kill_left_goes_once_it_is_a_day_old(tmp_path):
    old, young, model = tmp_path / ".install-old", tmp_path / ".install-young", tmp_path / "model"
    for each in (old, young, model):
        each.mkdir()
        (each / "weights").write_text("some")
    for each in (old, model):
        os.utime(each, (time.time() - ABANDONED - 60,) * 2)
    with renewed(tmp_path / "other") as new:
        assert {each.name for each in tmp_path.iterdir()} == {".install-young", "model", new.parent.name}
