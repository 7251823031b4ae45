"""What the file takes over (`moved`), put into the snapshot: from here on, it is this stack's.

- A live key with the marker of a former name of this stack has this stack's, and so has its record.
- A live key that another stack released, and that the file takes over by name, is a generation of that key. Where no
  sink of this stack has its secret, it counts as adopted.

`LiveKey.taken_from` says of both whose they were, so that the marker is written again.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model import DesiredState, LiveKey, Phase, Snapshot, human_text
from reconciler.plan.owners import gather_records, record_is_of


def take_over(desired: DesiredState, snapshot: Snapshot) -> Snapshot:
    """The snapshot with what the file takes over as this stack's; itself where that is nothing."""
    if not any(move.stack for move in desired.moves):
        return snapshot
    recorded = gather_records(desired, snapshot)
    sees_all = all(sink.is_known for sink in snapshot.sinks.values())

    def take(live: LiveKey) -> LiveKey:
        is_held = any(record_is_of(record, live) for record in recorded.get(live.name, ()))
        return _take(desired, live, is_lost=not is_held and (sees_all or live.released is not None))

    return replace(snapshot, keys=tuple(map(take, snapshot.keys)))


def _take(desired: DesiredState, live: LiveKey, *, is_lost: bool) -> LiveKey:
    """One live key, as it is or taken over."""
    marker = live.ownership or live.released
    if marker is None or (marker.stack == desired.stack and live.released is None):
        return live
    if live.released is None and marker.stack not in desired.former_stacks:
        return live
    if live.released is not None and (marker.stack, marker.key) not in desired.handed_over:
        return live
    phase = Phase.ADOPTED if marker.phase is Phase.PUBLISHED and is_lost else marker.phase
    return replace(
        live,
        ownership=replace(marker, stack=desired.stack, released=False, phase=phase),
        text=live.text if live.released is None else human_text(live.text),
        released=None,
        taken_from=marker.stack,
    )
