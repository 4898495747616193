"""The page to try it, a Gradio app: text in, ruby out, each polyphone with its candidates.

Imports are absolute, so that a copy of this file is the ``app.py`` of a Hugging Face Space.
"""

import json
import os
import re
from dataclasses import dataclass, field
from html import escape

from h2p_hf import rendering
from h2p_hf.auto import pipeline
from h2p_hf.errors import InputError
from h2p_hf.inline import InlineText
from h2p_hf.lexicon import UserDictionary, tone_variants
from h2p_hf.pinyin import to_style, with_erhua
from h2p_hf.reader import PinyinReader, Reading
from h2p_hf.traditional import to_simplified

try:
    import gradio as gr
except ModuleNotFoundError as error:
    raise InputError(f"{error.name} is not installed: pip install 'h2p-hf[demo]'") from None

LONGEST = 20_000
"""Characters that the page takes; a longer text is for the command line."""

SURE = 0.9
"""Below this probability a reading is marked as uncertain."""

STYLES = {"háng": "tone", "hang2": "tone3", "hang": "normal", "ㄏㄤˊ": "bopomofo"}
SWITCHES = {"Tones as spoken (nǐ hǎo → ní hǎo)": "sandhi", "Erhua in one syllable (diǎnr)": "merge_erhua", "Names of people and places": "names"}  # fmt: skip
EXAMPLES = [
    "银行行长说，他女儿长大了，还想重新学音乐。",
    "他得了第一名，高兴得跳了起来，还得谢谢大家。",
    "单老师带着我们去六安看朝阳，一路上有说有笑。",
    "小院儿里的花儿真好看，我差点儿忘了浇水。",
    "頭髮長了，就去銀行旁邊那家店。",
]

CSS = """
.gradio-container { max-width: 56rem !important; margin: 0 auto !important; }
#output .html-container { padding: 0; }
#downloads { align-items: end; }
"""
"""Of the page; what follows is of the output in it."""

TEMPLATE = """${value}<div class="candidates" popover role="dialog" aria-label="Readings"></div>"""

OUTPUT_CSS = """
--mark: #0f766e; --warm: #b45309; --warm-back: #fef3c7; --pinyin: #57534e;
.dark & { --mark: #5eead4; --warm: #fbbf24; --warm-back: #45300a; --pinyin: #d6d3d1; }
.text { font: 1.75rem/2.4 "PingFang SC", "Noto Sans CJK SC", "Noto Sans SC", "Microsoft YaHei", system-ui, sans-serif;
  isolation: isolate; white-space: pre-wrap; overflow-wrap: anywhere; min-height: 4.5rem; padding: .75rem 1.25rem; border-radius: .5rem;
  background: var(--block-background-fill); border: 1px solid var(--border-color-primary); }
.text:empty::before { content: "Pinyin appears here as you type."; font-size: 1rem; color: var(--pinyin); }
rt { font: .95rem/1.5 system-ui, sans-serif; color: var(--pinyin); padding: 0 .15em; }
.polyphone { position: relative; cursor: pointer; outline: none; }
.polyphone::before { content: ""; position: absolute; inset: -1.3rem 0 -.2rem; }  /* what reacts: the pinyin, too */
.polyphone::after { content: ""; position: absolute; inset: auto .06em -2px; height: 1.2em; z-index: -1;
  border-bottom: 2px dotted var(--mark); }
.unsure::after { border-bottom: 3px solid var(--warm); background: var(--warm-back); }
.chosen::after { border-bottom: 4px double var(--mark); }
.polyphone:hover::after, .polyphone:focus-visible::after { outline: 2px solid var(--mark); border-radius: 2px; }
.message { margin: 0 0 .5rem; padding: .5rem 1rem; border-left: 4px solid var(--warm); background: var(--warm-back);
  color: var(--body-text-color); overflow-wrap: anywhere; }
.candidates { position: absolute; inset: auto; margin: 0; padding: .35rem; min-width: 11rem; border-radius: .5rem;
  background: var(--background-fill-primary); color: var(--body-text-color);
  border: 1px solid var(--border-color-primary); box-shadow: 0 4px 16px #0004; }
.candidates button { display: flex; justify-content: space-between; gap: 1.5rem; width: 100%; padding: .5rem .75rem;
  border-radius: .35rem; font-size: 1.05rem; }
.candidates button:hover, .candidates button:focus-visible { background: var(--background-fill-secondary);
  outline: 2px solid var(--mark); outline-offset: -2px; }
.candidates button[aria-pressed=true] { font-weight: 700; color: var(--mark); }
"""

