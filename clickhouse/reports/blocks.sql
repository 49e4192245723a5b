-- Who was put on the block list, by a detector or by a person, and what the list kept out.
--
-- title: Blocks
-- window: entries made in the period; in force: when the report is built
-- compared with: the period before
-- kinds: DAILY, WEEKLY, MONTHLY
-- order: 60

-- statement: entries
-- An entry that ended and was put on again counts once for each time; of one time the newest version says how it stands.
SELECT
    id,
    created,
    created >= toUnixTimestamp64Milli(toDateTime64({from:DateTime('UTC')}, 3, 'UTC')) AS current,
    JSONExtractString(body, 'cidr') AS cidr,
    JSONExtractString(body, 'source') AS source,
    JSONExtractString(body, 'reason') AS reason,
    JSONExtractString(body, 'createdBy') AS created_by,
    toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull(JSONExtractString(body, 'expiresAt'), 3, 'UTC')) AS expires,
    JSONHas(body, 'removedAt') AS removed
FROM
(
    SELECT id, version, body, toUnixTimestamp64Milli(parseDateTime64BestEffortOrZero(JSONExtractString(body, 'createdAt'), 3, 'UTC')) AS created
    FROM store_versions
    WHERE kind = 'block_list_entry' AND JSONExtractString(body, 'action') = 'BLOCK'
    ORDER BY id, created, version DESC, changed_at, changed_by, body
    LIMIT 1 BY id, created
)
WHERE created >= toUnixTimestamp64Milli(toDateTime64({from:DateTime('UTC')}, 3, 'UTC')) AND created < toUnixTimestamp64Milli(toDateTime64({to:DateTime('UTC')}, 3, 'UTC'))
   OR created >= toUnixTimestamp64Milli(toDateTime64({previous_from:DateTime('UTC')}, 3, 'UTC')) AND created < toUnixTimestamp64Milli(toDateTime64({previous_to:DateTime('UTC')}, 3, 'UTC'))
ORDER BY created DESC, id

-- statement: denied
SELECT
    toString(entry_id) AS id,
    sumIf(count, timestamp >= {from:DateTime('UTC')}) AS denied,
    sumIf(count, timestamp < {from:DateTime('UTC')}) AS previous
FROM decisions
WHERE outcome = 'blocked'
  AND (timestamp >= {from:DateTime('UTC')} AND timestamp < {to:DateTime('UTC')}
    OR timestamp >= {previous_from:DateTime('UTC')} AND timestamp < {previous_to:DateTime('UTC')})
  AND toStartOfHour(timestamp) >= toStartOfHour({previous_from:DateTime('UTC')}) AND toStartOfHour(timestamp) < {to:DateTime('UTC')}
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service))
GROUP BY id
ORDER BY denied DESC, id
