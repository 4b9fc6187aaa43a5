-- Until when a flag of system_control is meant, and how often opsdeck has changed it: two consoles that change one flag
-- cannot both go by what they saw. Who set it and why stands in the audit record.
CREATE TABLE console.control_flag (
    name     text   PRIMARY KEY CHECK (name IN ('maintenance_mode')),
    revision bigint NOT NULL DEFAULT 0,
    until    timestamptz
);
INSERT INTO console.control_flag (name) VALUES ('maintenance_mode');
