"""Progress of an apply, in a pipe and on a terminal."""

import threading
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import pytest
from report.builders import (
    BIND,
    BIND_SUCCESSOR,
    BIND_WHISPER,
    CREATE,
    DELETE,
    EVERYTHING,
    OPEN,
    PUBLISH,
    REMOVE_RECORD,
    UNBIND,
    UNBIND_FOREIGN,
    UNBIND_LAST,
    UPDATE,
)
from rich.console import Console

from reconciler.cli.progress import ShownProgress
from reconciler.gcore import ApiEvent, EventKind
from reconciler.plan.changes import KeyRef
from reconciler.plan.outcomes import Finished, Outcome, OutcomeState, PaceChanged, Started, StepNote
from reconciler.report.progress import LiveProgress, PlainProgress

EVENTS = [
    Started((CREATE,)),
    StepNote(CREATE.id, "retrying in 2s (HTTP 429)"),
    Finished((Outcome(CREATE, OutcomeState.DONE, seconds=0.42),)),
    Started((BIND_SUCCESSOR, BIND)),
    StepNote("deployment.llama3", "waiting for task 7f\x1b[31m\n"),
    Finished(tuple(Outcome(each, OutcomeState.DONE, seconds=12.3) for each in (BIND_SUCCESSOR, BIND))),
    Started((PUBLISH,)),
    Finished((Outcome(PUBLISH, OutcomeState.FAILED, "vault: 503\nsealed", "unseal it", 1.0),)),
    Started((UNBIND, UNBIND_FOREIGN)),
    Finished(tuple(Outcome(each, OutcomeState.UNKNOWN, "no answer", seconds=30) for each in (UNBIND, UNBIND_FOREIGN))),
    Finished((Outcome(DELETE, OutcomeState.SKIPPED, "waits for unbind old-demo deployment.llama3"),)),
    Finished((Outcome(UPDATE, OutcomeState.NOT_STARTED),)),
]


def test_in_a_pipe_every_event_is_one_line():
    lines = []
    with PlainProgress(lines.append) as progress:
        for event in EVENTS:
            progress(event)
    assert lines == [
        "key.payments-api: creating payments-api...",
        "key.payments-api: retrying in 2s (HTTP 429)",
        "key.payments-api: created payments-api in 0.4s",
        "deployment.llama3: binding batch-jobs-g2, payments-api...",
        "deployment.llama3: waiting for task 7f\\x1b[31m",
        "deployment.llama3: bound batch-jobs-g2, payments-api in 12s",
        "key.payments-api: publishing payments-api to vault, local...",
        "key.payments-api: publishing payments-api to vault, local failed after 1.0s: vault: 503 sealed",
        "deployment.llama3: unbinding old-demo, portal-made...",
        "deployment.llama3: unbinding old-demo, portal-made was not confirmed after 30s: no answer",
        "key.old-demo: deleting old-demo was skipped: waits for unbind old-demo deployment.llama3",
        "key.search: updating search was not started",
    ]


def test_a_write_that_was_done_in_part_has_a_line_for_each_end():
    lines = []
    done = Outcome(BIND, OutcomeState.DONE, seconds=1.5)
    failed = Outcome(BIND_SUCCESSOR, OutcomeState.FAILED, "the API does not take it", seconds=1.5)
    PlainProgress(lines.append)(Finished((done, failed)))
    assert lines == [
        "deployment.llama3: bound payments-api in 1.5s",
        "deployment.llama3: binding batch-jobs-g2 failed after 1.5s: the API does not take it",
    ]


def test_of_many_keys_in_one_write_the_first_few_are_named():
    lines = []
    PlainProgress(lines.append)(Started(tuple(replace(BIND, live=KeyRef(name)) for name in "abcdefg")))
    assert lines == ["deployment.llama3: binding a, b, c and 4 more..."]