SCRIPT = """
let start;  // of the polyphone whose candidates are shown

function show(polyphone) {
  const menu = element.querySelector(".candidates");
  start = Number(polyphone.dataset.start);
  const rows = JSON.parse(polyphone.dataset.candidates);
  menu.replaceChildren(...rows.map(([reading, written, score, current]) => {
    const button = document.createElement("button"), percent = document.createElement("span");
    percent.textContent = score < 0.01 ? "< 1 %" : score > 0.99 ? "> 99 %" : Math.round(100 * score) + " %";
    button.append(written, percent);
    button.dataset.reading = reading;
    button.setAttribute("aria-pressed", current);
    return button;
  }));
  menu.showPopover();
  const place = polyphone.getBoundingClientRect();
  menu.style.left = Math.max(8, Math.min(place.left, document.documentElement.clientWidth - menu.offsetWidth - 8)) + "px";
  menu.style.top = place.bottom + window.scrollY + 6 + "px";
  menu.firstChild.focus();
}

element.addEventListener("click", (event) => {
  const polyphone = event.target.closest(".polyphone"), button = event.target.closest(".candidates button");
  if (polyphone) show(polyphone);
  if (button) {
    element.querySelector(".candidates").hidePopover();
    trigger("choose", { start, reading: button.dataset.reading });
  }
});

element.addEventListener("keydown", (event) => {
  if (event.target.matches(".polyphone") && (event.key === "Enter" || event.key === " ")) show(event.target);
  else if (event.target.matches(".candidates button") && event.key === "ArrowDown") event.target.nextSibling?.focus();
  else if (event.target.matches(".candidates button") && event.key === "ArrowUp") event.target.previousSibling?.focus();
  else return;
  event.preventDefault();
});
"""

SAVE = """({ name, type, content }) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: type + ";charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}"""

PAGE_CSS = """
:root { color-scheme: light dark; }
body { max-width: 45rem; margin: 2rem auto; padding: 0 1rem; }
p { font: 1.75rem/2.4 "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", system-ui, sans-serif; white-space: pre-wrap; }
rt { font: .95rem/1.5 system-ui, sans-serif; padding: 0 .15em; }
"""


