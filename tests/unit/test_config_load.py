"""Reading project files: YAML's own faults, overrides, paths, secrets, what a project resolves to, the template."""

import json
import subprocess
import sys
from datetime import date

import pytest
import yaml
from config_examples import project, put, write

from rfm_spark.config import config_hash, defaults, from_data, lint, load, resolved, template, warnings
from rfm_spark.errors import ConfigError, EnvironmentFault


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "project.yaml", project())


def faults_of(path, *overrides):
    with pytest.raises(ConfigError) as error:
        load(path, overrides)
    return error.value


GOOD = yaml.safe_dump(project(), sort_keys=False)

# text of the file, line of the fault, words of its message
BROKEN = [
    ("", None, ["an empty file"]),
    ("# nothing but a comment\n", None, ["an empty file"]),
    ("- a\n- b\n", 1, ["a list at the top"]),
    ("just text\n", 1, ["a single value at the top"]),
    ("project: x\n\tcurrency: EUR\n", 2, ["column 1", "a tab", "spaces"]),
    ("project: x\nquestion: Who: what?\n", 2, ["column 14", "`:`", "quotes"]),
    ("project: x\nquestion: 'Who\n", 3, ["not closed"]),
    ("project: [a, b\ncurrency: EUR\n", 2, ["column 9"]),
    ("project: x\n  currency: EUR\n", 2, ["indentation"]),
    ("project: x\n---\nproject: y\n", 2, ["second document"]),
    ("project: *nowhere\n", 1, ["nowhere"]),
    ("project: x\x07\n", 1, ["control character"]),
    (GOOD.replace("currency: GBP", "currency: GBP\ncurrency: EUR"), 5, ["stands twice", "line 4"]),
    (GOOD.replace("question: Who is who?", "question: !!python/name:os.system x"), 2, ["tag"]),
    (GOOD.replace("earliest: '2000-01-01'", "earliest: 2000-13-41"), None, ["2000-13-41", "no date that exists"]),
    (GOOD.replace("lake:\n  path: lake", "lake: &lake\n  path: lake\n  more: *lake"), 7, ["part of"]),
    (GOOD.replace("project: shop", "? [a, b]\n: c\nproject: shop"), 1, ["a list or section as a key"]),
]


