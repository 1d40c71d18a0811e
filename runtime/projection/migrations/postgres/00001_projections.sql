-- +goose Up
CREATE TABLE IF NOT EXISTS millrace_projections (
    generation bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never given twice: it is part of the names of tables
    name       text    COLLATE "C" NOT NULL,
    schema     integer NOT NULL, -- of the code that follows it
    tables     text    NOT NULL, -- their names without the generation, separated by spaces
    position   bigint  NOT NULL DEFAULT 0, -- of the last event that its rows know
    begun      bigint  NOT NULL, -- this and all other times: microseconds since 1970, by the clock of the database
    followed   bigint  NOT NULL, -- when somebody last brought it up to date, or found it so
    built      bigint, -- null: it is being built, and no query reads it
    retired    bigint, -- when another one took its place
    stopped    text    -- JSON: the event that it cannot take, and why. null: it goes on
);
CREATE INDEX IF NOT EXISTS millrace_projections_name ON millrace_projections (name, schema);
-- One is built at a time.
CREATE UNIQUE INDEX IF NOT EXISTS millrace_projections_building ON millrace_projections (name, schema) WHERE built IS NULL;

-- +goose Down
DROP TABLE millrace_projections;