@dataclass
class Session:
    """What the page of one visitor shows. Scores are kept, so that only new text needs the model.

    Attributes:
        text (`str`): the text that was read last.
        scores (`list`): what the model says of each character, see `PinyinReader.scores`.
        dictionary (`UserDictionary`): the last one without a mistake.
        choices (`dict[int, str]`): the readings chosen on the page, by offset.
        candidates (`dict[int, list[dict]]`): the readings to choose from of each polyphone, by offset.
        items (`list[dict]`): of the pipeline, in style tone3.
        message (`str`): what the visitor has to mend, or nothing.
    """

    text: str = ""
    scores: list[Reading | None] = field(default_factory=list)
    dictionary: UserDictionary = field(default_factory=UserDictionary)
    choices: dict[int, str] = field(default_factory=dict)
    candidates: dict[int, list[dict]] = field(default_factory=dict)
    items: list[dict] = field(default_factory=list)
    message: str = ""

    def read(self, pipe: PinyinReader, text: str, switches: list[str], dictionary: str) -> None:
        """Read a text; choices made before stay with their characters.

        Args:
            pipe (`PinyinReader`): what reads.
            text (`str`): the text.
            switches (`list[str]`): values of `SWITCHES`.
            dictionary (`str`): a user dictionary as written into the box.
        """
        self.message = ""
        try:
            self.dictionary = parse_dictionary(dictionary)
        except InputError as error:
            self.message = str(error)
        if len(text) > LONGEST:
            self.message = f"this text has {len(text):,} characters: give at most {LONGEST:,} here, or use h2p convert"
            text = ""
        if text != self.text:
            self.choices = moved(self.choices, self.text, text)
            self.text, self.scores = next(pipe.scores([text]))
        # Candidates are those of the model alone: a choice, a name or the dictionary would leave one.
        self.candidates = {
            item["start"]: item["candidates"]
            for item in pipe.items(text, pipe.postprocess(text, self.scores))
            if len({c["pinyin"] for c in item["candidates"]} - tone_variants(to_simplified(item["char"]))) > 1
        }
        entries = UserDictionary({**pipe.dictionary.entries, **self.dictionary.entries})
        chosen = with_choices(text, self.choices)
        found = pipe.postprocess(chosen, self.scores, entries, names="names" in switches)
        self.items = pipe.items(text, found, sandhi="sandhi" in switches, merge_erhua="merge_erhua" in switches)

    def choose(self, start: int, reading: str) -> None:
        """Fix the reading of a polyphone, or no longer if it is the one chosen before; `read` then shows it."""
        # The page may be older than the text, so what it sends is checked.
        if reading in [candidate["pinyin"] for candidate in self.candidates.get(start, ())]:
            if self.choices.pop(start, None) != reading:
                self.choices[start] = reading

    def ruby(self, style: str) -> str:
        """Write the text as ruby HTML."""
        return rendering.ruby(self.text, _in_style(self.items, style))

    def output(self, style: str) -> str:
        """Write the text as ruby HTML in which each polyphone is a button with its candidates, below the message."""
        syllables = {item["start"]: item["pinyin"] for item in self.items}

        def mark(item: dict, char: str) -> str:
            start, candidates = item["start"], self.candidates.get(item["start"])
            if not candidates:
                return char
            kind = "chosen" if start in self.choices else "unsure" if item["score"] < SURE else "sure"
            current = syllables[start]
            rows = [
                (
                    c["pinyin"],
                    to_style(c["pinyin"], style),
                    c["score"],
                    current in (c["pinyin"], with_erhua(c["pinyin"])),
                )
                for c in candidates
            ]
            label = f"{item['char']} {rendering.reading(item)}, {len(rows)} readings"
            return (
                f'<span class="polyphone {kind}" role="button" tabindex="0" aria-haspopup="dialog" '
                f'aria-label="{escape(label)}" data-start="{start}" '
                f'data-candidates="{escape(json.dumps(rows, ensure_ascii=False))}">{char}</span>'
            )

        alert = f'<p class="message" role="alert">{escape(self.message)}</p>' if self.message else ""
        ruby = rendering.ruby(self.text, _in_style(self.items, style), mark)
        return f'{alert}<div class="text" lang="zh">{ruby}</div>'


def _in_style(items: list[dict], style: str) -> list[dict]:
    keys = ("pinyin", "sandhi")
    return [
        {**item, **{key: item[key] and to_style(item[key], style) for key in keys if key in item}} for item in items
    ]


def parse_dictionary(text: str) -> UserDictionary:
    """Read a user dictionary that was typed, where no key writes a tab: spaces after the phrase do.

    Raises:
        InputError: if a line is malformed.
    """
    lines = (line if "\t" in line else re.sub(r"\s+", "\t", line.strip(), count=1) for line in text.split("\n"))
    return UserDictionary.from_lines(enumerate(lines, 1), "user dictionary")


def with_choices(text: str, choices: dict[int, str]) -> InlineText:
    """Write readings into a text, by offset: those overrule everything else."""
    return InlineText(
        "".join(
            (f"\\{char}" if char in "[]" else char) + (f"[{choices[at]}]" if at in choices else "")
            for at, char in enumerate(text)
        )
    )


def moved(choices: dict[int, str], old: str, new: str) -> dict[int, str]:
    """Return choices for a text after an edit: those before and after it stay with their characters."""
    before = len(os.path.commonprefix([old, new]))
    after = len(old) - len(os.path.commonprefix([old[before:][::-1], new[before:][::-1]]))
    shift = len(new) - len(old)
    return {at if at < before else at + shift: r for at, r in choices.items() if at < before or at >= after}


def page(session: Session, style: str) -> str:
    """Write the text as an HTML page of its own, to be saved."""
    title = escape(next(iter(session.text.split()), "")[:20])
    return (
        f'<!DOCTYPE html>\n<html lang="zh">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{PAGE_CSS}</style>\n<p>{session.ruby(style)}</p>\n</html>\n"
    )


