"""Which engine the tests run on, and how its session is set."""

import os

ENGINE = os.environ.get("RFM_SPARK_TEST_ENGINE", "spark")
TEST_SETTINGS = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.driver.memory": "3g",
    # every plan is another, and rows are few: to generate and compile code for each would be half of the time
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
