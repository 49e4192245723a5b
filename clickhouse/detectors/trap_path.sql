-- Asked for a path that nothing links to: one that the operator names in robots.txt as forbidden, or hides in a page. Nobody
-- comes there but by reading what they are told to leave alone. Without paths it is quiet.
--
-- name: Trap path
-- severity: HIGH
-- window: 1h
-- unit: requests
-- probe: yes
-- parameter: requests UInt32 = 1 [1, 1000] requests for a trap
-- parameter: paths Array(String) = [] paths that are traps, with all below them, such as '/internal/price-lists/'
WITH
    notEmpty({paths:Array(String)})
        AND match(lower_path, concat('^(?:', arrayStringConcat(arrayMap(p -> regexpQuoteMeta(lower(trimRight(p, '/'))), {paths:Array(String)}), '|'), ')(?:/|$)')) AS evidence
SELECT countIf(evidence) AS observed, {requests:UInt32} AS threshold, uniqExactIf(lower_path, evidence) AS paths
