"""The pages of the documentation, their samples of code, and the commands in those samples."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
_FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_APART: Final = ";&|()\n"
_ASSIGNED: Final = re.compile(r"[A-Z_]+=.*", re.DOTALL)


@dataclass(frozen=True)
class Sample:
    """A block of code in a page. `name`: the file that a recipe calls it."""

    page: str
    line: int
    language: str
    name: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.language}"

    def commands(self) -> list[list[str]]:
        """Return the words of each command of a shell's sample, the settings before it left out."""
        code = re.sub(r"(^|\s)# .*$", "", self.code.replace("\\\n", " "), flags=re.MULTILINE)
        if self.language == "console":
            code = "\n".join(line[2:] for line in code.splitlines() if line.startswith("$ "))
        if self.language == "crontab":
            code = "\n".join(line.split(maxsplit=5)[5] for line in code.splitlines())
        lexer = shlex.shlex(code, posix=True, punctuation_chars=_APART)
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
        commands: list[list[str]] = [[]]
        for word in lexer:
            if word and set(word) <= set(_APART):
                commands.append([])
            elif commands[-1] or not _ASSIGNED.fullmatch(word):
                commands[-1].append(word)
        return [command for command in commands if command]


def samples() -> Iterator[Sample]:
    """Yield every sample of every page."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for found in _FENCE.finditer(text):
            language, _, name = found["info"].partition(" ")
            code = re.sub(rf"^{found['indent']}", "", found["code"], flags=re.MULTILINE)
            line = text.count("\n", 0, found.start()) + 1
            yield Sample(str(page.relative_to(ROOT)), line, language, name, code)


def without_code(text: str) -> str:
    """Return a page with its samples and its words in code left empty, so that what looks like a link there is none."""
    return re.sub(r"`[^`\n]*`", "``", _FENCE.sub("", text))
