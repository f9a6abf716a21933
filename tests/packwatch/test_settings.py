"""File, environment and flags, in this order; every setting documented; a mistake named in one line."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from packwatch.settings import HostPort, Settings, SettingsError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_file_then_environment_then_flag(elsewhere, monkeypatch):
    (elsewhere / "packwatch.toml").write_text(
        'host_id = "file"\nlog_level = "debug"\n[store]\nthreads = 3\nmemory_limit_mb = 100\n'
    )
    monkeypatch.setenv("PACKWATCH_HOST_ID", "environment")
    monkeypatch.setenv("PACKWATCH_STORE__THREADS", "4")
    settings = Settings.load(host_id="flag", log_level=None)
    assert (settings.host_id, settings.log_level) == ("flag", "debug")
    assert (settings.store.threads, settings.store.memory_limit_mb) == (4, 100)
    assert Settings.load().host_id == "environment"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:1883", ("127.0.0.1", 1883)), ("[::1]:80", ("::1", 80)), (":9000", ("127.0.0.1", 9000))],
)
def test_addresses(text, expected):
    http = Settings.load(http=text).http
    assert (http.host, http.port) == expected


def test_addresses_from_the_environment_at_any_depth(monkeypatch):
    monkeypatch.setenv("PACKWATCH_HTTP", "127.0.0.1:81")
    monkeypatch.setenv("PACKWATCH_MQTT__ADDRESS", "127.0.0.1:82")
    monkeypatch.setenv("PACKWATCH_GATEWAY__LOCAL__ADDRESS", "10.0.0.1:83")
    monkeypatch.setenv("PACKWATCH_GATEWAY__LOCAL__USERNAME", "gw")
    settings = Settings.load(gateway={"gateway_id": "g"})
    addresses = (settings.http, settings.mqtt.address, settings.gateway.local.address)
    assert [str(address) for address in addresses] == ["127.0.0.1:81", "127.0.0.1:82", "10.0.0.1:83"]
    assert settings.gateway.gateway_id == "g"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("truck", False)],
)
def test_loopback_is_told_from_the_rest(host, loopback):
    assert HostPort(host=host, port=1).is_loopback() is loopback


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ('http = "8470"', r"setting http: '8470' is not HOST:PORT: write a name or an address, a colon and a number"),
        ('http = "127.0.0.1:99999"', r"setting http.port: .*65535"),
        ('htpp = "127.0.0.1:1"', r"setting htpp: Extra inputs"),
        ("[store]\nthreads = 0", r"setting store.threads: .*greater than or equal to 1"),
        ("[store", r"packwatch.toml: "),
    ],
    ids=["no port", "no such port", "a misspelt name", "out of range", "not TOML"],
)
def test_a_mistake_is_named(elsewhere, file, says):
    (elsewhere / "packwatch.toml").write_text(file)
    with pytest.raises(SettingsError, match=says):
        Settings.load()


def test_a_named_file_must_exist(monkeypatch):
    monkeypatch.setenv("PACKWATCH_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"nowhere.toml, which is not a file"):
        Settings.load()


def test_passwords_stay_out_of_repr(monkeypatch):
    monkeypatch.setenv("PACKWATCH_MQTT__PASSWORD", "hunter2")
    monkeypatch.setenv("PACKWATCH_REGISTRY_URL", "postgresql+psycopg://u:hunter2@h/d")
    settings = Settings.load()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(settings.mqtt.access())
    assert settings.mqtt.access().password == "hunter2"


def names(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        nested = isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not HostPort
        found += names(inner, f"{prefix}{name}.") if nested else [prefix + name]
    return found


def test_every_setting_is_documented_and_nothing_else_is():
    text = (ROOT / "docs" / "settings.md").read_text()
    documented = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(documented) == sorted(names(Settings))
