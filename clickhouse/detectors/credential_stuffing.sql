-- Fails to log in as one user after the other: a list of stolen names and passwords. Needs a service that logs the name that was tried.
-- An address from which as many users get in as fail is an office or the network of a phone company.
--
-- name: Credential stuffing
-- severity: HIGH
-- window: 1h
-- unit: users
-- parameter: users UInt32 = 20 [3, 100000] different users as whom it failed to log in
-- reference: https://attack.mitre.org/techniques/T1110/004/
WITH
    served AND method = 'POST' AND status_code IN (401, 403) AND user_id != '' AS evidence
SELECT
    -- Lists of what is rare take less than sets, of which every address would have one.
    arrayUniq(groupArrayIf(cityHash64(user_id), evidence)) AS observed,
    {users:UInt32} AS threshold,
    countIf(evidence) AS failures,
    arrayUniq(groupArrayIf(toUInt32(cityHash64(user_id) % 4294967296), served AND status_code < 400 AND user_id != '')) AS users_that_got_in
HAVING users_that_got_in < observed
