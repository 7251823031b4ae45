"""A name is shown when a person chose it, and not when it could be a secret in the place of a name."""

from __future__ import annotations

import pytest

from reconciler.config.showing import listed, nearest_name, shown_name

CHOSEN = """
payments-api descripton expires_at llama3 us-east-1-batch team-x-2027 GPT4oMini gpt-4o-mini-2024-07-18 keys max_deletes
1aaa payments.api qwen2-5-72b-instruct mistral-7b-v0-3 preventDestroy internationalization APIKey X
"""
TOKENS = """
sk-9fQ2xLr7VbT4mN8c ghp_16C7e42F292c6912E7710c838347Ae178B4a AKIAIOSFODNN7EXAMPLE hvs.CAESIJ glpat-abc
7f3a9c51e0b84d26a1f05c7e9d3b6284 550e8400-e29b-41d4-a716-446655440000 eyJhbGciOiJIUzI1NiJ9.e30.abc
123456789012 kJ8sP2qL9xZ4 thisisaverylongrunwithoutanyseparator
"""
STRANGE = ("", "two words", "new\nline", "\x1b[31m", "a" * 41, "naïve", "${NAME}")


@pytest.mark.parametrize("name", CHOSEN.split())
def test_a_name_that_a_person_chose_is_shown(name: str) -> None:
    assert shown_name(name) == name


@pytest.mark.parametrize("name", [*TOKENS.split(), *STRANGE])
def test_what_could_be_a_secret_is_not_shown(name: str) -> None:
    assert shown_name(name) is None


def test_a_typo_has_a_nearest_name() -> None:
    assert nearest_name("descripton", ["adopt", "description"]) == "description"
    assert nearest_name("colour", ["adopt", "description"]) is None


def test_names_are_listed_as_one_says_them() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b"], word="or"), listed(["a", "b", "c"])] == [
        "",
        "`a`",
        "`a` or `b`",
        "`a`, `b` and `c`",
    ]
