"""spark-submit jobs/run.py CONFIG [options]: the same as `rfm-spark run`."""

import sys

from rfm_spark.cli import main

main(["run", *sys.argv[1:]])
