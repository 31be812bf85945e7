"""Settings: what is wrong stops the start with a sentence that names it."""

from pathlib import Path

import pytest

from app.config import Settings, load
from app.delivery.channels.folder import FolderSettings
from app.errors import Misconfigured
from app.security import new_key
from app.service import assemble

COMPLETE = {"CAPTURE_CAMPAIGN_ID": "1000", "CAPTURE_ACTION_TRACKER_ID": "4321"}


def settings(monkeypatch: pytest.MonkeyPatch, **given: str) -> Settings:
    """Return the settings of a complete environment with changes; an empty text is as good as none."""
    for name, value in (COMPLETE | given).items():
        monkeypatch.setenv(name, value)
    [loaded, _] = load(Settings, FolderSettings)
    assert isinstance(loaded, Settings)
    return loaded


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CAPTURE_CAMPAIGN_ID", "", "CAPTURE_CAMPAIGN_ID is missing"),
        ("CAPTURE_ACTION_TRACKER_ID", "", "CAPTURE_ACTION_TRACKER_ID is missing"),
        ("CAPTURE_CAMPAIGN_ID", "abc", "CAPTURE_CAMPAIGN_ID"),
        ("CAPTURE_CAMPAIGN_ID", "-1", "CAPTURE_CAMPAIGN_ID"),
        ("CAPTURE_DATABASE_URL", "mysql://somewhere/else", "CAPTURE_DATABASE_URL"),
        ("CAPTURE_DATABASE_URL", "sqlite://", "CAPTURE_DATABASE_URL"),
        ("CAPTURE_DATABASE_URL", "nonsense", "CAPTURE_DATABASE_URL"),
        ("CAPTURE_ORDER_KEYS", "a-plain-key", "CAPTURE_ORDER_KEYS"),
        ("CAPTURE_EXPORT_KEYS", "sha256:12", "CAPTURE_EXPORT_KEYS"),
        ("CAPTURE_READ_KEYS", "sha256:" + "A" * 64, "CAPTURE_READ_KEYS"),
        ("CAPTURE_STOREFRONT_ORIGINS", "https://shop.example/", "CAPTURE_STOREFRONT_ORIGINS"),
        ("CAPTURE_STOREFRONT_ORIGINS", "shop.example", "CAPTURE_STOREFRONT_ORIGINS"),
        ("CAPTURE_STOREFRONT_ORIGINS", "https://*.shop.example", "CAPTURE_STOREFRONT_ORIGINS"),
        ("CAPTURE_STOREFRONT_ORIGINS", "https://SHOP.example", "CAPTURE_STOREFRONT_ORIGINS"),
        ("CAPTURE_STOREFRONT_ORIGINS", "null", "CAPTURE_STOREFRONT_ORIGINS"),
        ("CAPTURE_LINKED_DOMAINS", "https://shop.example", "CAPTURE_LINKED_DOMAINS"),
        ("CAPTURE_PARAMETERS", "im ref", "CAPTURE_PARAMETERS"),
        ("CAPTURE_PARAMETERS", ",", "CAPTURE_PARAMETERS"),
        ("CAPTURE_COOKIE_NAME", "im ref;", "CAPTURE_COOKIE_NAME"),
        ("CAPTURE_COOKIE_DOMAIN", "auto,shop.example", "CAPTURE_COOKIE_DOMAIN"),
        ("CAPTURE_COOKIE_DAYS", "0", "CAPTURE_COOKIE_DAYS"),
        ("CAPTURE_COOKIE_SECURE", "perhaps", "CAPTURE_COOKIE_SECURE"),
        (
            "CAPTURE_KEEP_CLICKS_DAYS",
            "29",
            "CAPTURE_KEEP_CLICKS_DAYS is 29, and a cookie is sent for CAPTURE_COOKIE_DAYS",
        ),
        ("CAPTURE_KEEP_ALARMS_DAYS", "0", "CAPTURE_KEEP_ALARMS_DAYS"),
        ("CAPTURE_CONSENT", "maybe", "CAPTURE_CONSENT"),
        ("CAPTURE_RATE_LIMIT", "many", "CAPTURE_RATE_LIMIT: 'many' is not a rate such as 120/minute"),
        ("CAPTURE_RATE_LIMIT", "0/minute", "CAPTURE_RATE_LIMIT"),
        ("CAPTURE_RATE_LIMIT", "5/minute;9/hour", "CAPTURE_RATE_LIMIT"),
        ("CAPTURE_TRUSTED_PROXIES", "proxy.example", "CAPTURE_TRUSTED_PROXIES"),
        ("CAPTURE_TRUSTED_PROXIES", "10.0.0.1/8", "'10.0.0.1/8' is not an address or a network"),
        ("CAPTURE_TRUSTED_PROXIES", "127.0.0.1,*", "CAPTURE_TRUSTED_PROXIES"),
        ("CAPTURE_CHANNEL", "pigeon", "CAPTURE_CHANNEL"),
        ("CAPTURE_LEASE_SECONDS", "60", "CAPTURE_LEASE_SECONDS"),
        ("CAPTURE_MAX_ROWS", "10000", "CAPTURE_MAX_ROWS"),
        ("CAPTURE_MAX_EVENT_AGE_DAYS", "89", "CAPTURE_MAX_EVENT_AGE_DAYS"),
        ("CAPTURE_EVENT_AGE_MARGIN_DAYS", "-1", "CAPTURE_EVENT_AGE_MARGIN_DAYS"),
        ("CAPTURE_AMOUNT_BASIS", "whatever", "CAPTURE_AMOUNT_BASIS"),
        ("CAPTURE_EVENT_TYPES", "missing.toml", "missing.toml cannot be read"),
    ],
)
def test_a_wrong_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    """One sentence says which variable is wrong and how it is written."""
    with pytest.raises(Misconfigured, match=said):
        settings(monkeypatch, **{name: value})


