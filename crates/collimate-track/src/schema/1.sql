-- Times are UTC with microseconds, as 2026-01-31T12:00:00.000000Z, so that they sort as text.
-- Columns of JSON hold an object with sorted keys.

CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    base_model TEXT NOT NULL CHECK (base_model <> ''),
    description TEXT NOT NULL,
    metadata TEXT NOT NULL,            -- JSON
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    retired_at TEXT,
    retired_reason TEXT CHECK (retired_reason <> ''),
    CHECK (retired_reason IS NULL OR retired_at IS NOT NULL)
) STRICT;

CREATE TABLE experiments (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CHECK (name <> ''),
    status TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed', 'interrupted')),
    base_model TEXT NOT NULL CHECK (base_model <> ''),
    base_version TEXT CHECK (base_version <> ''),
    method TEXT NOT NULL CHECK (method <> ''),
    config TEXT NOT NULL,              -- JSON
    seed TEXT,                         -- decimal: 64 bits without a sign do not fit into INTEGER
    device TEXT CHECK (device <> ''),
    dtype TEXT CHECK (dtype <> ''),
    data_hash TEXT CHECK (data_hash <> ''),
    software TEXT NOT NULL,            -- JSON: the version of each program and library
    started_at TEXT NOT NULL,
    ended_at TEXT,
    error TEXT CHECK (error <> ''),
    CHECK ((ended_at IS NULL) = (status = 'running')),
    CHECK ((error IS NULL) = (status <> 'failed'))
) STRICT;

CREATE TABLE model_versions (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL REFERENCES models (id),
    version TEXT NOT NULL CHECK (version <> ''),
    parent_id INTEGER REFERENCES model_versions (id) CHECK (parent_id < id), -- NULL: made from the base
    experiment_id INTEGER REFERENCES experiments (id),                       -- that made it
    location TEXT CHECK (location <> ''),
    content_hash TEXT CHECK (content_hash <> ''),
    description TEXT NOT NULL,
    metadata TEXT NOT NULL,            -- JSON
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    retired_at TEXT,
    retired_reason TEXT CHECK (retired_reason <> ''),
    UNIQUE (model_id, version),
    CHECK (retired_reason IS NULL OR retired_at IS NOT NULL)
) STRICT;

CREATE TABLE training_metrics (
    experiment_id INTEGER NOT NULL REFERENCES experiments (id),
    name TEXT NOT NULL CHECK (name <> ''),
    step INTEGER NOT NULL CHECK (step >= 0),
    epoch REAL,
    value REAL,                        -- NULL: it was not a number (NaN)
    recorded_at TEXT NOT NULL,
    PRIMARY KEY (experiment_id, name, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE aqi_scores (
    id INTEGER PRIMARY KEY,
    experiment_id INTEGER NOT NULL REFERENCES experiments (id),
    version_id INTEGER REFERENCES model_versions (id),
    phase TEXT NOT NULL CHECK (phase IN ('before', 'after', 'step')),
    step INTEGER CHECK (step >= 0),
    layer TEXT CHECK (layer <> ''),    -- NULL: all layers together
    axiom TEXT CHECK (axiom <> ''),    -- NULL: all axioms together
    aqi_s REAL NOT NULL,
    chi REAL,
    xbi REAL,
    n_safe INTEGER NOT NULL CHECK (n_safe >= 0),
    n_unsafe INTEGER NOT NULL CHECK (n_unsafe >= 0),
    ci_low REAL,
    ci_high REAL,
    ci_level REAL,
    p_value REAL,
    pooling TEXT CHECK (pooling <> ''),
    transform TEXT CHECK (transform <> ''),
    recorded_at TEXT NOT NULL,
    CHECK ((phase = 'step') = (step IS NOT NULL)),
    CHECK ((ci_low IS NULL) = (ci_high IS NULL) AND (ci_low IS NULL) = (ci_level IS NULL))
) STRICT;

-- NULL differs from NULL in an index, and empty texts and negative numbers are not in the table.
CREATE UNIQUE INDEX aqi_scores_once ON aqi_scores (
    experiment_id, phase, ifnull(step, -1), ifnull(version_id, -1), ifnull(layer, ''),
    ifnull(axiom, ''), ifnull(pooling, ''), ifnull(transform, '')
);

CREATE INDEX aqi_scores_of_version ON aqi_scores (version_id);

CREATE TABLE model_responses (
    id INTEGER PRIMARY KEY,
    experiment_id INTEGER NOT NULL REFERENCES experiments (id),
    version_id INTEGER REFERENCES model_versions (id),
    phase TEXT NOT NULL CHECK (phase IN ('before', 'after', 'step')),
    step INTEGER CHECK (step >= 0),
    prompt_id TEXT NOT NULL CHECK (prompt_id <> ''),
    sample INTEGER NOT NULL CHECK (sample >= 0), -- counts the responses to one prompt
    prompt TEXT NOT NULL,
    response TEXT NOT NULL,
    safety TEXT CHECK (safety IN ('safe', 'unsafe')),
    refused INTEGER CHECK (refused IN (0, 1)),
    judge_score REAL,
    tokens INTEGER CHECK (tokens >= 0),
    latency_ms REAL,
    recorded_at TEXT NOT NULL,
    CHECK ((phase = 'step') = (step IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX model_responses_once ON model_responses (
    experiment_id, phase, ifnull(step, -1), ifnull(version_id, -1), prompt_id, sample
);

CREATE TABLE evaluation_summary (
    id INTEGER PRIMARY KEY,
    experiment_id INTEGER NOT NULL REFERENCES experiments (id),
    version_id INTEGER REFERENCES model_versions (id),
    phase TEXT NOT NULL CHECK (phase IN ('before', 'after', 'step')),
    step INTEGER CHECK (step >= 0),
    metric TEXT NOT NULL CHECK (metric <> ''),
    value REAL NOT NULL,
    ci_low REAL,
    ci_high REAL,
    ci_level REAL,
    n INTEGER CHECK (n >= 0),
    details TEXT NOT NULL,             -- JSON
    recorded_at TEXT NOT NULL,
    CHECK ((phase = 'step') = (step IS NOT NULL)),
    CHECK ((ci_low IS NULL) = (ci_high IS NULL) AND (ci_low IS NULL) = (ci_level IS NULL))
) STRICT;

CREATE UNIQUE INDEX evaluation_summary_once ON evaluation_summary (
    experiment_id, phase, ifnull(step, -1), ifnull(version_id, -1), metric
);

CREATE INDEX evaluation_summary_of_version ON evaluation_summary (version_id);

CREATE TABLE audit_log (
    sequence INTEGER PRIMARY KEY,      -- 1, 2, 3, …
    time TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,             -- JSON
    previous_hash TEXT NOT NULL,       -- SHA-256 in lower-case hexadecimal; of the first entry, zeros
    hash TEXT NOT NULL
) STRICT;

-- The last entry of the log once more, so that a log that was cut off is noticed.
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;

CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;

-- INSERT OR REPLACE would delete without asking the trigger above.
CREATE TRIGGER audit_log_only_at_its_end BEFORE INSERT ON audit_log
WHEN NEW.sequence IS NOT (SELECT ifnull(max(sequence), 0) + 1 FROM audit_log) BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
