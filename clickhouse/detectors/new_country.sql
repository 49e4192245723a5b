-- A user is seen in a country where they were never seen within 30 days. Needs a service that logs its users.
-- Only users with a past count, and addresses that others logged in from before (a company's way out, a VPN's exit) do not.
-- Who travels, or switches on a VPN, is found too: worth a look, not proof.
--
-- name: New country
-- severity: MEDIUM
-- window: 30d
-- unit: users
-- parameter: users UInt32 = 1 [1, 1000] users for whom the address is in a new country
-- parameter: days UInt32 = 2 [1, 29] different days before, at least, on which the user was seen
-- parameter: sharers UInt32 = 3 [2, 1000] users who were seen at the address a day and more ago make it a shared one
-- reference: https://attack.mitre.org/techniques/T1078/
WITH
    past AS
    (
        SELECT user_id, groupUniqArray(country) AS countries, uniqExact(toDate(hour)) AS days
        FROM user_hours
        WHERE hour < {hour:DateTime('UTC')} AND country != ''
        GROUP BY user_id
        HAVING days >= {days:UInt32}
    ),
    shared AS
    (
        SELECT address FROM user_hours WHERE hour < {hour:DateTime('UTC')} - INTERVAL 1 DAY GROUP BY address HAVING uniqExact(user_id) >= {sharers:UInt32}
    )
SELECT
    address,
    uniqExact(u.user_id) AS observed,
    {users:UInt32} AS threshold,
    min(u.country) AS country,
    min(u.user_id) AS user,
    max(past.days) AS days_before
FROM user_hours AS u
INNER JOIN past ON past.user_id = u.user_id
WHERE u.hour = {hour:DateTime('UTC')} AND u.country != '' AND NOT has(past.countries, u.country) AND u.address NOT IN (SELECT address FROM shared)
GROUP BY address
