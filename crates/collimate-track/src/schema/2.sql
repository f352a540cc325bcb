-- An experiment that goes on with what another one has trained.
ALTER TABLE experiments ADD COLUMN parent_id INTEGER REFERENCES experiments (id) CHECK (parent_id < id);

ALTER TABLE model_versions ADD COLUMN uses INTEGER NOT NULL DEFAULT 0 CHECK (uses >= 0);
ALTER TABLE model_versions ADD COLUMN last_used_at TEXT;
