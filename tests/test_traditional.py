import pytest

import h2p_hf
from h2p_hf.traditional import to_simplified


@pytest.fixture(scope="module")
def pipe():
    return h2p_hf.pipeline()


def test_simplified_text_is_left_alone():
    for text in ("著名的乾隆皇帝", "皇后干杯", "于是", "", "abc"):
        assert to_simplified(text) is text


def test_as_long_as_the_text():
    for text in ("她看著頭髮\0，後來\ud800乾坤", "為什麼\U00020bb7裡", "長" * 5000):
        assert len(to_simplified(text)) == len(text)
    assert to_simplified("後來\0還有") == "后来\ufffd还有"


def test_read_like_simplified_with_offsets_of_the_caller(pipe):
    for traditional, simplified in [
        ("銀行行長重新長大了。", "银行行长重新长大了。"),
        ("他還沒有還錢，受不了了！", "他还没有还钱，受不了了！"),
        ("大家都覺得應該睡覺了", "大家都觉得应该睡觉了"),
    ]:
        ours, theirs = pipe(traditional), pipe(simplified)
        assert [i["pinyin"] for i in ours] == [i["pinyin"] for i in theirs]
        assert all(traditional[i["start"] : i["end"]] == i["char"] for i in ours)
        assert [i["start"] for i in ours] == [i["start"] for i in theirs]


def test_a_traditional_character_keeps_to_its_own_readings(pipe):
    # 发 is 發 and 髮, 干 is 乾 and 幹, 只 is 隻 and 只, 斗 is 鬥 and 斗
    for text, pinyin in [
        ("髮", "fa4"),
        ("發", "fa1"),
        ("幹", "gan4"),
        ("隻", "zhi1"),
        ("鬥", "dou4"),
        ("捲", "juan3"),
    ]:
        [item] = pipe(text)
        assert item["pinyin"] == pinyin
        assert {c["pinyin"][-1] for c in item["candidates"]} <= {pinyin[-1], "5"}


def test_no_right_reading_is_lost(pipe):
    for text, at, pinyin in [
        ("她看著頭髮", 2, "zhe5"),
        ("這裡沒收了", 2, "mo4"),
        ("成績單", 1, "ji4"),
        ("淹沒了", 1, "mo4"),
    ]:
        assert pinyin in {c["pinyin"] for c in pipe(text)[at]["candidates"]}, text
    assert pipe("礮兵")[0]["pinyin"] == "pao4"


def test_dictionary_in_either_writing(pipe):
    text = "單于在長安"
    assert [i["pinyin"] for i in pipe(text, dictionary={"长安": "zhang3 an1"})][3] == "zhang3"
    both = {"长安": "zhang3 an1", "長安": "chang2 an1"}
    assert [i["pinyin"] for i in pipe(text, dictionary=both)][3] == "chang2"
    longer = {"長": "zhang3", "长安": "chang2 an1"}
    assert [i["pinyin"] for i in pipe(text, dictionary=longer)][3] == "chang2"
