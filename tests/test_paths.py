"""Folders that something is made in."""

import os
import time

import pytest

from sapphire.paths import ABANDONED, scratch


def test_a_scratch_folder_is_gone_at_the_end_also_after_a_failure(tmp_path):
    with scratch(tmp_path) as work:
        (work / "part").write_text("half")
    with pytest.raises(ValueError), scratch(tmp_path) as work:
        (work / "part").write_text("half")
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_goes_once_it_is_a_day_old(tmp_path):
    old, young, model = tmp_path / ".install-old", tmp_path / ".install-young", tmp_path / "model"
    for each in (old, young, model):
        each.mkdir()
        (each / "weights").write_text("some")
    for each in (old, model):
        os.utime(each, (time.time() - ABANDONED - 60,) * 2)
    with scratch(tmp_path) as work:
        assert {each.name for each in tmp_path.iterdir()} == {".install-young", "model", work.name}
