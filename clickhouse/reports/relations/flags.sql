-- Findings of both periods, those of hours that touch one; an hour that touches both is in both, told apart by `current`.
-- REPORT_ONLY flags nobody: who asks for the flagged leaves it out by `flags`.
SELECT f.*, current, f.mode != 'REPORT_ONLY' AS flags
FROM findings AS f
ARRAY JOIN [true, false] AS current
WHERE if(current,
    f.hour > {from:DateTime('UTC')} - INTERVAL 1 HOUR AND f.hour < {to:DateTime('UTC')},
    f.hour > {previous_from:DateTime('UTC')} - INTERVAL 1 HOUR AND f.hour < {previous_to:DateTime('UTC')})
  AND f.hour > {previous_from:DateTime('UTC')} - INTERVAL 1 HOUR AND f.hour < {to:DateTime('UTC')}
  AND (empty({services:Array(String)}) OR hasAny(f.services, {services:Array(String)}))
