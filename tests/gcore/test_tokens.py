"""A token that is not as it is in the portal: found before a request is made, said exactly, and never shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_fakes import TOKEN, ScriptedEffects, make_api

from reconciler.errors import ConfigError, CredentialsMissing
from reconciler.gcore.tokens import check_token, find_trouble_with_token

QUOTED = "has quotation marks around it, which are part of the value"
WRONG = [
    ("", "is empty"),
    (" \n", "holds nothing but white space"),
    (f'"{TOKEN}"', QUOTED),
    (f"'{TOKEN}'", QUOTED),
    (f"`{TOKEN}`", QUOTED),
    (f'"{TOKEN}', QUOTED),
    (f"{TOKEN}'", QUOTED),
    (f"\u201c{TOKEN}\u201d", QUOTED),
    (f"GCORE_API_KEY={TOKEN}", "holds an assignment, such as NAME=…"),
    (f"export GCORE_API_KEY={TOKEN}", "holds an assignment, such as NAME=…"),
    (f"APIKey {TOKEN}", "begins with the word `APIKey`"),
    (f"apikey {TOKEN}", "begins with the word `APIKey`"),
    (f"Bearer {TOKEN}", "begins with the word `Bearer`"),
    (f"Authorization: APIKey {TOKEN}", "begins with the word `APIKey`"),
    ("$GCORE_API_KEY", "holds the name of a variable, not its value"),
    ("${GCORE_API_KEY}", "holds the name of a variable, not its value"),
    ("${{ secrets.GCORE_API_KEY }}", "holds the name of a variable, not its value"),
    ("%GCORE_API_KEY%", "holds the name of a variable, not its value"),
    ("{{ token }}", "holds the name of a variable, not its value"),
    ("<token>", "holds a placeholder, not a token"),
    ("<your API token>", "holds a placeholder, not a token"),
    ("your-api-token", "holds a placeholder, not a token"),
    ("YOUR_API_KEY", "holds a placeholder, not a token"),
    ("changeme", "holds a placeholder, not a token"),
    ("********", "holds a placeholder, not a token"),
    ("xxxxxxxx", "holds a placeholder, not a token"),
    ("…", "holds a placeholder, not a token"),
    ("1234", "holds a number alone, so a part of the token is missing"),
    ("first\nsecond", "holds a line break"),
    ("first\r\nsecond", "holds a line break"),
    (f"{TOKEN}\n", "holds a line break"),
    ("first second", "holds a space"),
    ("first\tsecond", "holds a space"),
    ("first\u00a0second", "holds a space"),
    ("žeton", "holds a character that is not ASCII"),
    ("to\u200bken", "holds a character that is not ASCII"),
    ("to\x00ken", "holds a control character"),
    ("to\x1b[0mken", "holds a control character"),
]


@pytest.mark.parametrize(("token", "trouble"), WRONG)
def test_what_is_wrong_with_a_token_is_said_exactly_before_a_request(token: str, trouble: str) -> None:
    with pytest.raises(CredentialsMissing) as caught:
        check_token(token)
    assert caught.value.message == f"GCORE_API_KEY {trouble}."
    assert caught.value.way_out
    assert TOKEN not in caught.value.diagnostics()


@pytest.mark.parametrize(
    "token", [TOKEN, "1234$abcdef0123456789", "demo-token", "yourself", "nonesuch", "a.b.c", "token", "x" * 2, "12345a"]
)
def test_a_token_that_may_be_one_is_sent(token: str) -> None:
    assert find_trouble_with_token(token) == ("", "")


@given(st.text(max_size=30))
def test_a_token_is_refused_or_can_stand_in_a_header_and_is_never_repeated(token: str) -> None:
    trouble, way_out = find_trouble_with_token(token)
    if not trouble:
        assert token == token.strip()
        assert token.isascii()
        assert token.isprintable()
        assert " " not in token
    assert bool(trouble) == bool(way_out)
    assert len(token.strip()) < 8 or token not in f"{trouble} {way_out}"


@pytest.mark.parametrize("url", ['"https://api.gcore.com"', "'https://api.gcore.com'", '"https://api.gcore.com/'])
def test_a_base_url_with_quotation_marks_is_named(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_api(ScriptedEffects({}), base_url=url)
    assert caught.value.message == f"GCORE_BASE_URL {QUOTED}."
    assert "gcore.com" not in caught.value.message
