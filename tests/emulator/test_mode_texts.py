"""Modes as text: each is described where it is declared, and nowhere else, and set by its name."""

from __future__ import annotations

import pytest

from reconciler.emulator import Modes
from reconciler.emulator.mode_texts import ModeError, describe_modes, read_modes


def test_every_mode_has_a_text_and_its_values_the_default_first() -> None:
    described = {mode.name: mode for mode in describe_modes()}
    assert {name: mode.values for name, mode in described.items()} == Modes.choices() | Modes.liberties()
    assert {name for name, mode in described.items() if mode.is_liberty} == set(Modes.liberties())
    assert all(mode.text.endswith(".") for mode in described.values())
    assert described["attach_expired"].text == (
        "A key past its `expires_at` in `api_keys`: taken like any other, or a 400."
    )


def test_every_value_can_be_set_by_its_text() -> None:
    for name, values in (Modes.choices() | Modes.liberties()).items():
        for value in values:
            assert getattr(read_modes([f"{name}={value}"]), name) == value


def test_settings_add_up_and_the_last_of_one_mode_counts() -> None:
    assert read_modes([]) == Modes()
    chosen = read_modes(["data_plane_lag=5", "timestamps=mixed", "data_plane_lag=60"])
    assert chosen == Modes(data_plane_lag=60, timestamps="mixed")


@pytest.mark.parametrize(
    ("setting", "message", "way_out"),
    [
        ("deleted_name", "'deleted_name' sets no mode.", "Write NAME=VALUE, such as deleted_name=reserved."),
        (
            "deleted_nmae=free",
            "There is no mode 'deleted_nmae'.",
            "Did you mean `deleted_name`? `keyform emulator --list-modes` lists all.",
        ),
        ("=", "There is no mode ''.", "`keyform emulator --list-modes` lists all."),
        (
            "deleted_name=gone",
            "The mode deleted_name has no value 'gone'.",
            "Its values are free, reserved_for_an_hour, reserved.",
        ),
        ("data_plane_lag=5.0", "The mode data_plane_lag has no value '5.0'.", "Its values are 0, 5, 60."),
        ("effect=\x1b[31m\n", "The mode effect has no value '\\x1b[31m\\n'.", "Its values are at_finish, at_start."),
        ("x" * 100, f"'{'x' * 60}...' sets no mode.", "Write NAME=VALUE, such as deleted_name=reserved."),
    ],
)
def test_a_setting_of_no_mode_names_what_there_is(setting: str, message: str, way_out: str) -> None:
    with pytest.raises(ModeError) as caught:
        read_modes([setting])
    assert (caught.value.message, caught.value.way_out) == (message, way_out)
