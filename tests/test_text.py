import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2p_hf import InputError
from h2p_hf.files import atomic_write, json_line, read_lines
from h2p_hf.text import is_hanzi, owned, windows


@pytest.mark.parametrize("char", ["一", "龥", "㐀", "\U00020bb7", "\U0002ebf0", "\U00031350", "豈", "〇"])
def test_hanzi(char):
    assert is_hanzi(char)


@pytest.mark.parametrize("char", ["a", "，", "の", "한", "１", "🙂", "\ud842", "\0", "々", " ", "é"])
def test_no_hanzi(char):
    assert not is_hanzi(char)


@given(
    text=st.text(alphabet="长大了。！\n”a ", max_size=300),
    size=st.integers(1, 40),
    overlap=st.integers(0, 39),
)
def test_windows_cover_the_text_and_share_it_out(text, size, overlap):
    spans = windows(text, size, min(overlap, size - 1))
    assert all(0 < end - start <= size for start, end in spans)
    shares = owned(spans)
    assert [i for first, last in shares for i in range(first, last)] == list(range(len(text)))
    assert all(start <= first <= last <= end for (start, end), (first, last) in zip(spans, shares, strict=True))


def test_windows_keep_sentences_whole():
    text = "今天很好。" * 4
    assert windows(text, 12, 3) == [(0, 10), (10, 20)]


def test_windows_reject_an_overlap_as_long_as_the_window():
    with pytest.raises(ValueError, match="overlap"):
        windows("长", 3, 3)


def test_lines_that_are_not_utf8(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("好\n".encode() + "银行".encode("gbk"))
    with pytest.raises(InputError, match=r"a\.txt, line 2: not UTF-8 .*: convert the file"):
        list(read_lines(path))


def test_atomic_write_leaves_nothing_behind_on_failure(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_refuses_what_it_cannot_replace(tmp_path):
    (tmp_path / "file").write_text("old")
    for path, message in (
        (tmp_path / "no" / "out.txt", "No such file"),
        (tmp_path / "file" / "out.txt", "Not a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path, "no ordinary file"),
        ("/dev/null", "no ordinary file"),
    ):
        with pytest.raises(InputError, match=f"cannot write .*{message}"), atomic_write(path):
            pass
    link = tmp_path / "link"
    link.symlink_to("file")
    with atomic_write(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_json_line():
    assert json_line({"a": "长"}) == '{"a": "长"}\n'
    assert json.loads(json_line("\ud800长")) == "\ud800长"
