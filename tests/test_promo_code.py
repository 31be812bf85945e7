"""Rules for promo codes: which one a code falls under, and what a wrong file says."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import Settings, load
from app.errors import Misconfigured
from app.promo_code import PromoRule, PromoRules


def rules(**partners: str) -> PromoRules:
    """Return rules by what they match, given as `code_X` or `pattern_X`."""
    made = []
    for name, words in partners.items():
        kind, media_id = name.split("_")
        made.append(PromoRule.model_validate({kind: words, "media_id": media_id}))
    return PromoRules(rules=tuple(made))


RULES = rules(
    pattern_1="ANNA*", code_2="anna10", pattern_3="ANNA1?", code_4="Straße", pattern_5="[xy]-*", pattern_6="* gift"
)


@pytest.mark.parametrize(
    ("code", "media_id"),
    [
        ("ANNA10", "2"),
        ("anna10", "2"),
        ("Anna10", "2"),
        ("ANNA11", "1"),
        ("ANNA", "1"),
        ("XANNA", None),
        (" ANNA10", None),
        ("ANNA10 ", "1"),
        ("STRASSE", "4"),
        ("straße", "4"),
        ("X-1", "5"),
        ("y-", "5"),
        ("Z-1", None),
        ("a\ngift", None),
        ("a gift", "6"),
        ("💐", None),
    ],
)
def test_a_code_falls_under_one_rule(code: str, media_id: str | None) -> None:
    """Exactly this code before every pattern, of the patterns the first; case does not matter, blanks do."""
    rule = RULES.match(code)
    assert (rule and rule.media_id) == media_id


CODES = st.text(st.sampled_from("aAbBßİ1-_. "), min_size=1, max_size=5)
PATTERNS = st.text(st.sampled_from("aAbB1-*?[!]"), min_size=1, max_size=5).filter(lambda text: set("*?[") & set(text))


@given(st.lists(CODES, max_size=4), st.lists(PATTERNS, max_size=4), CODES)
def test_matching_is_what_it_says(codes: list[str], patterns: list[str], code: str) -> None:
    """Whatever the file holds: its exact codes, then its patterns in their order as a shell has them."""
    exact = {one.casefold(): one for one in codes if not set("*?") & set(one)}
    globs = {one.casefold(): one for one in patterns if one.casefold() not in exact}
    made = [PromoRule(pattern=one, media_id="1") for one in globs.values()]
    made += [PromoRule(code=one, media_id="2") for one in exact.values()]
    found = PromoRules(rules=tuple(made)).match(code)
    fitting = [one for one in globs.values() if fnmatchcase(code.casefold(), one.casefold())]
    assert (found and str(found)) == (exact.get(code.casefold()) or next(iter(fitting), None))


def loaded(monkeypatch: pytest.MonkeyPatch, text: str) -> Settings:
    """Return the settings of a shop with two event types and this file."""
    Path("types.toml").write_text("[creators]\ncampaign_id = 1\naction_tracker_id = 2\n")
    Path("codes.toml").write_text(text, "utf-8")
    names = {"CAMPAIGN_ID": "1", "ACTION_TRACKER_ID": "1", "EVENT_TYPES": "types.toml", "PROMO_CODES": "codes.toml"}
    for name, value in names.items():
        monkeypatch.setenv(f"CAPTURE_{name}", value)
    [settings] = load(Settings)
    assert isinstance(settings, Settings)
    return settings


def test_rules_come_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code or a pattern, the partner as number or text, and an event type if it is another."""
    text = (
        '[[rules]]\ncode = "ANNA10"\nmedia_id = 2763\n'
        '[[rules]]\npattern = "CREATOR-*"\nmedia_id = "4411"\nevent_type = "creators"\n'
    )
    found = loaded(monkeypatch, text).promo_codes
    assert [(str(one), one.media_id, one.event_type) for one in found.rules] == [
        ("ANNA10", "2763", None),
        ("CREATOR-*", "4411", "creators"),
    ]
    assert loaded(monkeypatch, "").promo_codes.match("ANNA10") is None


RULE = '[[rules]]\ncode = "A"\nmedia_id = 1\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rules]\n", "codes.toml is not TOML"),
        ('[[rule]]\ncode = "A"\nmedia_id = 1\n', r"CAPTURE_PROMO_CODES \[rule\]"),
        ('[[rules]]\ncode = "A"\n', r"CAPTURE_PROMO_CODES \[rules\] \[0\] \[media_id\]"),
        ('[[rules]]\ncode = "A"\nmedia_id = 0\n', "the partner's number"),
        ('[[rules]]\ncode = "A"\nmedia_id = true\n', "the partner's number"),
        ('[[rules]]\ncode = "A"\nmedia_id = "Anna"\n', "the partner's number"),
        ('[[rules]]\ncode = "A"\nmedia_id = 1\nmedium = 2\n', "medium"),
        ("[[rules]]\nmedia_id = 1\n", "either a code, such as ANNA10, or a pattern"),
        ('[[rules]]\ncode = "A"\npattern = "B*"\nmedia_id = 1\n', "either a code"),
        ('[[rules]]\ncode = "A*"\nmedia_id = 1\n', "'A\\*' is a pattern: write pattern"),
        ('[[rules]]\npattern = "A"\nmedia_id = 1\n', "write code = 'A'"),
        ('[[rules]]\ncode = ""\nmedia_id = 1\n', "code"),
        (RULE + RULE.replace("A", "a"), "two rules for 'a'"),
        (f'{RULE}event_type = "creator"\n', "'creator', which is not described .* there are: creators, default"),
    ],
)
def test_a_wrong_file_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    """Money would go to nobody, or to the wrong partner, and nobody would see it: so the sentence names the rule."""
    with pytest.raises(Misconfigured, match=said):
        loaded(monkeypatch, text)


def test_a_missing_file_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that are not read would be no rules."""
    loaded(monkeypatch, RULE)
    Path("codes.toml").unlink()
    with pytest.raises(Misconfigured, match=r"codes\.toml cannot be read"):
        load(Settings)
