"""`plan --format html`: a page on stdout, whole and without secrets, even where there is nothing but an error."""

from __future__ import annotations

import base64
import hashlib
import re

from cli.conftest import Keyform
from cli.stage import TWO_KEYS, World
from support.pages import Page


def judge(text: str) -> Page:
    """The page as it left: its style and its script are those that its policy names."""
    assert text.startswith("<!doctype html>\n")
    assert text.endswith("</html>\n")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    for name in ("style", "script"):
        for content in re.findall(f"<{name}>(.*?)</{name}>", text, re.DOTALL):
            assert base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() in policy
    return Page(text)


def test_a_plan_is_a_page_with_what_the_text_says(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    page = keyform("plan", "--format", "html", "--detailed-exitcode")
    assert (page.code, page.err) == (2, "")
    said = judge(page.out).said
    assert "Plan: 2 to add, 0 to change, 0 to rotate, 0 to destroy." in said
    assert "+ create key.payments does not exist yet" in said
    assert keyform("apply", "--auto-approve").code == 0
    after = keyform("plan", "--format", "html", "--detailed-exitcode")
    assert after.code == 0
    assert "No changes. The live API matches the file." in judge(after.out).said
    for text in (page.out, after.out):
        world.search(text)


def test_only_what_drifted_is_a_page_too(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert "No drift found." in judge(keyform("plan", "--format", "html", "--drift").out).said


def test_a_saved_plan_is_shown_as_the_same_page(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    page = keyform("plan", "--format", "html", "--out", "plan.keyform")
    assert keyform("show", "plan.keyform", "--format", "html").out == page.out
    judge(page.out)


def test_a_refused_plan_is_a_page_and_an_error(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(TWO_KEYS[: TWO_KEYS.index("keys:")] + "keys: {}\n")
    page = keyform("plan", "--format", "html")
    assert page.code == 1
    assert "This plan is refused, and cannot be applied." in judge(page.out).said


def test_without_a_plan_the_page_says_why(world: World, keyform: Keyform) -> None:
    world.write("version: 1\nstack: shop\nprojekt: 1\n")
    page = keyform("plan", "--format", "html")
    assert page.code == 1
    said = judge(page.out).said
    assert "No result" in said
    assert "projekt" in said


def test_a_credential_in_a_description_is_masked_and_the_page_stays_whole(world: World, keyform: Keyform) -> None:
    credential = "hunter2-sesame-open"
    world.write(TWO_KEYS.replace("Checkout", f"Checkout with {credential} for all"))
    page = keyform("plan", "--format", "html", env={"GITHUB_TOKEN": credential})
    assert "hunter2" not in page.out
    assert "(sensitive value)" in judge(page.out).said
