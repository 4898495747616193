"""The page's functions; tests/integration/test_demo_browser.py has the page itself."""

import json
import re
import runpy
import shutil
import socket
import sys
from html import unescape
from xml.etree import ElementTree

import pytest

import h2p_hf
from h2p_hf import InlineText, cli, rendering

pytest.importorskip("gradio", reason="needs the extra demo")
from h2p_hf import demo


@pytest.fixture(scope="module")
def pipe(tiny_checkpoint):
    return h2p_hf.pipeline(tiny_checkpoint, dictionary={"银行": "yin2 hang2", "点儿": "dian3 r5"})


@pytest.fixture
def session(pipe):
    session = demo.Session()
    session.read(pipe, "长江[1]\n银行", [], "")
    return session


def pinyin(session) -> list[str]:
    return [rendering.reading(item) for item in session.items]


def polyphones(session, style: str = "tone") -> dict[int, dict]:
    root = ElementTree.fromstring(f"<p>{session.output(style)}</p>")
    return {int(span.get("data-start")): dict(span.attrib, text=span.text) for span in root.iter("span")}


def test_each_polyphone_has_its_candidates(session):
    found = polyphones(session)
    assert {at: span["text"] for at, span in found.items()} == {0: "长", 7: "行"}
    rows = json.loads(found[0]["data-candidates"])
    assert {(row[0], row[1]) for row in rows} == {("chang2", "cháng"), ("zhang3", "zhǎng")}
    assert sum(row[2] for row in rows) == pytest.approx(1)
    assert [row[3] for row in rows] == [True, False]
    # The pipeline's dictionary decides here; the model's candidates are still there to choose from.
    assert pinyin(session)[2:] == ["yin2", "hang2"] and "sure" in found[7]["class"].split()
    assert len(json.loads(found[7]["data-candidates"])) > 1
    assert "unsure" in found[0]["class"].split()  # random weights
    assert json.loads(polyphones(session, "bopomofo")[0]["data-candidates"])[0][1][0] in "ㄔㄓ"


def test_a_choice_overrules_and_stays_with_its_character(pipe, session):
    best, other = (candidate["pinyin"] for candidate in session.candidates[0])
    session.choose(0, other)
    session.read(pipe, session.text, [], "长江 ? jiang1")
    assert pinyin(session)[0] == other != best
    assert "chosen" in polyphones(session)[0]["class"]
    assert [row[3] for row in json.loads(polyphones(session)[0]["data-candidates"])] == [False, True]
    session.read(pipe, "看" + session.text, [], f"长 {best}")
    session.read(pipe, session.text + "行", [], f"长 {best}")
    assert pinyin(session)[1] == other
    session.choose(1, other)  # once more: no longer chosen
    session.read(pipe, session.text, [], "")
    assert session.choices == {} and pinyin(session)[1] == best


@pytest.mark.parametrize(
    ("start", "reading"), [(0, "hang2"), (1, "jiang1"), (99, "chang2"), (0, "chang2]长["), (0, None)]
)
def test_only_candidates_can_be_chosen(session, start, reading):
    session.choose(start, reading)
    assert session.choices == {}


def test_moved():
    choices = {0: "a1", 3: "b1", 5: "c1"}
    assert demo.moved(choices, "abcdef", "abcdef!") == choices
    assert demo.moved(choices, "abcdef", "!!abcdef") == {2: "a1", 5: "b1", 7: "c1"}
    assert demo.moved(choices, "abcdef", "abXef") == {0: "a1", 4: "c1"}
    assert demo.moved(choices, "abcdef", "") == {}
    assert demo.moved({0: "a1", 1: "b1"}, "行行", "行") == {0: "a1"}


def test_brackets_and_backslashes_stay_text():
    for text in ("长[1]", "[长]\\[长]", "长\\", "\\\\[[]]长[zhang3]"):
        at = text.index("长")
        chosen = demo.with_choices(text, {at: "chang2"})
        assert isinstance(chosen, InlineText)
        assert (chosen, chosen.readings) == (text, {at: "chang2"})


