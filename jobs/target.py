"""spark-submit jobs/target.py CONFIG [options]: the same as `rfm-spark target`."""

import sys

from rfm_spark.cli import main

main(["target", *sys.argv[1:]])
