-- Many addresses fail to log in as one user: a guess each, so that no address stands out. Needs a service that logs the name that was tried.
-- An address from which that user got in within the same day is the user's own, mistyping. A phone that roams with an old
-- password is the honest case left: it shows in `group_size` with `users` 1.
--
-- name: Password spraying
-- severity: HIGH
-- window: 24h
-- unit: addresses
-- evidence: user_id != '' AND served AND method = 'POST' AND status_code IN (401, 403)
-- parameter: addresses UInt32 = 5 [2, 10000] different addresses that failed to log in as the same user
-- reference: https://attack.mitre.org/techniques/T1110/003/
SELECT
    address,
    max(together) AS observed,
    {addresses:UInt32} AS threshold,
    count() AS users,
    argMax(user_id, (together, user_id)) AS group_key,
    max(together) AS group_size
FROM
(
    SELECT user_id, arrayJoin(strangers) AS address, length(strangers) AS together
    FROM
    (
        SELECT
            user_id,
            groupUniqArrayIf(requests.address, method = 'POST' AND status_code IN (401, 403)) AS failing,
            groupUniqArrayIf(requests.address, status_code < 400) AS own,
            arrayFilter(a -> NOT has(own, a), failing) AS strangers
        FROM requests
        WHERE served AND user_id != ''
            AND user_id IN (SELECT user_id FROM requests WHERE served AND user_id != '' AND method = 'POST' AND status_code IN (401, 403))
        GROUP BY user_id
        HAVING length(strangers) >= {addresses:UInt32}
    )
)
GROUP BY address
