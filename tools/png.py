"""Make a picture of a page small: 256 colours that it has most of, and each other one as the nearest of them.

A page has few colours, and the many shades at the edges of letters. What Chromium writes has 8 bits for each of three
or four channels, and is not interlaced.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 6: 4}
"""By the colour type of PNG."""
CLOSE = 48
"""The square of a distance that nobody sees: 4 steps of 255 in each channel."""


def shrink(picture: bytes) -> bytes:
    """The same picture, opaque, with a palette."""
    width, height, rows = _read(picture)
    pixels = [[row[place : place + 3] for place in range(0, len(row), 3)] for row in rows]
    counted = Counter(pixel for row in pixels for pixel in row)
    palette = _choose([colour for colour, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))])
    index = {colour: min(range(len(palette)), key=lambda at: _distance(colour, palette[at])) for colour in counted}
    data = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def _choose(colours: list[bytes]) -> list[bytes]:
    """The first 256 that nobody would take for one of those before."""
    chosen: list[bytes] = []
    for colour in colours:
        if all(_distance(colour, each) >= CLOSE for each in chosen):
            chosen.append(colour)
    return chosen[:256]


def _distance(one: bytes, other: bytes) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _read(picture: bytes) -> tuple[int, int, Iterator[bytes]]:
    """The width, the height, and the rows, of three bytes for each pixel."""
    if not picture.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    head, data, place = b"", b"", len(SIGNATURE)
    while place < len(picture):
        (size,) = struct.unpack_from(">I", picture, place)
        name, content = picture[place + 4 : place + 8], picture[place + 8 : place + 8 + size]
        head, data = (content if name == b"IHDR" else head), data + (content if name == b"IDAT" else b"")
        place += size + 12
    width, height, depth, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", head)
    if depth != 8 or colour_type not in CHANNELS or interlaced:
        raise ValueError("not a PNG as Chromium writes it")
    return width, height, _unfilter(zlib.decompress(data), width, height, CHANNELS[colour_type])


def _unfilter(data: bytes, width: int, height: int, channels: int) -> Iterator[bytes]:
    """Rows as they were before each was written as a difference to its neighbours (PNG, section 9)."""
    size = width * channels
    above = bytearray(size)
    for number in range(height):
        start = number * (size + 1)
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + size])
        for place in range(size if kind else 0):
            left = row[place - channels] if place >= channels else 0
            corner = above[place - channels] if place >= channels else 0
            match kind:
                case 1:
                    before = left
                case 2:
                    before = above[place]
                case 3:
                    before = (left + above[place]) // 2
                case _:
                    before = _paeth(left, above[place], corner)
            row[place] = (row[place] + before) & 0xFF
        above = row
        yield bytes(row) if channels == 3 else b"".join(row[at : at + 3] for at in range(0, size, 4))


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))
