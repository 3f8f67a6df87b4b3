"""spark-submit jobs/ingest.py CONFIG [options]: the same as `rfm-spark ingest`."""

import sys

from rfm_spark.cli import main

main(["ingest", *sys.argv[1:]])
