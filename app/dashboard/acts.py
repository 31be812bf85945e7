"""What may be done about a batch, and what each comes to, told before it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.delivery.attempt import BatchState


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is done about a batch. `question` is told before it is, sentence by sentence."""

    name: str
    title: str
    button: str
    question: Sequence[str]
    states: frozenset[BatchState]


LEFT: Final = frozenset(set(BatchState) - {BatchState.RENDERED, BatchState.SENDING})
REFUSED: Final = frozenset({BatchState.PARTLY_REJECTED, BatchState.REJECTED})
NOT_ARRIVED: Final = frozenset({BatchState.UNKNOWN, BatchState.FAILED})

ACTS: Final = (
    Act(
        "redelivery",
        "Send again",
        "Send it again",
        (
            "The same bytes go out once more under the same name, even where the channel was stopped.",
            "What impact.com already has of it, it refuses as a duplicate and counts once.",
            "It is not done where orders of the file were changed or corrected since: you are told so then.",
        ),
        LEFT,
    ),
    Act(
        "confirmation",
        "Confirm that it has arrived",
        "It has arrived",
        (
            "Look at impact.com's File Submissions first: is a file of this name there, with as many lines?",
            "If so, it is put on record that it has arrived, and it is not sent again.",
            "If it is not there, send it again instead: what has not arrived is not credited.",
        ),
        NOT_ARRIVED,
    ),
    Act(
        "corrections",
        "Build corrections",
        "Build and send the corrections",
        (
            "Those orders of the batch that impact.com has refused and that are repaired go again, in a new file.",
            "Repaired are those that were changed since, or that settings would send otherwise now.",
            "Those that were repaired at impact.com's side nobody knows of here: name them below.",
            "What impact.com took stays as it is, and nothing goes twice.",
        ),
        REFUSED,
    ),
)
BY_NAME: Final = {act.name: act for act in ACTS}


def acts_of(state: BatchState) -> list[Act]:
    """Return what may be done about a batch in a state."""
    return [act for act in ACTS if state in act.states]