def test_switches(pipe):
    session = demo.Session()
    session.read(pipe, "一点儿", ["sandhi", "merge_erhua"], "一 yi1")
    assert pinyin(session) == ["yi4", "dianr3"]
    session.read(pipe, "单老师", ["names"], "")
    assert pinyin(session)[0] == "shan4"
    session.read(pipe, "单老师", [], "单\tchan2")
    assert pinyin(session)[0] == "chan2"


def test_erhua_can_be_chosen(pipe):
    session = demo.Session()
    session.read(pipe, "份儿", ["merge_erhua"], "儿 r5")
    session.read(pipe, "空儿", ["merge_erhua"], "儿 r5")
    session.choose(0, "kong4")
    session.read(pipe, "空儿", ["merge_erhua"], "儿 r5")
    assert pinyin(session) == ["kongr4"]
    rows = json.loads(polyphones(session)[0]["data-candidates"])
    assert [row[0] for row in rows if row[3]] == ["kong4"]


def test_dictionary_as_typed(pipe):
    found = demo.parse_dictionary("# mine\n行长\tháng zhǎng\n 六安   lu4  an1 \n\nA股 - gu3")
    assert found.entries == {"行长": ("hang2", "zhang3"), "六安": ("lu4", "an1"), "A股": (None, "gu3")}
    session = demo.Session()
    session.read(pipe, "长江", [], "长江 zhang3 jiang1")
    for text, message in {
        "好 hao3\n长江 chang2": "user dictionary, line 2: 长江 has 2 characters but 1 readings are given",
        "长江": "user dictionary, line 1: write the phrase, a tab and its readings, not '长江'",
        "长 <b>": "user dictionary, line 1: '<b>' is not a syllable of Mandarin: write it like hang2, lv4 or de5",
    }.items():
        session.read(pipe, "长江", [], text)
        assert session.message == message and "\n" not in message
        alert = re.search('<p class="message" role="alert">(.*?)</p>', session.output("tone"))
        assert unescape(alert[1]) == message and "<b>" not in alert[1]
        assert pinyin(session)[0] == "zhang3"  # the last good one still counts
    session.read(pipe, "长江", [], "")
    assert "alert" not in session.output("tone")


def test_long_text(pipe):
    session = demo.Session()
    session.read(pipe, "A" * demo.LONGEST, [], "")
    assert session.message == "" and session.text
    session.read(pipe, "A" * (demo.LONGEST + 1), [], "")
    assert "this text has 20,001 characters: give at most 20,000" in session.output("tone") and session.text == ""


def test_only_new_text_needs_the_model(pipe, session, monkeypatch):
    monkeypatch.setattr(type(pipe), "scores", lambda *args: pytest.fail("the model ran"))
    session.choose(0, session.candidates[0][1]["pinyin"])
    session.read(pipe, session.text, ["sandhi"], "江 jiang1")
    with pytest.raises(pytest.fail.Exception):
        session.read(pipe, "长", [], "")


def test_markup_of_the_text_is_escaped(pipe):
    session = demo.Session()
    session.read(pipe, "<b>\"&'长</b>", [], "")
    [span] = polyphones(session).values()
    assert span["text"] == "长" and "<b>" not in session.output("tone") + demo.page(session, "tone")


def test_saved_page(session):
    html = demo.page(session, "tone3")
    assert html.startswith("<!DOCTYPE html>") and "<title>长江[1]</title>" in html
    assert "<rt>hang2</rt>" in html and "<span" not in html
    assert not re.search("https?:|src=|@import", html)  # nothing from elsewhere


def test_a_copy_is_the_app_of_a_space(tmp_path):
    app = shutil.copy(demo.__file__, tmp_path / "app.py")
    assert callable(runpy.run_path(str(app))["build_demo"])


def test_port_in_use(tiny_checkpoint, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["demo", "--model", tiny_checkpoint, "--port", str(port)]) == 2
    message = f"h2p: error: cannot serve on 127.0.0.1:{port}, maybe it is in use: give another --port\n"
    assert capsys.readouterr().err == message


def test_without_gradio(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "h2p_hf.demo")
    monkeypatch.delattr(h2p_hf, "demo")
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.main(["demo"]) == 2
    assert capsys.readouterr().err == "h2p: error: gradio is not installed: pip install 'h2p-hf[demo]'\n"
