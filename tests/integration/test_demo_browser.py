"""The page as people use it: `h2p demo` in a process of its own, seen by headless Chromium."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("gradio", reason="needs the extra demo")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
expect = sync_api.expect
expect.set_options(timeout=60_000)

TEXT = "银行行长重新长大了"
PINYIN = "yin2 hang2 hang2 zhang3 chong2 xin1 zhang3 da4 le5".split()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        found = [playwright.chromium.executable_path, *map(shutil.which, ("chromium-headless-shell", "chromium"))]
        path = next((path for path in found if path and Path(path).exists()), None)
        if not path:
            pytest.skip("no Chromium here: playwright install chromium, or apt install chromium-headless-shell")
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(browser):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "h2p_hf.cli", "demo", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 600  # imports alone take minutes on a machine that trains
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page(browser, url, width):
    page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(60_000)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(url)
    pinyin, polyphones, candidates = (page.locator(f"#output {name}") for name in ("rt", ".polyphone", ".candidates"))

    # type, see ruby
    page.get_by_label("Chinese text").fill(TEXT)
    expect(pinyin).to_have_text(["yín", "háng", "háng", "zhǎng", "chóng", "xīn", "zhǎng", "dà", "le"])
    expect(polyphones.filter(has_text="长")).to_have_count(2)
    expect(polyphones.filter(has_text="新")).to_have_count(0)

    # change style
    page.get_by_label("ㄏㄤˊ").check()
    expect(pinyin.first).to_have_text("ㄧㄣˊ")
    page.get_by_label("hang2").check()
    expect(pinyin).to_have_text(PINYIN)

    # choose another candidate by mouse, and by keyboard
    expect(candidates).to_be_hidden()
    polyphones.filter(has_text="行").first.click()
    box = candidates.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    expect(candidates.locator("[aria-pressed=true]")).to_have_text("hang2" + expected_percent(candidates))
    candidates.get_by_role("button", name="xing2").click()
    expect(pinyin.nth(1)).to_have_text("xing2")
    expect(polyphones.filter(has_text="行").first).to_have_class("polyphone chosen")
    expect(candidates).to_be_hidden()
    polyphones.filter(has_text="长").last.focus()
    page.keyboard.press("Enter")
    expect(candidates.get_by_role("button").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(candidates).to_be_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(pinyin.nth(6)).to_have_text("chang2")

    # the user dictionary
    page.get_by_role("button", name="User dictionary").click()
    dictionary = page.get_by_label("One entry a line")
    dictionary.press_sequentially("重新 zhong4", delay=50)  # what comes just as the box opens may be lost
    alert = page.locator("#output").get_by_role("alert")
    expect(alert).to_have_text("user dictionary, line 1: 重新 has 2 characters but 1 readings are given")
    dictionary.fill("重新   zhong4 xin1")
    expect(alert).to_have_count(0)
    wanted = ["yin2", "xing2", "hang2", "zhang3", "zhong4", "xin1", "chang2", "da4", "le5"]
    expect(pinyin).to_have_text(wanted)

    # downloads
    name, html = download(page, "Download HTML")
    assert name == "pinyin.html" and f"<title>{TEXT}</title>" in html
    saved = ElementTree.fromstring(html[html.index("<p>") : html.index("</p>") + 4])
    assert [rt.text for rt in saved.iter("rt")] == wanted
    page.get_by_label("Speech engine").fill("polly")
    page.keyboard.press("Enter")
    name, ssml = download(page, "Download SSML")
    assert name == "pinyin.polly.ssml"
    spoken = ElementTree.fromstring(ssml)
    assert "".join(spoken.itertext()) == TEXT
    sounds = " ".join(phoneme.get("ph") for phoneme in spoken.iter("phoneme"))
    assert sounds == "yin2 xing2 hang2 zhang3 zhong4 xin1 chang2 da4 le0"

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(requests) > 10 and [r for r in requests if not r.startswith((url, "data:", "blob:"))] == []
    page.close()


def expected_percent(candidates) -> str:
    """Return the percentage that the first candidate shows, after checking that all of them make about 100."""
    shown = candidates.locator("span").all_inner_texts()
    numbers = [int(re.fullmatch(r"[<>]? ?(\d+) %", text)[1]) for text in shown]
    assert len(shown) > 1 and 97 <= sum(numbers) <= 103 and numbers[0] == max(numbers)
    return shown[0]


def download(page, button: str) -> tuple[str, str]:
    with page.expect_download() as found:
        page.get_by_role("button", name=button).click()
    return found.value.suggested_filename, Path(found.value.path()).read_text("utf-8")
