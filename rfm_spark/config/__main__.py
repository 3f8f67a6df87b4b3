"""`python -m rfm_spark.config` writes the JSON Schema of project files; conf/project.schema.json is its output."""

import json
import sys

from rfm_spark.config.json_schema import json_schema

sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
