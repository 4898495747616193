import copy
import pickle

import h2p_hf
from h2p_hf.inline import InlineText


def test_brackets_after_hanzi_fix_readings():
    text = InlineText("长[zhǎng]江，行长[xing2 chang2]！")
    assert text == "长江，行长！"
    assert text.readings == {0: "zhang3", 3: "xing2", 4: "chang2"}
    assert "".join(text.source[at] for at in text.offsets[:-1]) == text
    assert text.offsets[-1] == len(text.source)
    assert InlineText("的[de]").readings == {0: "de5"}
    escaped = InlineText(r"长\[chang2\]")
    for twin in (copy.copy(escaped), pickle.loads(pickle.dumps(escaped))):
        assert (twin, twin.source, twin.readings) == (escaped, escaped.source, {})


def test_everything_else_is_text():
    for source in ["见[1]", "长[chang9]", "长[", "长]", "[chang2]", "a[a1]", "长[chang2 jiang1]", "长[]", "长[chang2", "长 [chang2]", "附录[A]", "长[chang]"]:  # fmt: skip
        text = InlineText(source)
        assert text == source and text.readings == {}, source


def test_escapes():
    text = InlineText(r"长\[chang2\]江[jiang4]，\n")
    assert text == r"长[chang2]江，\n"
    assert text.readings == {9: "jiang4"}
    assert InlineText(r"长\[chang2]").readings == {}


def test_the_pipeline_obeys(tiny_checkpoint):
    pipe = h2p_hf.pipeline(tiny_checkpoint, dictionary={"长江": "chang2 jiang1"})
    texts = [InlineText("长[zhang3]江"), "长江", InlineText("長[zhang3]江")]
    for result in (pipe(texts), list(pipe(iter(texts)))):
        assert [[i["pinyin"] for i in items] for items in result] == [
            ["zhang3", "jiang1"],
            ["chang2", "jiang1"],
            ["zhang3", "jiang1"],
        ]
    item = pipe(texts[0])[0]
    assert (item["start"], item["end"], item["score"]) == (0, 1, 1.0)
