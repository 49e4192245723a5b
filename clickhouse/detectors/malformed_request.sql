-- Does not speak HTTP: bytes of other protocols, commands of botnets and remote desktops, a greeting, sent to see what answers.
-- A browser that takes a plain port for an encrypted one sends a TLS hello; that is a mistake and not counted, and one line
-- may be damaged on its way, so different ones must come.
--
-- name: Malformed requests
-- severity: MEDIUM
-- window: 1h
-- unit: lines
-- probe: yes
-- parameter: lines UInt32 = 3 [1, 10000] different lines that were no request and were answered 400, 405, 408 or 501
WITH
    served AND status_code IN (400, 405, 408, 501)
        AND (method IN ('', '-') OR NOT match(method, '^[A-Z_-]{3,32}$') OR match(path, '[\\x00-\\x1f\\x7f]|\xEF\xBF\xBD|\\\\x[0-9A-Fa-f]{2}'))
        AND path NOT IN ('', '-')
        AND NOT match(path, '^(?:\\x16\\x03|\\\\x16\\\\x03)') AS evidence
SELECT uniqExactIf(concat(method, ' ', path), evidence) AS observed, {lines:UInt32} AS threshold, countIf(evidence) AS hits
