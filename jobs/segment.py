"""spark-submit jobs/segment.py CONFIG [options]: the same as `rfm-spark segment`."""

import sys

from rfm_spark.cli import main

main(["segment", *sys.argv[1:]])
