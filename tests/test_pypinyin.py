"""Our functions and pypinyin's, on text where both know just one reading: the results must be the same."""

import itertools

import pypinyin as theirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypinyin.constants import PINYIN_DICT
from pypinyin.core import Pinyin
from pypinyin.exceptions import PinyinNotFoundException

import h2p_hf
import h2p_hf.pypinyin as ours
from h2p_hf.lexicon import general_standard, readings

MONOPHONES = [c for c in general_standard() if len(readings(c)) == 1 and "," not in PINYIN_DICT.get(ord(c), ",")]
TEXT = "我爱北京天安门，女士绿色OK？略微１２3 岩石"


@pytest.fixture(autouse=True)
def no_entries(monkeypatch):
    monkeypatch.setattr(ours, "_PHRASES", h2p_hf.UserDictionary())
    monkeypatch.setattr(ours, "_SINGLE", {})


def test_all_styles_and_options():
    for style, strict, v_to_u, five in itertools.product(theirs.Style, (True, False), (True, False), (True, False)):
        options = {"style": style, "strict": strict, "v_to_u": v_to_u, "neutral_tone_with_five": five}
        assert ours.lazy_pinyin(TEXT, **options) == theirs.lazy_pinyin(TEXT, **options), options
        for heteronym in (True, False):
            assert ours.pinyin("略岩侣", heteronym=heteronym, **options) == theirs.pinyin(
                "略岩侣", heteronym=heteronym, **options
            )


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet=st.one_of(st.sampled_from(MONOPHONES), st.sampled_from("，a1 \nあ🙂⺁")), max_size=20))
def test_monophones(text):
    assert ours.pinyin(text) == theirs.pinyin(text)
    assert ours.slug(text, separator=" ") == theirs.slug(text, separator=" ")


@pytest.mark.parametrize(
    "errors", ["default", "ignore", "replace", lambda chars: "?", lambda chars: list(chars), lambda chars: None]
)
def test_errors(errors):
    for text in ("岩あ石", "⺁⺁", "a岩", "岩\U00030001石"):
        assert ours.pinyin(text, errors=errors) == theirs.pinyin(text, errors=errors)
        assert ours.lazy_pinyin(text, errors=errors) == theirs.lazy_pinyin(text, errors=errors)
    with pytest.raises(PinyinNotFoundException):
        ours.pinyin("あ", errors="exception")


def test_lists_of_words_are_read_in_context():
    assert ours.lazy_pinyin(["银行", "行长"], style=ours.Style.TONE3) == ["yin2", "hang2", "hang2", "zhang3"]
    assert ours.lazy_pinyin(["岩石", "a", "，女"]) == theirs.lazy_pinyin(["岩石", "a", "，女"])
    assert ours.pinyin([]) == ours.pinyin("") == []


def test_context_where_pypinyin_fails():
    text = "他试着重复那句话"
    assert theirs.lazy_pinyin(text, style=theirs.Style.TONE3)[3] == "zhong4"
    assert ours.lazy_pinyin(text, style=ours.Style.TONE3)[3] == "chong2"


def test_heteronyms_are_common_ones_the_likeliest_first():
    assert ours.pinyin("银行", heteronym=True)[1][0] == "háng"
    assert set(ours.pinyin("长大", heteronym=True)[0]) == {"zhǎng", "cháng"}
    assert ours.pinyin("心", heteronym=True) == [["xīn"]]  # not the neutral tone of 点心
    assert "shé" not in ours.pinyin("什么", heteronym=True)[0]


def test_erhua_and_sandhi():
    assert ours.lazy_pinyin("一会儿")[2] == theirs.lazy_pinyin("一会儿")[2] == "er"
    assert ours.lazy_pinyin("你好", style=ours.Style.TONE2, tone_sandhi=True) == ["ni2", "ha3o"]
    assert ours.lazy_pinyin("你好", style=ours.Style.TONE2) == ["ni3", "ha3o"]


def test_own_phrases_and_characters():
    ours.load_phrases_dict({"同行": [["tóng"], ["xíng", "háng"]]})
    assert ours.lazy_pinyin("我们同行", style=ours.Style.TONE)[2:] == ["tóng", "xíng"]
    ours.load_phrases_dict({"我们同": [["wo3"], ["me5n"], ["to4ng"]]}, style="tone2")
    assert ours.lazy_pinyin("我们同行", style=ours.Style.TONE)[2] == "tòng"
    ours.load_single_dict({ord("岩"): "yàn,yǎn"})
    assert ours.pinyin("岩石", heteronym=True)[0] == ["yàn", "yǎn"]
    ours.load_phrases_dict({"岩石": [["yán"], ["shí"]]})
    assert ours.pinyin("岩石") == [["yán"], ["shí"]]
    with pytest.raises(h2p_hf.InputError, match="2 characters but 1 readings"):
        ours.load_phrases_dict({"岩石": [["yán"]]})
    with pytest.raises(h2p_hf.InputError, match="'x1' is not a syllable"):
        ours.load_single_dict({ord("石"): "dàn", ord("岩"): "x1"})
    assert "dàn" not in ours.pinyin("石头")[0]
    assert theirs.pinyin("岩石") == [["yán"], ["shí"]]  # pypinyin itself is as it was


def test_the_converter_in_pypinyins_own_class(tiny_checkpoint):
    pipe = h2p_hf.pipeline(tiny_checkpoint)
    for made in (Pinyin(ours.ContextConverter(pipe)), ours.ContextPinyin(ours.ContextConverter(pipe))):
        assert made.pinyin("岩石，女") == [["yán"], ["shí"], ["，"], ["nǚ"]]
        assert made.lazy_pinyin(["岩石", "女"]) == ["yan", "shi", "nv"]


def test_how_the_pipeline_decodes_counts_but_not_how_it_writes(tiny_checkpoint):
    pipe = h2p_hf.pipeline(tiny_checkpoint, dictionary={"江": "hong2", "一点儿": "yi1 dian3 r5"}, merge_erhua=True)
    made = ours.ContextPinyin(ours.ContextConverter(pipe))
    assert made.pinyin("江") == [["hóng"]]
    assert made.lazy_pinyin("一点儿") == ["yi", "dian", "er"]
    ours.load_phrases_dict({"江": [["gāng"]], "A股": [["a"], ["gǔ"]]})
    assert made.pinyin("江") == [["gāng"]]
    assert ours.lazy_pinyin(h2p_hf.InlineText("长[zhang3]江"), style=ours.Style.TONE) == ["zhǎng", "gāng"]


def test_everything_else_is_pypinyins():
    from h2p_hf.pypinyin import FIRST_LETTER, STYLE_TONE2

    assert (FIRST_LETTER, STYLE_TONE2) == (theirs.FIRST_LETTER, theirs.STYLE_TONE2)
    with pytest.raises(AttributeError):
        _ = ours.no_such_thing


def test_traditional():
    assert ours.lazy_pinyin("銀行行長", style=ours.Style.TONE) == ["yín", "háng", "háng", "zhǎng"]