def test_every_fault_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets the service up does not correct one line per start."""
    with pytest.raises(Misconfigured) as caught:
        settings(monkeypatch, CAPTURE_COOKIE_DAYS="x", CAPTURE_CONSENT="x", CAPTURE_FOLDER="x")
    assert [name for name in ("COOKIE_DAYS", "CONSENT", "CAPTURE_FOLDER ") if name not in str(caught.value)] == []


def test_a_typing_error_in_a_name_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that nobody reads would leave the default in force, unseen."""
    with pytest.raises(Misconfigured, match="CAPTURE_ORDER_KEY is not a setting"):
        settings(monkeypatch, CAPTURE_ORDER_KEY="x")


def test_a_typing_error_in_the_file_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """So would one in `.env`; names of others may stand there."""
    Path(".env").write_text("POSTGRES_PASSWORD=abc\nCAPTURE_COOKIE_DAY=40\n")
    with pytest.raises(Misconfigured, match="CAPTURE_COOKIE_DAY is not a setting"):
        settings(monkeypatch)


def test_the_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container overrides what the file says."""
    Path(".env").write_text("CAPTURE_COOKIE_DAYS=40\nCAPTURE_MAX_ROWS=5\n")
    loaded = settings(monkeypatch, CAPTURE_MAX_ROWS="7")
    assert (loaded.cookie_days, loaded.max_rows) == (40, 7)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks and line ends around the parts are no part of them."""
    first, second = new_key()[1], new_key()[1]
    loaded = settings(
        monkeypatch,
        CAPTURE_ORDER_KEYS=f"{first}, {second},",
        CAPTURE_STOREFRONT_ORIGINS="https://www.shop.example,http://localhost:3000",
        CAPTURE_LINKED_DOMAINS="shop.test, *.shop.test",
        CAPTURE_TRUSTED_PROXIES="10.0.0.0/8, 2001:db8::1",
    )
    assert loaded.trusted_proxies == ("10.0.0.0/8", "2001:db8::1")
    assert loaded.order_keys == (first.removeprefix("sha256:"), second.removeprefix("sha256:"))
    assert loaded.storefront_origins == ("https://www.shop.example", "http://localhost:3000")
    assert loaded.linked_domains == ("shop.test", "*.shop.test")