def build_demo(pipe: PinyinReader) -> gr.Blocks:
    """Build the page around a pipeline.

    Args:
        pipe (`PinyinReader`): what reads; entries of its user dictionary count beside those written on the page.

    Returns:
        `gradio.Blocks`: see `launch` for the looks of it.
    """

    def shown(session: Session, style: str) -> tuple:
        buttons = gr.update(interactive=bool(session.text))
        return session, session.output(style), buttons, buttons

    def update(session: Session, text: str, style: str, switches: list[str], dictionary: str) -> tuple:
        session.read(pipe, text, switches, dictionary)
        return shown(session, style)

    def choose(
        session: Session, text: str, style: str, switches: list[str], dictionary: str, event: gr.EventData
    ) -> tuple:
        session.choose(event.start, event.reading)
        return update(session, text, style, switches, dictionary)

    def save_page(session: Session, style: str) -> dict:
        return {"name": "pinyin.html", "type": "text/html", "content": page(session, style)}

    def save_ssml(session: Session, engine: str) -> dict:
        content = rendering.ssml(session.text, session.items, engine)
        return {"name": f"pinyin.{engine}.ssml", "type": "application/ssml+xml", "content": content}

    with gr.Blocks(title="Hanzi to pinyin", analytics_enabled=False) as demo:
        session, file = gr.State(Session()), gr.JSON(visible="hidden")
        gr.Markdown(
            "# Hanzi to pinyin\nPolyphones are read from context. Click an underlined character to see its "
            "other readings; where the model is unsure, it is highlighted too."
        )
        text = gr.Textbox(
            "",
            label="Chinese text",
            placeholder="在这里输入中文",
            lines=3,
            max_lines=12,
            autofocus=True,
            elem_id="text",
        )
        gr.Examples(EXAMPLES, text, label="Examples")
        style = gr.Radio(list(STYLES.items()), value="tone", label="Style", elem_id="style")
        output = gr.HTML(
            Session().output("tone"),
            label="Reading",
            elem_id="output",
            html_template=TEMPLATE,
            css_template=OUTPUT_CSS,
            js_on_load=SCRIPT,
            apply_default_css=False,
        )
        switches = gr.CheckboxGroup(list(SWITCHES.items()), label="Options", elem_id="switches")
        with gr.Accordion("User dictionary", open=False):
            dictionary = gr.Textbox(
                "",
                label="One entry a line: the phrase, then a reading for each character",
                placeholder="行长 háng zhǎng\n六安 lu4 an1", lines=3, max_lines=12, elem_id="dictionary",
            )  # fmt: skip
        with gr.Row(elem_id="downloads"):
            html_button = gr.Button("Download HTML", interactive=False)
            engine = gr.Dropdown(list(rendering.ENGINES), label="Speech engine", elem_id="engine")
            ssml_button = gr.Button("Download SSML", interactive=False)

        inputs = [session, text, style, switches, dictionary]
        outputs = [session, output, html_button, ssml_button]
        # One call at a time: the tokenizer is not for several threads. While one runs, only the last change waits.
        how = {"concurrency_id": "read", "show_progress": "hidden", "api_visibility": "private"}
        changes = [component.change for component in (text, style, switches, dictionary)]
        gr.on(changes, update, inputs, outputs, trigger_mode="always_last", **how)
        output.choose(choose, inputs, outputs, trigger_mode="multiple", **how)
        for button, save, option in ((html_button, save_page, style), (ssml_button, save_ssml, engine)):
            saved = button.click(save, [session, option], file, show_progress="hidden", api_visibility="private")
            saved.success(None, file, js=SAVE)
    return demo


def launch(pipe: PinyinReader, host: str | None = None, port: int | None = None) -> None:
    """Serve the page until it is interrupted.

    Args:
        pipe (`PinyinReader`): what reads.
        host (`str`, *optional*): address to serve on; defaults to what Gradio finds in its environment, as on a Space.
        port (`int`, *optional*): as `host`.

    Raises:
        InputError: if the address cannot be had.
    """
    fonts = {
        "font": ["system-ui", "sans-serif"],
        "font_mono": ["ui-monospace", "monospace"],
    }  # the others come from a CDN
    theme = gr.themes.Default(primary_hue="teal", neutral_hue="stone", **fonts)
    try:
        build_demo(pipe).launch(
            server_name=host,
            server_port=port,
            theme=theme,
            css=CSS,
            ssr_mode=False,
            share=False,
            footer_links=["gradio", "settings"],
        )
    except (OSError, OverflowError):
        raise InputError(f"cannot serve on {host}:{port}, maybe it is in use: give another --port") from None


if __name__ == "__main__":
    launch(pipeline())
