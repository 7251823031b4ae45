"""The status page as a browser shows it: on a phone and on a wide screen, light and dark.

With KEYFORM_PICTURES=FOLDER the pictures are kept, for people to look at.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import Browser, chromium_or_skip, open_browser
from support.stacks import make_stack
from support.states import NOW, days, desired, key, live, snapshot

from reconciler.plan.survey import compute_standing
from reconciler.report.status_html import status_to_html

pytestmark = pytest.mark.browser
BELOW = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.frame, .vh, svg')
 && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
SMALL = """[...document.querySelectorAll('body *')].filter(e => [...e.childNodes].some(n => n.nodeType == 3
 && n.data.trim()) && parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.outerHTML.slice(0, 80))"""

CUT = """[...document.querySelectorAll('.lane .cross, .lane .diamond')].filter(e => (
(m, l) => m.left - 1 < l.left || m.right + 1 > l.right
)(e.getBoundingClientRect(), e.closest('.lane').getBoundingClientRect())).map(e => e.outerHTML)"""
OVERLAPPING = """(b => b.filter((r, n) => n && r.left < b[n - 1].right + 3).map(r => r.left))(
[...document.querySelectorAll('.tick')].map(e => e.getBoundingClientRect()).filter(r => r.width))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser(chromium_or_skip()) as opened:
        yield opened


@pytest.fixture(scope="module", params=[3, 30, 300])
def page(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pages") / f"status-{request.param}.html"
    path.write_text(status_to_html(compute_standing(*make_stack(request.param), NOW)), encoding="utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 375])
def test_the_page_is_readable(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.complaints.clear()
    browser.requests.clear()
    browser.show(page, width=width, dark=dark)
    assert browser.complaints == [], "the browser objects to something, such as its policy being broken"
    assert set(browser.requests) == {page.resolve().as_uri()}
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask(BELOW) == [], "something is cut off at the right"
    assert browser.ask(SMALL) == [], "some text is too small to read"
    assert browser.ask(OVERLAPPING) == [], "labels of the axis stand on one another"
    background = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(14, 20, 25)" if dark else "rgb(246, 248, 249)")
    bars = browser.ask("[...document.querySelectorAll('.lane rect')].filter(r => r.getBBox().width > 0).length")
    assert bars >= browser.ask("document.querySelectorAll('.lane svg[role=img]').length") - 10
    shapes = browser.ask("getComputedStyle(document.querySelector('td.bound'), '::before').backgroundColor")
    assert shapes == ("rgb(45, 212, 191)" if dark else "rgb(15, 118, 110)")
    folder = os.environ.get("KEYFORM_PICTURES")
    picture = browser.picture(whole=folder is not None)
    assert picture.startswith(b"\x89PNG")
    if folder is not None:
        name = f"{page.stem}-{width}-{'dark' if dark else 'light'}.png"
        (Path(folder) / name).write_bytes(picture)


def test_the_present_stands_where_its_line_is(browser: Browser, page: Path) -> None:
    browser.show(page, width=1280)
    label = browser.ask("(r => (r.left + r.right) / 2)(document.querySelector('.axis .now').getBoundingClientRect())")
    start, width = browser.ask(
        "(r => [r.left, r.width])(document.querySelector('.rows .lane svg').getBoundingClientRect())"
    )
    style = browser.ask("getComputedStyle(document.querySelector('.rows .lane')).backgroundImage")
    place = float(style.split("calc(")[1].split("%")[0]) if "calc(" in style else float("nan")
    assert abs(start + width * place / 100 - label) < 3


@pytest.mark.parametrize("width", [1280, 375])
def test_every_mark_is_whole(browser: Browser, tmp_path: Path, width: int) -> None:
    """Also that of an expiry at the edge of the timeline."""
    found = []
    for edge in range(10, 60):
        keys = [live(f"k{n}", of=f"k{n}", expires_at=NOW + days(length)) for n, length in enumerate((edge, edge / 1.1))]
        world = snapshot(*keys, held=[each.name for each in keys])
        page = tmp_path / "page.html"
        page.write_text(status_to_html(compute_standing(desired(*(key(each.name) for each in keys)), world, NOW)))
        browser.show(page, width=width)
        found += browser.ask(CUT)
    assert found == []


def test_a_phone_scrolls_the_matrix_and_not_the_page(browser: Browser, page: Path) -> None:
    browser.show(page, width=375, height=780)
    frame = "document.querySelector('table.matrix').closest('.frame')"
    inner, outer = browser.ask(f"[{frame}.scrollWidth, {frame}.clientWidth]")
    assert outer <= 375
    browser.ask(f"{frame}.scrollLeft = 10000")
    left = browser.ask("document.querySelector('.matrix th[scope=row]').getBoundingClientRect().left")
    edge = browser.ask(f"{frame}.getBoundingClientRect().left")
    assert abs(left - edge) < 1, "the names of keys stay in sight"
    assert inner >= outer
