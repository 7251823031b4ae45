"""The folder and the emulator that the tests of the command line have."""

from cli.conftest import keyform, make_world, world

__all__ = ["keyform", "make_world", "world"]
