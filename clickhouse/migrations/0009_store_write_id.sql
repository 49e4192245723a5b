-- Of two writers of one version only the first is taken. Which of them it was cannot be told by what they wrote: two may change
-- the same thing in the same way in the same millisecond, and both would take themselves for the first.
ALTER TABLE store_versions
    ADD COLUMN IF NOT EXISTS write_id UInt64 COMMENT 'random, of the insert; 0: written before there was one' AFTER changed_by;