def test_files_of_an_event_type_leave_by_its_own_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its channel, else the common one; also for an event type that is not set up any more."""
    Path("types.toml").write_text(
        '[b2b]\ncampaign_id = 1\naction_tracker_id = 2\nchannel = "email"\nemail_to = "b2b@impact.example"\n'
        "[plain]\ncampaign_id = 1\naction_tracker_id = 3\n"
    )
    loaded = settings(monkeypatch, CAPTURE_EVENT_TYPES="types.toml", CAPTURE_CHANNEL="sftp")
    keys = ("b2b", "plain", "default", "gone")
    assert [loaded.channel_of(key) for key in keys] == ["email", "sftp", "sftp", "sftp"]
    assert loaded.channels_in_use == ["email", "sftp"]


def test_what_does_not_fit_into_the_budget_has_a_channel_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders that go by calls may overflow: that channel is in use too, and files never go by calls."""
    account = {"CAPTURE_IMPACT_ACCOUNT_SID": "sid", "CAPTURE_IMPACT_AUTH_TOKEN": "token"}
    loaded = settings(monkeypatch, CAPTURE_CHANNEL="http_api", CAPTURE_HTTP_API_OVERFLOW="sftp", **account)
    assert loaded.channels_in_use == ["http_api", "sftp"]
    assert (loaded.channel_of("default"), loaded.channel_of_files("default")) == ("http_api", "sftp")


