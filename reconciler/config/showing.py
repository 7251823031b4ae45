"""What an error may show of a file: expectations and known names, never a value, and a name only with care.

A secret can be anywhere by accident, even in place of a name. A name is shown if it looks like one that a person chose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)
_WELL_KNOWN_TOKENS = re.compile(r"(?i)akia|eyj|(sk|pk|rk|gh[opsur]|github_pat|glpat|hvs|xox[a-z]|apikey)[-_.0-9]")
_SWITCH = re.compile(r"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])|(?<=[A-Z])(?=[a-z0-9])|(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=4096)
def shown_name(name: str) -> str | None:
    """The name itself if it is safe to show; None if it could be a secret in the place of a name."""
    return name if _NAME.fullmatch(name) and not looks_like_token(name) else None


def looks_like_token(text: str) -> bool:
    """Whether a text reads more like a generated token than like a name that a person chose.

    A person's words are short (`payments`, `llama3`, `us-east-1`); a token has a long run without a separator, or
    alternates between letters, digits and cases.
    """
    if _WELL_KNOWN_TOKENS.match(text):
        return True
    longest = max(re.split(r"[-_.]", text), key=len)
    switches = sum(len(_SWITCH.findall(word)) for word in re.split(r"[-_.]", text))
    return len(longest) > 24 or (len(longest) >= 12 and longest.isdigit()) or (len(text) >= 12 and switches >= 5)


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that a typo probably meant, if one is near enough; compares some hundreds at most."""
    matches = get_close_matches(name[:80], islice(known, 500), n=1, cutoff=0.7)
    return matches[0] if matches else None


def ask_for(name: str | None) -> str:
    """`Did you mean …?`, or nothing."""
    return f"Did you mean `{name}`?" if name else ""


def listed(names: Iterable[str], *, word: str = "and") -> str:
    """`a`, `b` and `c`, each in backquotes."""
    quoted = [f"`{name}`" for name in names]
    return f" {word} ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted)
