-- Whom detectors flagged, those that act as one together. The addresses themselves are those of `suspiciousIps`.
--
-- title: Suspicious addresses
-- window: hours that touch the period; who was last seen before it is left out
-- compared with: the period before; new: not flagged in the 30 days before
-- kinds: HOURLY, DAILY, WEEKLY, MONTHLY
-- order: 20

-- statement: severities
SELECT current, toString(worst) AS severity, count() AS addresses
FROM
(
    SELECT current, address, max(severity) AS worst, max(last_seen) AS last
    FROM flags
    WHERE flags
    GROUP BY current, address
)
WHERE last >= if(current, {from:DateTime('UTC')}, {previous_from:DateTime('UTC')})
GROUP BY current, severity

-- statement: newcomers
SELECT toString(worst) AS severity, count() AS addresses
FROM
(
    SELECT f.address AS address, min(f.hour) AS first, maxIf(f.severity, f.hour > {from:DateTime('UTC')} - INTERVAL 1 HOUR) AS worst, max(f.last_seen) AS last
    FROM findings AS f
    WHERE f.mode != 'REPORT_ONLY'
      AND f.hour > {from:DateTime('UTC')} - INTERVAL 30 DAY AND f.hour < {to:DateTime('UTC')}
      AND (empty({services:Array(String)}) OR hasAny(f.services, {services:Array(String)}))
    GROUP BY f.address
)
WHERE first > {from:DateTime('UTC')} - INTERVAL 1 HOUR AND last >= {from:DateTime('UTC')}
GROUP BY severity
