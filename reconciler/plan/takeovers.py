"""What the file takes over (`moved`), put into the snapshot: from here on, it is this stack's.

- A live key with the marker of a former name of this stack has this stack's, and so has its record.
- A live key that another stack released, and that the file takes over by name, is a generation of that key. Where no
  sink of this stack has its secret, it counts as adopted.

`LiveKey.taken_from` says of both whose they were, so that the marker is written again.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model import DesiredState, LiveKey, Phase, Snapshot, human_text
from reconciler.plan.owners import record_is_of


def take_over(desired: DesiredState, snapshot: Snapshot) -> Snapshot:
    """The snapshot with what the file takes over as this stack's; itself where that is nothing."""
    if not any(move.stack for move in desired.moves):
        return snapshot
    return replace(snapshot, keys=tuple(_take(desired, snapshot, live) for live in snapshot.keys))


def _take(desired: DesiredState, snapshot: Snapshot, live: LiveKey) -> LiveKey:
    """One live key, as it is or taken over."""
    marker = live.ownership or live.released
    if marker is None or (marker.stack == desired.stack and live.released is None):
        return live
    if live.released is None and marker.stack not in desired.former_stacks:
        return live
    if live.released is not None and (marker.stack, marker.key) not in desired.handed_over:
        return live
    sinks = snapshot.sinks.values()
    is_held = any(record_is_of(record, live) for sink in sinks for record in sink.records.values())
    is_seen = live.released is not None or all(sink.is_known for sink in sinks)
    phase = Phase.ADOPTED if marker.phase is Phase.PUBLISHED and is_seen and not is_held else marker.phase
    return replace(
        live,
        ownership=replace(marker, stack=desired.stack, released=False, phase=phase),
        text=live.text if live.released is None else human_text(live.text),
        released=None,
        taken_from=marker.stack,
    )
