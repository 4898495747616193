from importlib.resources import files

import pytest

import h2p_hf
from h2p_hf.lexicon import UserDictionary, readings
from h2p_hf.names import name_readings


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("单老师姓单", {0: "shan4", 4: "shan4"}),
        ("昨天仇先生和查总来了", {2: "qiu2", 6: "zha1"}),
        ("朴教授、解医生和盖某", {0: "piao2", 4: "xie4", 8: "ge3"}),
        ("老解说完，小曾就走了", {1: "xie4", 6: "zeng1"}),
        ("曾老师曾经教过我", {0: "zeng1"}),
        ("查良镛、任正非", {0: "zha1", 4: "ren2"}),
        ("单雄信\n解缙", {0: "shan4", 4: "xie4"}),
        ("万俟先生", {0: "mo4", 1: "qi2"}),
        ("他叫单雄信，住在六安", {2: "shan4", 8: "lu4", 9: "an1"}),
        ("蚌埠离乐清很远", {0: "beng4", 1: "bu4", 3: "yue4", 4: "qing1"}),
    ],
)
def test_names(text, wanted):
    found = name_readings(text)
    assert {at: found.get(at) for at in wanted} == wanted


@pytest.mark.parametrize(
    "text",
    ["老师单独检查资料", "小区里的老百姓都在应该来的地方", "这个小单元很不错", "任何人都不能过来", "应先生成一个文件",
     "华盛顿在美国很有名", "先别急，查资料再说", "能来吗", "查一下", "都来了，过来吧", "周六安排会议", "房东阿姨从中牟利", "美丽水乡",
     "简单县城", "区总工会占总数的一半", "乐总是笑", "在华记者", "他曾编辑过", "小明和小华", "区主任来了"],
)  # fmt: skip
def test_no_names(text):
    assert name_readings(text) == {}


def test_the_table_is_well_formed():
    rows = [
        line.split("\t")
        for line in files("h2p_hf").joinpath("resources/names.tsv").read_text("utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert len({(kind, name) for kind, name, _ in rows}) == len(rows)
    UserDictionary.from_mapping(
        {name: found for _, name, found in rows}
    )  # as many readings as characters, all syllables
    unknown = [
        (n, r) for _, name, found in rows for n, r in zip(name, found.split(), strict=True) if r not in readings(n)
    ]
    # Readings of place and surnames only, which the general-standard dictionary lacks.
    assert len(unknown) < 25, unknown


def test_only_when_asked_and_below_the_dictionary(tiny_checkpoint):
    pipe = h2p_hf.pipeline(tiny_checkpoint)
    text = "单老师"
    assert pipe(text, names=True)[0]["pinyin"] == "shan4"
    assert len(pipe(text)[0]["candidates"]) > 1
    assert pipe(text, names=True, dictionary={"单老师": "dan1 lao3 shi1"})[0]["pinyin"] == "dan1"
    assert pipe("單老師", names=True)[0]["pinyin"] == "shan4"
