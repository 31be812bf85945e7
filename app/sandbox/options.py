"""What can be set of a sandbox: each field is an option of the command, with its help, and an argument of `Sandbox`.

What impact.com's documents leave open is an option too, with a default, and its help says so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

OFF: Final = -1
"""The port of a drop that is not wanted."""


_PORT: Final = {"min": OFF, "max": 65_535}


def _said(text: str, **kinds: int) -> object:
    return typer.Option(help=text, **kinds)  # type: ignore[arg-type] # bounds are numbers


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the sandbox behaves."""

    # Where it listens, and who may come
    host: Annotated[str, _said("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, _said("Port of the HTTP API; 0 takes a free one.", min=0, max=65_535)] = 0
    sftp_port: Annotated[int, _said("Port of the SFTP drop; 0 takes a free one, -1 leaves it out.", **_PORT)] = 0
    ftps_port: Annotated[int, _said("Port of the FTPS drop; 0 takes a free one, -1 leaves it out.", **_PORT)] = 0
    smtp_port: Annotated[int, _said("Port of the SMTP drop; 0 takes a free one, -1 leaves it out.", **_PORT)] = 0
    account_sid: Annotated[str, _said("AccountSID; without it one is made up.")] = ""
    auth_token: Annotated[str, _said("AuthToken; without it one is made up.")] = ""
    username: Annotated[str, _said("User of the SFTP, FTPS and SMTP drops.")] = "merchant"
    password: Annotated[str, _said("Password of that user; without it one is made up.")] = ""
    deny: Annotated[
        str, _said("What the token has no scope for, and is answered 403: Conversions, Actions, Submissions.")
    ] = ""

    # Files that are left, and files that are pulled
    write_only: Annotated[bool, _said("Drops show no files and give none back, as impact.com's directory does.")] = True
    pull_folder: Annotated[Path | None, _said("Folder whose files are pulled.")] = None
    pull_pattern: Annotated[str, _said("Which files are pulled, with * and ?.")] = "*.csv"
    pull_seconds: Annotated[int, _said("How often the folder is looked at; impact.com pulls daily.", min=1)] = 86_400
    results_folder: Annotated[
        Path | None,
        _said(
            "Folder for receipt_… and result_… files. Their format is not documented: here they are CSV with the fields"
            " of FTPFileSubmissions and of ErrorDetails."
        ),
    ] = None
    delay_seconds: Annotated[int, _said("How long a file or a submission is worked on; 0 is at once.", min=0)] = 0

    # The account
    campaigns: Annotated[str, _said("Ids of the programs, with commas; any if none is given.")] = ""
    trackers: Annotated[str, _said("Event types as TRACKER=CAMPAIGN, with commas; any if none is given.")] = ""
    chains: Annotated[
        str, _said("Chained event types as CHILD=PARENT, with commas: a child is taken only after its parent.")
    ] = ""
    promo_codes: Annotated[
        str, _said("Codes that credit a partner, as CODE=PARTNER, with commas; any if none is given.")
    ] = ""
    dispositions: Annotated[str, _said("Custom disposition codes, with commas.")] = ""
    approving_dispositions: Annotated[
        str, _said("Custom disposition codes that approve an action; with one, APPROVED is taken too.")
    ] = ""
    account_currency: Annotated[str, _said("The currency of files that name none.")] = "USD"
    payout_percent: Annotated[int, _said("What the partner gets of an amount.", min=0, max=100)] = 10
    dedup_days: Annotated[int, _said("How long the same order id is CONV_DUPLICATE; 0 is for ever.", min=0)] = 90
    locks_after_days: Annotated[
        int, _said("An action locks and is approved so many days after its event date.", min=0)
    ] = 45

    # The HTTP API
    rate_limit: Annotated[int, _said("Calls in a window; beyond them the answer is 429.", min=1)] = 1_000
    rate_window_seconds: Annotated[int, _said("How long a window is.", min=1)] = 3_600
    min_page_size: Annotated[int, _said("The smallest PageSize of Actions.", min=1)] = 2_000
    page_size: Annotated[int, _said("The PageSize of who asks for none.", min=1)] = 20_000

    # What the documents leave open
    rate_reset: Annotated[
        Literal["seconds", "unix"],
        _said("Open: X-RateLimit-Reset is the seconds until then, by the text, or a Unix time, by the example."),
    ] = "seconds"
    numbers: Annotated[
        Literal["strings", "numbers"],
        _said("Open: numbers arrive as strings, as in the one example of an answer, or as numbers."),
    ] = "strings"
    error_spelling: Annotated[
        Literal["documented", "upper", "lower"],
        _said(
            "Open: bodies of errors have Errors[{Field,Message}] (upper), errors[{field,level,message}] (lower), or the"
            " second for conversions alone (documented)."
        ),
    ] = "documented"
    file_rows_key: Annotated[
        Literal["FTPFileSubmissions", "APISubmission"],
        _said("Open: under which name file submissions are listed; an older example shows APISubmission."),
    ] = "FTPFileSubmissions"
    errors_uri: Annotated[
        Literal["ErrorDetails", "Errors"],
        _said("Open: ErrorsUri ends in FTPFileSubmissions/ID/ErrorDetails, or in FTPSubmissions/ID/Errors."),
    ] = "ErrorDetails"
    lines_count_header: Annotated[
        bool, _said("Open: whether Line counts the header, so that the first row is line 2.")
    ] = True
    header_case: Annotated[Literal["exact", "any"], _said("Open: whether upper and lower case in a header matter.")] = (
        "exact"
    )
    item_errors: Annotated[
        Literal["line", "order"], _said("Open: a faulty line is refused alone, or its whole order is.")
    ] = "line"
    zero_reversal: Annotated[
        Literal["no", "yes"], _said("Open: whether amount 0 reverses an action that had amount 0 before.")
    ] = "no"
    too_old_reason: Annotated[
        str, _said("Open: the reason of an event that is older than 88 days (398 with MediaId).")
    ] = "INVALID_EVENT_DATE"
    too_many_reason: Annotated[str, _said("Open: the reason of the 1,001st modification of an action.")] = (
        "TOO_MANY_MODIFICATIONS"
    )

    faults: Annotated[
        Path | None, _said("JSON file of faults to begin with: what POST /sandbox/faults takes, or a list of it.")
    ] = None


def names(text: str) -> tuple[str, ...]:
    """Return the names of a list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def pairs(text: str) -> dict[str, str]:
    """Return a list of `NAME=VALUE` with commas. Raises ValueError."""
    found = {}
    for part in names(text):
        name, sign, value = part.partition("=")
        if not (sign and name.strip() and value.strip()):
            raise ValueError(f"{part!r} is no NAME=VALUE; write several with commas between")
        found[name.strip()] = value.strip()
    return found