def test_one_key_that_one_write_binds_to_several_endpoints_is_told_by_its_key():
    lines = []
    progress = PlainProgress(lines.append)
    progress(Started((BIND, BIND_WHISPER)))
    progress(Finished((Outcome(UNBIND, OutcomeState.DONE), Outcome(UNBIND_LAST, OutcomeState.DONE))))
    assert lines == [
        "key.payments-api: binding payments-api to deployment.llama3, deployment.whisper...",
        "key.old-demo: unbound old-demo from deployment.llama3, deployment.playground in 0.0s",
    ]


def test_every_kind_of_step_has_its_words():
    lines = []
    progress = PlainProgress(lines.append)
    for changes in ((UPDATE,), (UNBIND_LAST, OPEN), (OPEN,), (REMOVE_RECORD,), (DELETE,)):
        progress(Finished(tuple(Outcome(change, OutcomeState.DONE) for change in changes)))
    assert lines == [
        "key.search: updated search in 0.0s",
        "deployment.playground: unbound old-demo and opened in 0.0s",
        "deployment.playground: opened in 0.0s",
        "key.old-demo: removed the record in vault in 0.0s",
        "key.old-demo: deleted old-demo in 0.0s",
    ]


def on_terminal(events, *, width=100):
    """The terminal's content; the clock moves by a second at every look."""
    screen, ticks = StringIO(), iter(range(1_000_000))
    console = Console(file=screen, force_terminal=True, width=width, height=30, get_time=lambda: float(next(ticks)))
    with LiveProgress(console, total=len(EVERYTHING.changes)) as progress:
        for event in events:
            progress(event)
    return screen.getvalue()


def test_on_a_terminal_finished_steps_scroll_by_and_the_live_part_is_gone_at_the_end():
    seen = on_terminal(EVENTS)
    assert "created payments-api in 0.4s" in seen
    assert "publishing payments-api to vault, local failed after 1.0s: vault: 503 sealed" in seen
    assert "deleting old-demo was skipped" in seen
    assert seen.endswith("\x1b[2K")


def test_on_a_terminal_what_runs_is_shown_with_its_time_its_note_and_the_bar():
    screen, now = StringIO(), [0.0]
    console = Console(file=screen, width=90, get_time=lambda: now[0])
    progress = LiveProgress(console, total=4)
    progress(Started((CREATE,)))
    progress(Finished((Outcome(CREATE, OutcomeState.FAILED, "no"),)))
    progress(Started((BIND_SUCCESSOR, BIND)))
    progress(StepNote(BIND.id, "waiting for task 7f"))
    now[0] = 75.0
    screen.truncate(0)
    screen.seek(0)
    console.print(progress.draw())
    running, bar = (" ".join(line.split()) for line in screen.getvalue().splitlines())
    assert running[2:] == "deployment.llama3 binding batch-jobs-g2, payments-api waiting for task 7f 1m 15s"
    assert bar.endswith("0 of 4 done, 1 failed")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0.4s"), (9.0, "9.0s"), (59.4, "59s"), (75.0, "1m 15s"), (3599.0, "59m 59s")]
)
def test_on_a_terminal_a_long_line_is_cut_and_its_time_never(width, seconds, said):
    screen, now = StringIO(), [0.0]
    console = Console(file=screen, width=width, get_time=lambda: now[0])
    progress = LiveProgress(console, total=4)
    progress(Started((BIND_SUCCESSOR, BIND)))
    progress(StepNote(BIND.id, "waiting for task 7f " * 10))
    now[0] = seconds
    console.print(progress.draw())
    line = screen.getvalue().splitlines()[0]
    assert line.rstrip().endswith(f" {said}")
    assert "deployment.llama3" in line
    assert "\u2026" in line


