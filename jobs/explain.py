"""spark-submit jobs/explain.py CONFIG [options]: the same as `rfm-spark explain`."""

import sys

from rfm_spark.cli import main

main(["explain", *sys.argv[1:]])
