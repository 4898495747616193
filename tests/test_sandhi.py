import pytest

import h2p_hf
from h2p_hf.sandhi import spoken


def say(text: str, pinyin: str) -> str:
    syllables = iter(pinyin.split())
    column = [next(syllables) if "一" <= char else None for char in text]
    return " ".join(filter(None, spoken(text, column)))


@pytest.mark.parametrize(
    ("text", "dictionary", "aloud"),
    [
        ("你好", "ni3 hao3", "ni2 hao3"),
        ("展览馆", "zhan3 lan3 guan3", "zhan2 lan2 guan3"),
        ("小老虎", "xiao3 lao3 hu3", "xiao3 lao2 hu3"),
        ("总统府", "zong3 tong3 fu3", "zong2 tong2 fu3"),
        ("老李买好酒", "lao3 li3 mai3 hao3 jiu3", "lao2 li3 mai2 hao2 jiu3"),
        ("我比你好", "wo3 bi3 ni3 hao3", "wo2 bi3 ni2 hao3"),
        ("好，好", "hao3 hao3", "hao3 hao3"),
        ("水果", "shui3 guo3", "shui2 guo3"),
        ("哪儿有水", "na3 r5 you3 shui3", "na2 r5 you2 shui3"),
        ("李小姐", "li3 xiao3 jie5", "li3 xiao2 jie5"),
        ("姐姐", "jie3 jie5", "jie3 jie5"),
    ],
)
def test_third_tones(text, dictionary, aloud):
    text = text.replace("，", ",")
    assert say(text, dictionary) == aloud


@pytest.mark.parametrize(
    ("text", "dictionary", "aloud"),
    [
        ("一个", "yi1 ge5", "yi2 ge5"),
        ("一起", "yi1 qi3", "yi4 qi3"),
        ("一样", "yi1 yang4", "yi2 yang4"),
        ("一边", "yi1 bian1", "yi4 bian1"),
        ("第一个", "di4 yi1 ge4", "di4 yi1 ge4"),
        ("一月", "yi1 yue4", "yi1 yue4"),
        ("一九九八年", "yi1 jiu3 jiu3 ba1 nian2", "yi1 jiu2 jiu3 ba1 nian2"),
        ("二百一十", "er4 bai3 yi1 shi2", "er4 bai3 yi1 shi2"),
        ("一百", "yi1 bai3", "yi4 bai3"),
        ("星期一去", "xing1 qi1 yi1 qu4", "xing1 qi1 yi1 qu4"),
        ("统一规划", "tong3 yi1 gui1 hua4", "tong3 yi1 gui1 hua4"),
        ("看一看", "kan4 yi1 kan4", "kan4 yi5 kan4"),
        ("一天一天", "yi1 tian1 yi1 tian1", "yi4 tian1 yi4 tian1"),
        ("唯一", "wei2 yi1", "wei2 yi1"),
        ("不是", "bu4 shi4", "bu2 shi4"),
        ("不好", "bu4 hao3", "bu4 hao3"),
        ("好不好", "hao3 bu4 hao3", "hao3 bu5 hao3"),
        ("不对不对", "bu4 dui4 bu4 dui4", "bu2 dui4 bu2 dui4"),
        ("不", "bu4", "bu4"),
        ("差不多", "cha4 bu4 duo1", "cha4 bu5 duo1"),
        ("决不能", "jue2 bu4 neng2", "jue2 bu4 neng2"),
        ("一两个", "yi1 liang3 ge4", "yi4 liang3 ge4"),
        ("千万一定", "qian1 wan4 yi1 ding4", "qian1 wan4 yi2 ding4"),
        ("五一五", "wu3 yi1 wu3", "wu3 yi1 wu3"),
        ("十一个", "shi2 yi1 ge4", "shi2 yi1 ge4"),
        ("十月一日", "shi2 yue4 yi1 ri4", "shi2 yue4 yi1 ri4"),
        ("零点一秒", "ling2 dian3 yi1 miao3", "ling2 dian3 yi1 miao3"),
        ("她一流泪", "ta1 yi1 liu2 lei4", "ta1 yi4 liu2 lei4"),
        ("二选一了", "er4 xuan3 yi1 le5", "er4 xuan3 yi1 le5"),
        ("不是", "bu5 shi4", "bu5 shi4"),
    ],
)
def test_yi_and_bu(text, dictionary, aloud):
    assert say(text, dictionary) == aloud


def test_no_reading_breaks_a_chain():
    assert spoken("我A你", ["wo3", None, "ni3"]) == ["wo3", None, "ni3"]
    assert spoken("", []) == []
    with pytest.raises(ValueError):
        spoken("你好", ["ni3"])


def test_items_keep_the_dictionary_reading(tiny_checkpoint):
    pipe = h2p_hf.pipeline(tiny_checkpoint, dictionary={"你好": "ni3 hao3"}, style="tone")
    assert "sandhi" not in pipe("你好")[0]
    items = pipe("你好", sandhi=True)
    assert [(i["pinyin"], i["sandhi"]) for i in items] == [("nǐ", "ní"), ("hǎo", "hǎo")]
    traditional = pipe("一個老師", sandhi=True, dictionary={"一个": "yi1 ge4", "老师": "lao3 shi1"})
    assert traditional[0]["sandhi"] == "yí"
