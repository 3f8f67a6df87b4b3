"""What Sail cannot do is refused by name."""

import shutil

from e2e import shipped
from sail.on_sail import command


def test_what_only_spark_can_do_is_refused_by_name(tmp_path):
    config = tmp_path / "cdnow.yaml"
    shutil.copy(shipped.ROOT / "conf" / "cdnow.yaml", config)
    asked = ["lake={catalog: main, schema: shop}", "sources.orders.format=table", "sources.orders.table=shop.orders"]
    asked.append("sources.orders.path=null")
    overrides = [part for one in asked for part in ("--set", one)]
    said = command("run", config, "--as-of", "1998-07-01", *overrides)
    assert said.returncode == 2, said.stderr
    assert "sources.orders.format: table needs --engine spark, found sail" in said.stderr
    assert "lake.catalog: a catalog needs --engine spark, found sail; or give lake.path" in said.stderr
