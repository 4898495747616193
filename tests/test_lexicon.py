from importlib.resources import files

import pytest
from pypinyin_dict.pinyin_data import ktghz2013, kxhc1983

from h2p_hf import InputError
from h2p_hf.lexicon import (
    UserDictionary,
    _large_pinyin,
    general_standard,
    is_polyphone,
    large_pinyin_phrases,
    phrase_table,
    readings,
)
from h2p_hf.phrases import PhraseTable
from h2p_hf.pinyin import normalize, syllables


def test_readings_are_those_people_use_most_common_first():
    assert readings("江") == ("jiang1",)
    assert readings("王") == ("wang2", "wang5")  # 阎王; Unihan also has wang4 and yu4
    assert readings("行")[0] == "xing2"
    assert set(readings("了")) == {"le5", "liao3"}
    assert "zi5" in readings("子")
    assert readings("銀") == ("yin2",)
    assert readings("a") == readings("") == readings("银行") == ()


def test_every_character_of_the_table_has_readings_in_the_inventory():
    for char in general_standard():
        assert readings(char), char
        assert set(readings(char)) <= syllables()


def test_polyphones_of_the_table_are_polyphones():
    table = {
        chr(code) for code, raw in ktghz2013.pinyin_dict.items() if len({normalize(r) for r in raw.split(",")}) > 1
    }
    assert len(table) > 590
    assert all(map(is_polyphone, table))
    assert not is_polyphone("西")  # 东西 has a neutral tone, but that makes no polyphone


def test_additions_add_something():
    for line in files("h2p_hf").joinpath("resources/readings.tsv").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            char, reading, kind = line.split("\t")
            assert kind in ("reading", "neutral")
            assert normalize(reading) == reading
            table = ktghz2013.pinyin_dict if ord(char) in ktghz2013.pinyin_dict else kxhc1983.pinyin_dict
            assert reading not in [normalize(raw) for raw in table[ord(char)].split(",")], line


def test_longest_match_from_the_left():
    table = PhraseTable({"银行": ["yin2", "hang2"], "银行家": ["yin2", "hang2", "jia1"], "行家": ["hang2", "jia1"]})
    assert table.match("在银行家里") == [(1, 4, ("yin2", "hang2", "jia1"))]
    assert table.match("银行") == [(0, 2, ("yin2", "hang2"))]
    assert table.match("银") == table.match("") == []


def test_longest_match_from_the_right():
    table = PhraseTable({"着重": ["zhuo2", "zhong4"], "重复": ["chong2", "fu4"]})
    assert table.match("试着重复说", backward=True) == [(2, 4, ("chong2", "fu4"))]
    assert table.readings("试着重复说") == {1: "zhuo2", 2: "zhong4"}
    assert table.match("着重，重复", backward=True) == [(0, 2, ("zhuo2", "zhong4")), (3, 5, ("chong2", "fu4"))]
    assert table.match("复", backward=True) == table.match("", backward=True) == []


def test_phrases_come_in_normal_form():
    assert phrase_table().readings("在银行") == {1: "yin2", 2: "hang2"}
    # biáng is no syllable of the inventory
    assert phrase_table().readings("\U00030edd\U00030edd面") in ({}, {0: None, 1: None, 2: "mian4"})


def test_corrections_are_words_with_readings_of_the_lexicon():
    ours = UserDictionary.load(str(files("h2p_hf").joinpath("resources/phrases.tsv"))).entries
    assert len(ours) > 1000
    table = large_pinyin_phrases()
    for word, wanted in ours.items():
        assert all(r is None or r in readings(char) for char, r in zip(word, wanted, strict=True)), word
        assert tuple(phrase_table().readings(word).values()) == wanted
        assert word not in table or tuple(table.readings(word).values()) != wanted, f"{word} corrects nothing"
    assert large_pinyin_phrases().readings("影片")[1] == "pian1" != phrase_table().readings("影片")[1]


def test_every_phrase_can_be_parsed():
    table = phrase_table()
    known = sum(reading is not None for phrase in table for reading in table.readings(phrase).values())
    assert len(table) > 400_000
    assert known > 1_000_000


def test_user_dictionary(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# comment\n\n行长\tháng zhǎng\nA股\t- gu3\n", encoding="utf-8-sig")
    dictionary = UserDictionary.load(path)
    assert dictionary.readings("A股行长") == {0: None, 1: "gu3", 2: "hang2", 3: "zhang3"}
    assert UserDictionary.from_mapping({"长": "chang2"}).readings("很长") == {1: "chang2"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("行长 hang2 zhang3", "line 2: write the phrase, a tab and its readings"),
        ("行长\thang2", "line 2: 行长 has 2 characters but 1 readings are given"),
        ("行长\thang2 xyz", "line 2: 'xyz' is not a syllable"),
        ("行长\t- zhang3", "line 2: '-' is not a syllable"),
        ("\thang2", "line 2: write the phrase"),
        ("A股\tei1 gu3", "line 2: 'A' is no hanzi: write - for its reading"),
    ],
)
def test_bad_user_dictionary(tmp_path, line, message):
    path = tmp_path / "words.txt"
    path.write_text("银\tyin2\n" + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        UserDictionary.load(path)


def test_missing_user_dictionary(tmp_path):
    with pytest.raises(InputError, match="cannot read .*: No such file"):
        UserDictionary.load(tmp_path / "none.txt")


def test_question_mark_leaves_a_hanzi_to_the_model():
    dictionary = UserDictionary.from_mapping({"长安行": "chang2 an1 ?"})
    assert dictionary.readings("长安行") == {0: "chang2", 1: "an1", 2: None}


def test_phrases_of_ours_may_leave_a_reading_open():
    assert phrase_table().readings("衣服")[1] == "fu5"
    table = PhraseTable({"ab": ("x", None)})
    assert table.readings("ab") == {0: "x", 1: None}


def test_phrases_are_kept_between_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    built = _large_pinyin()
    [kept] = (tmp_path / "cache" / "h2p_hf").iterdir()
    assert _large_pinyin() == built and len(built) > 400_000
    whole = kept.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\0" * len(whole)):  # as after a crash of the machine
        kept.write_bytes(damaged)
        assert _large_pinyin() == built
        assert kept.read_bytes() == whole
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # nowhere to write
    assert _large_pinyin() == built
