"""spark-submit jobs/measure.py CONFIG [options]: the same as `rfm-spark measure`."""

import sys

from rfm_spark.cli import main

main(["measure", *sys.argv[1:]])
