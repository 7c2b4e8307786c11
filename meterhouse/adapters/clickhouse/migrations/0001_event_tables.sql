-- Every statement may be run again, and by several processes at once.

-- One first-seen event as it came, and what became of it when it was first counted.
CREATE TABLE IF NOT EXISTS {own}.events{on_cluster}
(
    log_partition    UInt32,
    log_offset       UInt64,
    id_hash          UInt128,
    namespace        LowCardinality(String),
    source           LowCardinality(String),
    id               String,
    type             LowCardinality(String),
    subject          String,
    external_subject String,
    external_id      String,
    time             DateTime64(6, 'UTC'),
    received_at      DateTime64(6, 'UTC'),
    data             String,
    attributes       String,
    disposition      LowCardinality(String),
    INDEX id_bloom id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree{at}
ORDER BY (log_partition, log_offset)
SETTINGS {table_settings};

-- A repeat of an identity: where, when, and its payload when that differs from the first.
CREATE TABLE IF NOT EXISTS {own}.event_repeats{on_cluster}
(
    id_hash         UInt128,
    log_partition   UInt32,
    log_offset      UInt64,
    first_partition UInt32,
    first_offset    UInt64,
    received_at     DateTime64(6, 'UTC'),
    payload         String
)
ENGINE = {replicated}ReplacingMergeTree{at}
ORDER BY (id_hash, log_partition, log_offset)
SETTINGS {table_settings};

-- The dedup index: the hash of an identity, where it was first seen, and the hash of its payload.
CREATE TABLE IF NOT EXISTS {own}.event_ids{on_cluster}
(
    id_hash       UInt128,
    log_partition UInt32,
    log_offset    UInt64,
    payload_hash  UInt64
)
ENGINE = {replicated}MergeTree{at}
ORDER BY (id_hash)
SETTINGS {table_settings}, index_granularity = 256;

-- One event as one version of a billable metric counted it. A row with namespace '' is a mark.
CREATE TABLE IF NOT EXISTS {own}.metered_events{on_cluster}
(
    namespace          LowCardinality(String),
    billable_metric_id LowCardinality(String),
    version            UInt32,
    subject            String,
    external_subject   String,
    time               DateTime64(6, 'UTC'),
    received_at        DateTime64(6, 'UTC'),
    log_partition      UInt32,
    log_offset         UInt64,
    dimensions         Map(LowCardinality(String), String),
    value              Nullable(Decimal(38, 18)),
    unique_hash        UInt128
)
ENGINE = {replicated}MergeTree{at}
PARTITION BY toYYYYMM(time)
ORDER BY (namespace, billable_metric_id, version, subject, external_subject, time)
SETTINGS {table_settings};

-- The mergeable state of one metric version, subject, dimensions and window: of every minute, every hour and every
-- day in the UTC calendar, side by side, and of every hour over all subjects ('HOUR OVERALL', where the subject is '').
-- A row with namespace '' is a mark.
CREATE TABLE IF NOT EXISTS {own}.rollups{on_cluster}
(
    namespace          LowCardinality(String),
    billable_metric_id LowCardinality(String),
    version            UInt32,
    window_size        Enum8('MINUTE' = 1, 'HOUR' = 2, 'DAY' = 3, 'HOUR OVERALL' = 4),
    subject            String,
    external_subject   String,
    window_start       DateTime('UTC'),
    dimensions         Map(LowCardinality(String), String),
    count              SimpleAggregateFunction(sum, UInt64),
    sum                SimpleAggregateFunction(sum, Decimal(76, 18)),
    min                SimpleAggregateFunction(min, Nullable(Decimal(38, 18))),
    max                SimpleAggregateFunction(max, Nullable(Decimal(38, 18))),
    latest             SimpleAggregateFunction(max, Tuple(at DateTime64(6, 'UTC'), received_at DateTime64(6, 'UTC'), log_partition UInt32, log_offset UInt64, value Decimal(38, 18))),
    unique_hashes      SimpleAggregateFunction(groupUniqArrayArray, Array(UInt128)),
    log_offset         SimpleAggregateFunction(max, UInt64)
)
ENGINE = {replicated}AggregatingMergeTree{at}
PARTITION BY toYYYYMM(window_start)
ORDER BY (namespace, billable_metric_id, version, window_size, subject, external_subject, window_start, dimensions)
SETTINGS {table_settings};
