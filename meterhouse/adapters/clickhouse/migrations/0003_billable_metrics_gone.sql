-- Version 0 says that a billable metric, or a cost, is counted no more: there are no rows to read.
CREATE OR REPLACE VIEW {readers}.billable_metrics{on_cluster} AS
SELECT namespace, billable_metric_id, revision, version, aggregation, name, unit, dimensions
FROM
(
    SELECT namespace, billable_metric_id, revision, version, aggregation, name, unit, dimensions
    FROM {own}.metric_publications
    ORDER BY revision DESC
    LIMIT 1 BY namespace, billable_metric_id
)
WHERE version > 0;