@pytest.mark.parametrize(("text", "line", "words"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_says_where_and_why(tmp_path, text, line, words):
    error = faults_of(write(tmp_path / "p.yaml", text))
    assert str(error).startswith("p.yaml: ")
    message = "\n".join(str(fault) for fault in error.faults)
    for word in words:
        assert word in message
    assert line is None or error.faults[0].line == line
    assert error.exit_code == 2


def test_a_missing_file_names_one_that_is_there(path):
    assert "did you mean" in str(faults_of(path.with_name("projct.yaml")))
    assert "project.yaml" in str(faults_of(path.with_name("projct.yaml")))
    assert "is a folder" in str(faults_of(path.parent))


def test_encodings(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(path).project == "shop"
    path.write_bytes(GOOD.encode("utf-16"))
    assert load(path).project == "shop"
    path.write_bytes(GOOD.replace("Who is who?", "Für wen?").encode("latin-1"))
    fault = faults_of(path).faults[0]
    assert fault.line == 2
    assert "column 12: found byte 0xFC, which is not UTF-8" in fault.message


def test_faults_have_lines_in_order(path):
    path.write_text(GOOD.replace("GBP", "gbp").replace("format: csv", "format: cvs", 1).replace("f >= 4", "g >= 4"))
    error = faults_of(path)
    lines = path.read_text().splitlines()
    shown = [(fault.path, lines[fault.line - 1].strip()) for fault in error.faults]
    rule = ("segmentations[0].segments[0].when", "when: r >= 4 and g >= 4 and country = 'UK'")
    assert shown == [("currency", "currency: gbp"), ("sources[0].format", "format: cvs"), rule]
    path.write_text(GOOD.replace("GBP", "gbp").replace("f >= 4", "g >= 4"))
    assert [fault.path for fault in faults_of(path).faults] == ["currency", "segmentations[0].segments[0].when"]
    assert "2 faults" in str(faults_of(path))


def test_anchors_merges_and_keys_as_written(tmp_path):
    text = GOOD.replace("- name: orders", "- &o\n  name: orders")
    text = text.replace("sale: purchase", "yes: purchase\n      01: purchase")
    text = text.replace("contract:", "- <<: *o\n  name: old_orders\n  path: old.csv\ncontract:")
    config = load(write(tmp_path / "p.yaml", text))
    assert [source.name for source in config.sources] == ["orders", "crm", "old_orders"]
    assert config.sources[2].event_type == config.sources[0].event_type
    assert list(config.sources[0].event_type.values) == ["yes", "01", "return"]


# --- overrides ---


def test_overrides_by_index_name_and_section(path):
    config = load(
        path,
        [
            "reference_period.months=6",
            "reference_period.sub_periods=6",
            "segmentations.value.scoring.bins=3",
            "sources[0].on_change=replace",
            "contract.latest=2020-01-01",
            "sources.orders.timestamp_format=[yyyyMMdd]",
            "segmentations.value.segments.best.action.priority=2",
        ],
    )
    assert config.reference_period.months == 6
    assert config.segmentations[0].scoring.bins == 3
    assert config.sources[0].on_change == "replace"
    assert config.contract.latest == date(2020, 1, 1)
    assert config.sources[0].timestamp_formats == ["yyyyMMdd"]
    assert config.segmentations[0].segments[0].action.priority == 2


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("reference_period.month=6", ["reference_period.month", "did you mean months?"]),
        ("sources.order.path=x", ["no item order", "did you mean orders?"]),
        ("sources.7.path=x", ["no item 7", "orders, crm"]),
        ("timezone.name=x", ["timezone is 'Europe/London'"]),
        ("currency", ["expected a.b=c"]),
        ("currency=", ["currency", "nothing"]),
        ("reference_period={months: 6", ["no YAML"]),
        ("currency=euro", ["'euro'", "three letters"]),
    ],
)
def test_an_override_that_leads_nowhere(path, override, words):
    message = str(faults_of(path, override))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("given", "periods"),
    [
        ({}, (12, 4)),
        ({"months": 24}, (24, 4)),
        ({"months": 6}, (6, 3)),
        ({"months": 10}, (10, 2)),
        ({"months": 1}, (1, 1)),
        ({"months": 18, "sub_periods": 6}, (18, 6)),
        ({"all": True}, (None, 4)),
    ],
)
def test_months_are_enough_of_a_reference_period(given, periods):
    """Sub-periods that are not given are as many as divide the months, at most four."""
    data = project()
    del data["criteria"]  # one of them is of four sub-periods
    put(data, "reference_period", given)
    period = from_data(data).reference_period
    assert (period.months, period.sub_periods) == periods


# --- paths ---


