-- What the catalog said of the billable metrics, a row for each time it said something new: for whoever reads
-- the rollups with SQL alone, and cannot know there which version of a metric is complete. Every server has all
-- of it, so that a shard needs no other one to join it.
CREATE TABLE IF NOT EXISTS {own}.metric_publications{on_cluster}
(
    namespace          LowCardinality(String),
    billable_metric_id String,
    revision           UInt64,
    version            UInt32,
    aggregation        LowCardinality(String),
    name               String,
    unit               String,
    dimensions         Array(String)
)
ENGINE = {replicated}ReplacingMergeTree{on_every_server}
ORDER BY (namespace, billable_metric_id, revision)
SETTINGS {table_settings};

-- The billable metrics as they are: `version` is the one whose rows readers have to ask for.
CREATE OR REPLACE VIEW {readers}.billable_metrics{on_cluster} AS
SELECT namespace, billable_metric_id, revision, version, aggregation, name, unit, dimensions
FROM {own}.metric_publications
ORDER BY revision DESC
LIMIT 1 BY namespace, billable_metric_id;
