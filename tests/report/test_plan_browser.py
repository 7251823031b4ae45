"""A plan's page as a browser shows it: on a phone and on a wide screen, light and dark, printed, filtered, attacked.

With KEYFORM_PICTURES=FOLDER the pictures are kept, for people to look at.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from report.plan_pages import large, make_full, saying, tell_story
from support.browser import Browser, chromium_or_skip, open_browser
from support.hostile_output import CORPUS
from support.pages import HOSTILE

from reconciler.plan.changes import Plan
from reconciler.report.plan_html import plan_to_html

pytestmark = pytest.mark.browser
PLANS = {"story": tell_story(), "full": make_full(), "hostile": saying(HOSTILE), "3": large(3), "300": large(300, 40)}
CUT = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.frame, .vh')
 && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
SMALL = """[...document.querySelectorAll('body *')].filter(e => [...e.childNodes].some(n => n.nodeType == 3
 && n.data.trim()) && parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.outerHTML.slice(0, 80))"""
BLOCKS = "[...document.querySelectorAll('.block')].filter(e => e.checkVisibility()).length"
ROWS = "[...document.querySelectorAll('.bindings tbody tr[data-find]')].filter(e => e.checkVisibility()).length"
TYPE = """(words => {{ const box = document.getElementById('{box}'); box.value = words;
 box.dispatchEvent(new Event('input', {{bubbles: true}})); }})({words!r})"""
ATTACKS = {
    "markup": HOSTILE,
    "end of a script": "</script><script>document.title='owned'</script>",
    "end of a style": "</style><style>body{display:none}</style><svg onload=document.title='owned'>",
    "end of an attribute": "\" autofocus onfocus=document.title='owned' x=\"",
    "rules": "}*{display:none;background:url(http://127.0.0.1:9/style)}",
    "addresses": "<img src=http://127.0.0.1:9/a><link rel=stylesheet href=//127.0.0.1:9/b><base href=//127.0.0.1:9>",
    "frames": "<iframe srcdoc='<script>top.document.title=1</script>'></iframe><object data=data:text/html,x></object>",
    "refresh": "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "entities": "&lt;img src=x onerror=document.title='owned'&gt;&#60;script&#62;",
    "template": "${document.title='owned'}{{constructor.constructor('document.title=1')()}}",
    **{name: text for name, text in CORPUS.items() if not name.startswith("long")},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser(chromium_or_skip()) as opened:
        yield opened


@pytest.fixture(scope="module", params=PLANS)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(PLANS[request.param], tmp_path_factory.mktemp("pages") / f"plan-{request.param}.html")


def write(plan: Plan, path: Path) -> Path:
    path.write_text(plan_to_html(plan), encoding="utf-8")
    return path


@pytest.fixture
def show(browser: Browser, tmp_path: Path):
    def shown(plan: Plan, **how: object) -> Browser:
        browser.show(write(plan, tmp_path / "plan.html"), **{"width": 1180, **how})  # type: ignore[arg-type]
        return browser

    return shown


def fill(browser: Browser, box: str, words: str) -> None:
    browser.ask(TYPE.format(box=box, words=words))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 360])
def test_the_page_is_readable(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.complaints.clear()
    browser.requests.clear()
    browser.show(page, width=width, dark=dark)
    assert browser.complaints == [], "the browser objects to something, such as its policy being broken"
    assert set(browser.requests) == {page.resolve().as_uri()}
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask(CUT) == [], "something is cut off at the right"
    assert browser.ask(SMALL) == [], "some text is too small to read"
    background = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(14, 20, 25)" if dark else "rgb(246, 248, 249)")
    folder = os.environ.get("KEYFORM_PICTURES")
    picture = browser.picture(whole=folder is not None)
    assert picture.startswith(b"\x89PNG")
    if folder is not None:
        name = f"{page.stem}-{width}-{'dark' if dark else 'light'}.png"
        (Path(folder) / name).write_bytes(picture)


def test_a_phone_scrolls_the_matrix_and_not_the_page(browser: Browser, tmp_path: Path) -> None:
    browser.show(write(PLANS["300"], tmp_path / "page.html"), width=360, height=780)
    frame = "document.querySelector('table.matrix').closest('.frame')"
    inner, outer = browser.ask(f"[{frame}.scrollWidth, {frame}.clientWidth]")
    assert inner > outer
    assert outer <= 360
    browser.ask(f"{frame}.scrollLeft = 10000")
    row = "[...document.querySelectorAll('.matrix th[scope=row]')].find(e => e.checkVisibility())"
    left, edge = browser.ask(f"[{row}.getBoundingClientRect().left, {frame}.getBoundingClientRect().left]")
    assert abs(left - edge) < 1, "the names of keys stay in sight"


# --- The filter -------------------------------------------------------------------------------------------------------


def test_what_is_typed_narrows_the_blocks_and_is_counted(show) -> None:
    browser = show(PLANS["story"])
    assert browser.ask(BLOCKS) == 9
    assert browser.ask("document.querySelector('.changes output').textContent") == "9 of 9 shown"
    for words, count in (("llama3", 3), ("LLAMA3 rotate", 1), ("rotate create", 0), ("  ", 9), ("playground", 2)):
        fill(browser, "find-change", words)
        assert browser.ask(BLOCKS) == count, words
        assert browser.ask("document.querySelector('.changes output').textContent") == f"{count} of 9 shown"
    assert browser.complaints == []


def test_a_name_is_found_whatever_is_in_it(show) -> None:
    browser = show(saying("<\"&'é>"))
    fill(browser, "find-change", "<\"&'É>mailer")
    assert browser.ask(BLOCKS) == 1


def test_boxes_narrow_the_blocks_by_action_and_by_origin(show) -> None:
    browser = show(PLANS["story"])
    browser.ask("document.getElementById('show-update').click()")
    assert browser.ask(BLOCKS) == 4
    assert browser.ask("document.querySelector('.changes output').textContent") == "4 of 9 shown"
    browser.ask("document.getElementById('from-ours').click()")
    assert browser.ask(BLOCKS) == 2
    browser.ask("document.getElementById('show-update').click()")
    assert browser.ask(BLOCKS) == 6
    browser.ask("document.getElementById('from-pending').click()")
    assert browser.ask(BLOCKS) == 3
    assert browser.ask("[...document.querySelectorAll('.part')].filter(e => e.checkVisibility()).length") == 1


def test_the_bindings_that_stay_are_left_out_until_asked_for(show) -> None:
    browser = show(PLANS["300"])
    folded = browser.ask(ROWS)
    heads = "[...document.querySelectorAll('.matrix thead th')].filter(e => e.checkVisibility()).length"
    columns = browser.ask(heads)
    browser.ask("document.getElementById('only').click()")
    assert browser.ask(ROWS) > folded > 0
    assert browser.ask(heads) > columns > 1
    assert browser.ask("document.querySelector('.bindings output').textContent") == f"{browser.ask(ROWS)} of 300 shown"
    fill(browser, "find-key", "fraud-bot")
    assert browser.ask(ROWS) == 3
    browser.ask("document.getElementById('only').click()")
    assert browser.ask(ROWS) == 2


def test_every_step_of_a_long_plan_unfolds_at_once(show) -> None:
    browser = show(PLANS["300"])
    assert browser.ask("document.querySelectorAll('.block details[open]').length") == 0
    browser.ask("document.getElementById('steps').click()")
    assert browser.ask("document.querySelectorAll('.block details:not([open])').length") == 0
    browser.ask("document.getElementById('steps').click()")
    assert browser.ask("document.querySelectorAll('.block details[open]').length") == 0


def test_without_scripts_the_page_is_whole_and_its_boxes_work(show, browser: Browser) -> None:
    with browser.without_scripts():
        show(PLANS["story"])
        assert browser.ask(BLOCKS) == 9
        assert browser.ask("[...document.querySelectorAll('.later')].every(e => !e.checkVisibility())")
        browser.ask("document.getElementById('show-update').checked = false")
        assert browser.ask(BLOCKS) == 4
        browser.ask("document.getElementById('from-ours').checked = true")
        assert browser.ask(BLOCKS) == 2


def test_the_page_can_be_used_with_a_keyboard(show) -> None:
    browser = show(PLANS["full"])
    reached = []
    for _ in range(40):
        browser.press("Tab")
        reached.append(browser.ask("document.activeElement.id || document.activeElement.tagName.toLowerCase()"))
    for name in ("find-change", "show-create", "show-update", "from-all", "summary", "div"):
        assert name in reached, name
    focus = "(e => { e.focus(); return getComputedStyle(e).outlineStyle; })(document.querySelector('summary'))"
    assert browser.ask(focus) != "none"


def test_printed_it_shows_every_step_and_no_filter(show) -> None:
    browser = show(PLANS["300"], media="print")
    steps = "[...document.querySelectorAll('.block table')].filter(e => e.getBoundingClientRect().height > 0).length"
    assert browser.ask(steps) == browser.ask("document.querySelectorAll('.block').length")
    assert browser.ask("[...document.querySelectorAll('.filter')].every(e => !e.checkVisibility())")
    assert browser.printed().startswith(b"%PDF")


# --- Text of others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
def test_no_text_of_others_runs_asks_or_draws(name: str, show, browser: Browser) -> None:
    """Every text of others in a plan with everything begins with it."""
    ordinary = show(saying("harmless")).ask("document.querySelectorAll('*').length")
    browser.complaints.clear()
    browser.requests.clear()
    show(saying(ATTACKS[name]))
    fill(browser, "find-change", ATTACKS[name][:20].replace("\ud800", ""))
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("file:")] == []
    assert browser.ask("document.title").endswith("inference-prod: plan")
    assert browser.ask("document.querySelectorAll('script').length") == 1
    assert browser.ask("document.querySelectorAll('style').length") == 1
    assert browser.ask("document.querySelectorAll('*').length") == ordinary
    assert browser.ask("getComputedStyle(document.body).display") == "block"
    assert browser.ask("document.querySelectorAll('[onload],[onerror],[onfocus],[src],[href],[style]').length") == 0


def test_not_even_markup_that_got_in_would_run_or_ask(browser: Browser, tmp_path: Path) -> None:
    """What the policy is for, if the escaping ever failed."""
    evil = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    evil += "<style>body{display:none}</style><link rel=stylesheet href=http://127.0.0.1:9/b>"
    page = tmp_path / "page.html"
    page.write_text(plan_to_html(PLANS["story"]).replace("<main>", f"<main>{evil}"), encoding="utf-8")
    browser.complaints.clear()
    browser.requests.clear()
    browser.blocked.clear()
    browser.show(page, width=1180)
    assert browser.ask("document.title") == "inference-prod: plan"
    assert browser.ask("getComputedStyle(document.body).display") == "block"
    assert [url for url in browser.requests if url not in browser.blocked] == [page.resolve().as_uri()]
    assert len(browser.blocked) == 2
    assert len(browser.complaints) >= 4
    browser.complaints.clear()


# --- Large plans ------------------------------------------------------------------------------------------------------


def test_a_plan_of_three_hundred_keys_is_there_soon(show, browser: Browser) -> None:
    """Generous: two loaded cores take a fraction of it."""
    show(PLANS["300"])
    timing = "performance.getEntriesByType('navigation')[0]"
    assert browser.ask(f"{timing}.loadEventEnd - {timing}.startTime") < 15_000
    fill(browser, "find-change", "x")
    spent = browser.ask(
        "(() => { const start = performance.now(); " + TYPE.format(box="find-change", words="fraud") + ";"
        " document.body.offsetHeight; return performance.now() - start; })()"
    )
    assert spent < 5_000
