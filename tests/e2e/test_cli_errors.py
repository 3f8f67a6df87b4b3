"""The command as a person or a scheduler meets it when something is wrong: exit code, message, last line of the log."""

import subprocess
import sys
from pathlib import Path

import pytest
from e2e import bad_input as bad

pytestmark = pytest.mark.spark_only  # which the command starts

SECRET = "Annie Example"
CASES = {
    "column gone": (
        f"id,date,amuont\n{SECRET},2011-01-02,5\n",
        2,
        "error: source orders: no column amount; found id, date, amuont; did you mean amuont?",
        "rfm_spark: exit 2 (invalid)",
    ),
    "gate": (
        f"id,date,amount\n{SECRET},yesterday,5\nB2,2011-01-02,5\n",
        3,
        "error: source orders: 1 of 2 rows (50.0%) do not meet the contract: unparseable_time 1.",
        "rfm_spark: exit 3 (gate_failed)",
    ),
}


@pytest.mark.parametrize("case", [pytest.param("column gone", marks=pytest.mark.slow), "gate"])
def test_exit_code_and_last_line(tmp_path, case):
    content, code, message, last = CASES[case]
    bad.write(tmp_path, {"f.csv": content})
    contract = {"max_quarantined_share": 0.05}
    config = bad.project_file(tmp_path, [bad.source_of("orders", "f.csv")], contract=contract)
    command = [str(Path(sys.executable).with_name("rfm-spark")), "run", str(config), "--as-of", "2012-01-01"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    lines = done.stderr.strip().splitlines()
    assert (done.returncode, lines[-1]) == (code, last)
    assert any(line.startswith(message) for line in lines)
    assert not any(word in done.stdout + done.stderr for word in (SECRET, "\tat ", "Traceback", "py4j", "Exception"))
    assert [path.name for path in (tmp_path / "lake").iterdir()] == ["runs"]
