"""spark-submit jobs/show.py CONFIG [options]: the same as `rfm-spark show`."""

import sys

from rfm_spark.cli import main

main(["show", *sys.argv[1:]])
