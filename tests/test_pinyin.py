import hashlib

import pytest
from pypinyin import Style
from pypinyin.style import convert
from pypinyin_dict.pinyin_data import ktghz2013

from h2p_hf.pinyin import STYLES, id2label, label2id, labels, normalize, syllables, to_style


def test_label_ids_never_change():
    # Checkpoints in people's hands depend on this order: a new syllable goes with a new label map, never into this one.
    assert hashlib.sha256("\n".join(labels()).encode()).hexdigest()[:16] == "3baeb3d2b46ebdc4"
    assert labels()[0] == "O"
    assert {i: label for label, i in label2id().items()} == id2label()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("háng", "hang2"),
        ("HANG2", "hang2"),
        (" lǜ ", "lv4"),
        ("lu:4", "lv4"),
        ("lü4", "lv4"),
        ("lüè", "lve4"),
        ("nu:e4", "nve4"),
        ("de", "de5"),
        ("de0", "de5"),
        ("r", "r5"),
        ("er5", "r5"),
        ("er2", "er2"),
        ("ha\u0301ng", "hang2"),
    ],
)
def test_normalize(raw, expected):
    assert normalize(raw) == expected


@pytest.mark.parametrize("raw", ["", "5", "xyz1", "hang6", "háng2", "行", "a b", "ba9", None, 3])
def test_normalize_rejects(raw):
    with pytest.raises(ValueError, match="pinyin syllable|syllable of Mandarin"):
        normalize(raw)


def test_every_syllable_round_trips_through_its_tone_mark():
    assert [s for s in syllables() if normalize(to_style(s, "tone")) != s] == []


def test_every_reading_of_the_general_standard_table_is_in_the_inventory():
    missing = {
        raw
        for readings in ktghz2013.pinyin_dict.values()
        for raw in readings.split(",")
        if normalize(raw) not in syllables()
    }
    assert missing == set()


def test_styles_are_those_of_pypinyin():
    for style, member in STYLES.items():
        if style in ("tone", "normal", "bopomofo", "cyrillic", "initials", "finals"):
            expected = convert("zhuàng", member, strict=False)
            assert to_style("zhuang4", style) == expected
    assert to_style("lv4", "bopomofo") == convert("lǜ", Style.BOPOMOFO, strict=False)
    assert to_style("de5", "tone3") == "de5"


def test_unknown_style():
    with pytest.raises(ValueError, match="unknown style 'roman': choose from tone"):
        to_style("hang2", "roman")