def test_relative_paths_are_relative_to_the_file_and_on_the_command_line_to_the_working_directory(
    path, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load(path)
    assert config.lake.path == str(tmp_path / "lake")
    assert config.sources[0].path == str(tmp_path / "orders.csv")
    config = load(path, ["sources.orders.path=*.csv"], lake="out/../lake")
    assert config.lake.path == str(elsewhere / "lake")
    assert config.sources[0].path == str(elsewhere / "*.csv")
    assert config.sources[1].path == str(tmp_path / "crm.csv")
    monkeypatch.chdir(tmp_path)
    assert load("project.yaml").lake.path == str(tmp_path / "lake")


def test_lake_replaces_a_catalog(path):
    data = project()
    data["lake"] = {"catalog": "main", "schema": "marketing"}
    write(path, data)
    assert load(path).lake.schema_ == "marketing"
    assert load(path, lake="/x").lake.path == "/x"


@pytest.mark.parametrize("url", ["s3://bucket/x/*.csv", "dbfs:/mnt/x", "abfss://c@a.dfs.core.windows.net/x", "/x/y"])
def test_urls_and_absolute_paths_stay(path, url):
    assert load(path, [f"sources.orders.path={url}"]).sources[0].path == url


# --- secrets ---


@pytest.mark.parametrize("key", ["password", "fs.s3a.secret.key", "apiKey", "sasToken", "access_key", "PWD"])
def test_secrets_are_in_no_message_and_not_in_what_is_recorded(path, key):
    data = project()
    data["sources"][0]["options"][key] = "hunter2"
    data["sources"][0]["path"] = "s3a://user:hunter2@bucket/x"
    config = load(write(path, data))
    assert config.sources[0].options[key] == "hunter2"
    assert "hunter2" not in json.dumps(resolved(config)) + defaults(config)
    data["sources"][0]["options"][key] = ["hunter2"]
    assert "hunter2" not in str(faults_of(write(path, data)))
    data["sources"][0]["options"] = {key: date(2020, 1, 1)}
    assert "2020" not in str(faults_of(write(path, data)))


# --- what it resolves to ---


def test_resolved_is_json_with_every_default(path):
    plain = resolved(load(path))
    assert json.loads(json.dumps(plain)) == plain
    assert plain["contract"]["max_quarantined_share"] == 0.05
    assert plain["sources"][0]["columns"]["amount"] == {"sql": "quantity * price"}
    assert plain["sources"][0]["columns"]["order_id"] == "order"
    assert plain["segmentations"][0]["scoring"]["method"] == "approx_quantile"


def test_the_hash_is_of_the_settings_not_of_their_writing(path):
    before = config_hash(load(path))
    path.write_text("# a comment\n" + GOOD.replace("bins: 5", "bins:    5"))
    assert config_hash(load(path)) == before
    data = project()
    data["contract"]["max_quarantined_share"] = 0.05  # its default
    assert config_hash(load(write(path, data))) == before
    assert config_hash(load(path, ["reference_period.months=24"])) != before
    assert len(before) == 64


def test_defaults_is_a_project_file_of_the_same_project(path, tmp_path):
    config = load(path)
    text = defaults(config)
    again = load(write(tmp_path / "full.yaml", text))
    assert defaults(again) == text
    assert again.segmentations == config.segmentations
    assert again.contract == config.contract
    full = yaml.safe_load(text)
    assert full["sources"][0]["timezone"] == "Europe/London"
    assert full["reference_period"] == {"months": 12, "all": False, "sub_periods": 4}


def test_a_loaded_config_knows_its_lines(path):
    config = load(path)
    lines = path.read_text().splitlines()
    assert lines[config.line("segmentations[0].segments[1].otherwise") - 1].strip() == "otherwise: true"
    assert lines[config.line("segmentations[0].scoring.criteria.f.bins") - 1].strip() == "criteria:"
    assert from_data(project()).line("sources[0]") is None


# --- the template ---


def test_the_template_is_right_and_overwrites_nothing(tmp_path):
    files = template.write(tmp_path / "new" / "shop")
    assert [file.name for file in files] == ["project.yaml", "orders.csv", "project.schema.json"]
    config = load(files[0])
    assert lint(config).errors == []
    assert warnings(config) == []
    assert files[0].read_text().startswith("# yaml-language-server: $schema=project.schema.json\n")
    header, *rows = files[1].read_text().splitlines()
    assert {"customer", "ordered_at", "order", "line", "kind", "quantity", "price"} == set(header.split(","))
    assert len(rows) >= 30
    assert len({tuple(row.split(",")[:2]) for row in rows}) == len(rows)
    with pytest.raises(ConfigError, match="overwrites none"):
        template.write(tmp_path / "new" / "shop")
    with pytest.raises(ConfigError, match="expected a folder"):
        template.write(files[1])
    with pytest.raises(EnvironmentFault):
        template.write(files[1] / "below")


def test_the_config_needs_neither_spark_nor_a_jvm(path):
    code = (
        "import sys, rfm_spark.config as c; config = c.load(sys.argv[1]); c.lint(config); c.defaults(config);"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('pyspark', 'py4j', 'delta', 'pandas')]"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)


def test_a_fault_beside_a_bad_override_is_told_too(path):
    data = project()
    put(data, "timezone", "Nowhere")
    error = faults_of(write(path, data), "sources.order.path=x")
    assert [fault.path for fault in error.faults] == ["--set sources.order.path", "timezone"]
