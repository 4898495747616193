"""Any string at all: nothing crashes, and every output is aligned with its input."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import h2p_hf
from h2p_hf import InlineText, InputError, UserDictionary, rendering
from h2p_hf.names import name_readings
from h2p_hf.text import is_hanzi
from h2p_hf.traditional import to_simplified
from h2p_hf.words import words

TEXT = st.lists(
    st.one_of(
        st.characters(),  # all of Unicode, control characters too
        st.sampled_from("长大了银行一不看儿，。單著髮裡姓老师\ud800\udfff\0\r\n\t🙂👨\u200d👩e\u0301[]\\<&>A ca4"),
        st.sampled_from(["[chang2]", "\\[", "一点儿", "展览馆", "<b>"]),
    ),
    max_size=40,
).map("".join)
pytestmark = pytest.mark.usefixtures("pipe")


@pytest.fixture(scope="module")
def pipe(tiny_checkpoint):
    return h2p_hf.pipeline(tiny_checkpoint, dictionary={"点儿": "dian3 r5"})


@settings(deadline=None)
@given(text=TEXT, inline=st.booleans(), options=st.fixed_dictionaries({}, optional={
    "names": st.just(True), "neutral_tone": st.just(False), "min_score": st.floats(0, 1), "sandhi": st.just(True),
    "merge_erhua": st.just(True), "rare_readings": st.just(True), "use_lexicon": st.just(False),
    "style": st.sampled_from(["tone", "bopomofo", "initials"])}))  # fmt: skip
def test_items_are_aligned_and_rebuild_the_text(pipe, text, inline, options):
    text = InlineText(text) if inline else text
    items = pipe(text, **options)
    assert [at for i in items for at in range(i["start"], i["end"])] == [k for k, c in enumerate(text) if is_hanzi(c)]
    assert all(text[i["start"] : i["end"]] == i["char"] for i in items)
    assert all(0 <= i["score"] <= 1 + 1e-6 for i in items)
    assert "".join(piece for piece, _ in rendering.pieces(text, items)) == text
    assert [item for _, word in rendering.pieces(text, items) for item in word] == items
    assert isinstance(rendering.plain(text, items), str)


@settings(deadline=None)
@given(text=TEXT)
def test_markup_holds_the_text(pipe, text):
    items = pipe(text, sandhi=True)
    # XML has no control characters, and its parsers turn \r into \n
    wanted = re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text).replace("\r\n", "\n")
    wanted = wanted.replace("\r", "\n")
    for engine in rendering.ENGINES:
        root = ElementTree.fromstring(rendering.ssml(text, items, engine, every_word=True))
        assert "".join(root.itertext()) == wanted
    html = ElementTree.fromstring(f"<p>{rendering.ruby(text, items)}</p>")
    for element in [*html.iter("rt"), *html.iter("rp")]:
        element.text = ""
    assert "".join(html.itertext()) == wanted


@given(source=TEXT)
def test_inline_text_knows_where_it_comes_from(source):
    text = InlineText(source)
    assert len(text.offsets) == len(text) + 1 and list(text.offsets) == sorted(text.offsets)
    assert "".join(source[at] for at in text.offsets[:-1]) == text
    assert all(is_hanzi(text[at]) for at in text.readings)


@given(text=TEXT)
def test_helpers_keep_the_length(text):
    assert len(to_simplified(text)) == len(text)
    spans = words(text)
    assert [at for start, end in spans for at in range(start, end)] == list(range(len(text)))
    assert all(is_hanzi(to_simplified(text)[at]) for at in name_readings(to_simplified(text)))


@given(entries=st.dictionaries(TEXT, st.one_of(TEXT, st.lists(TEXT, max_size=4)), max_size=4))
def test_a_bad_dictionary_is_an_input_error(entries):
    try:
        dictionary = UserDictionary.from_mapping(entries)
    except InputError as error:
        assert "entry" in str(error)
    else:
        assert all(len(phrase) == len(found) for phrase, found in dictionary.entries.items())
