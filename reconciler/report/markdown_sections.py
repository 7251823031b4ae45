"""The sections of a comment, and how it is cut to a length: whole elements go, the least important first.

A section has a rank, the lowest of which matters most, and its parts are in the order in which they are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciler.encoder import last_net, one_line
from reconciler.report.markdown_text import code, fence_for, size, without_comments

SHORT = 160
"""Characters of a sentence that is too long to be shown whole."""


@dataclass(frozen=True, slots=True)
class Part:
    """An element that is shown whole, or in a `short` form, or not at all."""

    text: str
    short: str = ""


@dataclass(slots=True)
class Section:
    """Parts of one kind between what opens and closes them. The lowest `rank` matters most; `noun` names a part."""

    rank: int
    noun: str
    head: str
    parts: Sequence[Part]
    foot: str = ""
    prefix: str = ""
    between: str = "\n"
    kept: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many parts are cut."""
        return len(self.parts) - len(self.kept)

    def rest(self, number: int) -> str:
        """The line in place of the parts that are cut."""
        return f"{self.between}{self.prefix}… and {number} more" if number else ""

    def render(self) -> str:
        """The section with the parts that are kept, and how many are not."""
        return f"{self.head}{self.between.join(self.kept)}{self.rest(self.left)}{self.foot}"


def alert(rank: int, noun: str, kind: str, title: str, parts: Sequence[Part]) -> Section:
    """A box that stands out; where a forge does not know it, a quotation."""
    quoted = [Part(f"> {part.text}", f"> {part.short}" if part.short else "") for part in parts]
    return Section(rank, noun, f"> [!{kind}]\n> **{title}**\n>\n", quoted, prefix="> - ")


def listed(rank: int, noun: str, title: str, parts: Sequence[Part]) -> Section:
    """A list under a title of keyform's own."""
    return Section(rank, noun, f"**{title}**\n\n", parts, prefix="- ")


def code_section(rank: int, noun: str, parts: Sequence[Part], between: str = "\n") -> Section:
    """A block of code, with a part to a line or to several."""
    parts = [Part(without_comments(part.text), without_comments(part.short)) for part in parts]
    fence = fence_for(part.text for part in parts)
    return Section(rank, noun, f"{fence}diff\n", parts, f"\n{fence}", between=between)


def folded(rank: int, noun: str, title: str, parts: Sequence[Part], *, is_code: bool = False) -> Section:
    """What is seen after a click. The title is keyform's own: it is in HTML, and not escaped."""
    has_rows = any("\n" in part.text for part in parts)
    inner = (
        code_section(rank, noun, parts, "\n\n" if has_rows else "\n")
        if is_code
        else Section(rank, noun, "", parts, prefix="- ")
    )
    inner.head = f"<details>\n<summary>{title}</summary>\n\n{inner.head}"
    inner.foot += "\n\n</details>"
    return inner


def cut(text: str, longest: int = SHORT) -> str:
    """The text as one line that takes so much of the limit at most."""
    text = one_line(text)
    if size(text) <= longest:
        return text
    used, kept = 0, 0
    for char in text:
        used += size(char)
        if used > longest - 1:
            break
        kept += 1
    return f"{text[:kept]}…"


def codes(names: Iterable[str]) -> str:
    """The names, each as code."""
    return ", ".join(code(cut(name)) for name in names)


def counted(number: int, noun: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def assemble(opening: Sequence[str], sections: Iterable[Section], limit: int, *, whole: str) -> str:
    """The opening, and of the sections what fits: parts in the order of their rank, and none behind one that did not.

    A part that is too long is tried in its short form. What is cut is counted in its section, and at the end; `whole`
    is a sentence that says where everything is. Of the opening, the marker and the title always stay; the rest takes
    no more than half of the room.
    """
    found = [section for section in sections if section.parts]
    for section in found:
        section.parts = [Part(last_net(part.text), last_net(part.short)) for part in section.parts]
        section.kept = [part.text for part in section.parts]
    start = _start(opening)
    text = "\n\n".join([start, *(section.render() for section in found)]) + "\n"
    if size(text) <= limit:
        return text
    most = size(_cut_line(limit, [(len(each.parts), each.noun) for each in found], whole)) + 3
    lines = [*opening]
    while size(start) > (limit - most) // 2 and len(lines) > 2:
        lines.pop()
        start = _start(lines)
    _keep(sorted(found, key=lambda section: section.rank), limit - most - size(start))
    end = _cut_line(limit, [(section.left, section.noun) for section in found], whole)
    return "\n\n".join([start, *(section.render() for section in found if section.kept), end]) + "\n"


def _start(lines: Sequence[str]) -> str:
    return last_net("\n\n".join(lines).replace("\n\n", "\n", 1))


def _keep(sections: Sequence[Section], room: int) -> None:
    for section in sections:
        section.kept.clear()
    for section in sections:
        room -= 2 + size(section.head) + size(section.foot) + size(section.rest(len(section.parts)))
        for part in section.parts:
            between = size(section.between) if section.kept else 0
            fitting = [text for text in (part.text, part.short) if text and size(text) + between <= room]
            if not fitting:
                return
            section.kept.append(fitting[0])
            room -= size(fitting[0]) + between


def _cut_line(limit: int, left: Sequence[tuple[int, str]], whole: str) -> str:
    counts: dict[str, int] = {}
    for number, noun in left:
        counts[noun] = counts.get(noun, 0) + number
    told = ", ".join(counted(number, noun) for noun, number in counts.items() if number)
    return f"**Cut to {limit:,} characters.**{f' Not shown: {told}.' if told else ''} {whole}"