def test_on_a_terminal_the_pace_that_the_api_asks_for_is_shown_until_it_is_over():
    screen, now = StringIO(), [0.0]
    console = Console(file=screen, width=90, get_time=lambda: now[0])
    progress = LiveProgress(console, total=4)

    def shown():
        screen.truncate(0)
        screen.seek(0)
        console.print(progress.draw())
        return [" ".join(line.split()) for line in screen.getvalue().splitlines()][:-1]

    assert shown() == []
    progress(PaceChanged(5, 10, 8.0))
    now[0] = 1.5
    assert shown() == ["The API asks for fewer requests: at most 5 of 10 in flight, next in 6.5s"]
    now[0] = 9.0
    assert shown() == ["The API asks for fewer requests: at most 5 of 10 in flight"]
    progress(PaceChanged(10, 10, 0.0))
    assert shown() == []
    progress(PaceChanged(1, 1, 3.0))
    assert shown() == ["The API asks for fewer requests: at most 1 of 1 in flight, next in 3.0s"]
    now[0] = 12.0
    assert shown() == []


def test_a_change_that_a_last_look_finds_undone_is_counted_once():
    console = Console(file=StringIO(), width=80)
    progress = LiveProgress(console, total=1)
    progress(Finished((Outcome(DELETE, OutcomeState.DONE),)))
    progress(Finished((Outcome(DELETE, OutcomeState.UNKNOWN, "it is still listed"),)))
    console.file = StringIO()
    console.print(progress.draw())
    assert "0 of 1 done, 1 failed" in console.file.getvalue()


def test_in_a_pipe_the_pace_is_left_to_the_log():
    lines = []
    PlainProgress(lines.append)(PaceChanged(5, 10, 8.0))
    assert lines == []


def test_on_a_terminal_many_running_steps_do_not_fill_the_screen():
    seen = on_terminal([Started((CREATE,))] * 40)
    assert "and 28 more" in seen


def test_markup_in_a_name_is_text():
    seen = on_terminal([Started((CREATE,)), StepNote(CREATE.id, "[red]x[/red] :smile:")])
    assert "[red]x[/red] :smile:" in seen


def test_many_threads_may_tell_at_once():
    lines = []
    for progress in (
        PlainProgress(lines.append),
        LiveProgress(Console(file=StringIO(), force_terminal=True, width=80), total=800),
    ):

        def work(progress=progress):
            for _ in range(50):
                progress(Started((CREATE,)))
                progress(StepNote(CREATE.id, "waiting"))
                progress(Finished((Outcome(CREATE, OutcomeState.DONE),)))

        with progress:
            threads = [threading.Thread(target=work, daemon=True) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(timeout=30)
            assert not any(thread.is_alive() for thread in threads)
    assert len(lines) == 16 * 50 * 3


# --- What the client tells stands beside the change that it is about --------------------------------------------------


@pytest.fixture
def told():
    return []


@pytest.fixture
def progress(told):
    terminal = SimpleNamespace(live=False, tell=told.append, log=lambda *_: None, masked=lambda event: event)
    shown = ShownProgress(terminal)
    with shown.shown(3):
        yield shown


def waits(subject):
    return ApiEvent(EventKind.TASK_STARTED, "PATCH", subject, detail="7f")


@pytest.mark.parametrize("subject", ["deployment.llama3", "key.payments-api"])
def test_a_request_about_an_endpoint_or_a_live_key_is_told_of_the_write_that_it_belongs_to(progress, told, subject):
    progress.on_event(Started((BIND, BIND_WHISPER)))
    progress.on_api_event(waits(subject))
    assert told[1:] == ["key.payments-api: waiting for task 7f"]


def test_a_request_of_no_running_change_is_told_of_what_it_is_about(progress, told):
    progress.on_event(Started((CREATE,)))
    progress.on_event(Finished((Outcome(CREATE, OutcomeState.DONE),)))
    progress.on_event(Started((PUBLISH,)))
    progress.on_api_event(waits("deployment.llama3"))
    assert told[3:] == ["deployment.llama3: waiting for task 7f"]