@pytest.mark.parametrize(
    "address", ["a@b.example, c@d.example", "Ann <a@b.example>", "a@b.example\\r\\nBcc: x@y.z", "a"]
)
def test_an_event_type_has_one_address(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """impact.com reads the first address only, and a header must not come in with it."""
    Path("types.toml").write_text(f'[b2b]\ncampaign_id = 1\naction_tracker_id = 2\nemail_to = "{address}"\n')
    with pytest.raises(Misconfigured, match="not one e-mail address"):
        settings(monkeypatch, CAPTURE_EVENT_TYPES="types.toml")


def test_event_types_come_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has ids and columns of its own, and `[default]` may stand there too."""
    Path("types.toml").write_text(
        "[default]\ncampaign_id = 1\naction_tracker_id = 2\n"
        '[sign-up]\ncampaign_id = 3\naction_tracker_id = 4\ncurrency = "EUR"\ncolumns = ["CustomerStatus", "Name"]\n'
    )
    monkeypatch.setenv("CAPTURE_EVENT_TYPES", "types.toml")
    [loaded] = load(Settings)
    assert isinstance(loaded, Settings)
    assert loaded.event_type_keys == ["default", "sign-up"]
    default, signup = loaded.event_type("default"), loaded.event_type("sign-up")
    assert default is not None
    assert (default.campaign_id, default.action_tracker_id) == (1, 2)
    assert signup is not None
    assert (signup.currency, signup.columns) == ("EUR", ("CustomerStatus", "Name"))
    assert loaded.event_type("nothing") is None


CHAINED = '[a]\ncampaign_id = 1\naction_tracker_id = 2\nlevel = "chained"\n'


@pytest.mark.parametrize(
    ("level", "columns", "header"),
    [
        ("item", '["Note", "Name"]', "OrderId,ClickId,CustomerId,CurrencyCode,Amount,Category,Sku,Quantity,Note,Name"),
        ("order", '["Note", "Text1"]', "OrderId,ClickId,CustomerId,CurrencyCode,Amount,Note,Text1"),
        ("chained", '["Note"]', "CustomerId,OrderId,EventDate,Amount,CurrencyCode,ClickId,Note"),
        ("mobile", '["AppleIfa"]', "CurrencyCode,Amount,Category,Sku,Quantity,EventCode,AppleIfa"),
        ("mobile", '["AppleIfa", "EventCode"]', "CurrencyCode,Amount,Category,Sku,Quantity,AppleIfa,EventCode"),
        ("mobile", "[]", "CurrencyCode,Amount,Category,Sku,Quantity,EventCode"),
    ],
)
def test_a_level_is_one_line_and_so_is_a_column(
    monkeypatch: pytest.MonkeyPatch, level: str, columns: str, header: str
) -> None:
    """Further columns follow at the right in the order in which they are named; EventCode is never forgotten."""
    text = f'[a]\ncampaign_id = 1\naction_tracker_id = 2\nlevel = "{level}"\ncolumns = {columns}\n'
    Path("types.toml").write_text(text)
    event_type = settings(monkeypatch, CAPTURE_EVENT_TYPES="types.toml").event_type("a")
    assert event_type is not None
    assert ",".join(event_type.file_columns).endswith(header)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]\ncampaign_id = 1\n", "action_tracker_id"),
        ("[a]\ncampaign_id = 1\naction_tracker_id = 2\ncolums = []\n", "colums"),
        ('[a]\ncampaign_id = 1\naction_tracker_id = 2\ncolumns = ["Sku"]\n', "Sku"),
        ('[a]\ncampaign_id = 1\naction_tracker_id = 2\ncolumns = ["Note", "Note"]\n', "twice"),
        ('[a]\ncampaign_id = 1\naction_tracker_id = 2\ncolumns = ["MediaId", "MediaPartnerId"]\n', "the same"),
        ('[a]\ncampaign_id = 1\naction_tracker_id = 2\ncurrency = "eur"\n', "ISO 4217"),
        ('[a]\ncampaign_id = "1"\naction_tracker_id = 2\nlevel = "sideways"\n', "level"),
        (f'{CHAINED}columns = ["Note", "ItemMpn"]\n', "ItemMpn: said of an item"),
        (f'{CHAINED}columns = ["EventCode"]\n', "EventCode is the column of mobile app events"),
        (f'{CHAINED}event_code = "SALE"\n', "only mobile app events have a code"),
        ('[a]\ncampaign_id = 1\naction_tracker_id = 2\nlevel = "mobile"\nevent_code = "a\\nb"\n', "line breaks"),
        ('[a]\ncampaign_id = 1\naction_tracker_id = 2\nreasons = "Broken"\n', "reasons.*write a list, such as"),
        ("[A_B]\ncampaign_id = 1\naction_tracker_id = 2\n", "A_B"),
        ("[a\n", "not TOML"),
    ],
)
def test_a_wrong_event_type_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    """The sentence names the place in the file."""
    Path("types.toml").write_text(text)
    with pytest.raises(Misconfigured, match=said):
        settings(monkeypatch, CAPTURE_EVENT_TYPES="types.toml")


def test_the_database_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when settings are printed nor when they are wrong."""
    loaded = settings(monkeypatch, CAPTURE_DATABASE_URL="postgresql://u:canary-secret@127.0.0.1/name")
    assert "canary-secret" not in f"{loaded!r} {loaded} {loaded.model_dump()}"
    monkeypatch.setenv("CAPTURE_DATABASE_URL", "oracle://u:canary-secret@127.0.0.1/name")
    with pytest.raises(Misconfigured) as caught:
        load(Settings)
    assert "canary-secret" not in f"{caught.value!r}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CAPTURE_ORDER_KEYS", "canary-secret"),
        ("CAPTURE_EXPORT_KEYS", "sha256:canary-secret"),
        ("CAPTURE_READ_KEYS", f"sha256:{'a' * 64},canary-secret"),
        ("CAPTURE_DATABASE_URL", "postgresql://u:canary-secret/name"),
        ("CAPTURE_DATABASE_URL", "postgresql://u@h:canary-secret/name"),
        ("CAPTURE_DATABASE_URL", "postgres//u:canary-secret@h/name"),
    ],
)
def test_a_secret_at_the_wrong_place_is_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A key pasted instead of its hash, or a password without its colon, does not end up in a log."""
    with pytest.raises(Misconfigured, match=name) as caught:
        settings(monkeypatch, **{name: value})
    assert "canary-secret" not in f"{caught.value} {caught.value!r}"


def test_a_service_is_put_together_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The two ids are all that a first start needs."""
    settings(monkeypatch, CAPTURE_FOLDER_PATH=str(tmp_path / "out"))
    service = assemble()
    service.prepare()
    assert service.schema_is_checked
    assert (tmp_path / "var" / "conversions.db").exists()
    service.database.close()
