"""impact.com's limits on what a conversion may hold (its FTP and e-mail conversion guide)."""

import re
from datetime import timedelta
from typing import Final

MAX_FILE_ROWS: Final = 10_000
"""Recommended maximum is *under* this many entries a file."""
MAX_AGE_DAYS: Final = 88
"""Files with an older event date are not processed."""
MAX_AGE_DAYS_WITH_MEDIA_ID: Final = 398
"""The same where the order is attributed by MediaId."""
FUTURE_TOLERANCE: Final = timedelta(minutes=5)
"""How far an event may lie ahead of our clock: clocks differ, but no order is placed tomorrow."""
CLICK_ID: Final = re.compile(r"[A-Za-z0-9._~:%+/=-]{1,64}")
"""What a click id can look like (full match): opaque, case-sensitive, never parsed."""
