"""A reason of impact.com's as it is shown: its code with what it means and what to do."""

from typing import Self

from pydantic import BaseModel

from app.impact.outcomes import NextStep, reason


class ReasonView(BaseModel):
    """Why impact.com did not take something; `line` and `sku` where it says which part of it."""

    code: str
    meaning: str
    what_to_do: str
    next_step: NextStep
    line: int | None
    sku: str | None

    @classmethod
    def of(cls, code: str, *, line: int | None = None, sku: str | None = None) -> Self:
        """Return what is shown of a code."""
        told = reason(code)
        return cls(
            code=code,
            meaning=told.meaning,
            what_to_do=told.what_to_do,
            next_step=told.next_step,
            line=line,
            sku=sku,
        )
