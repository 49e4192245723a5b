-- Was flagged in hour after hour: comes back after a block, or never left.
-- Only detectors of one hour count: what looks back over days says the same of every hour in which the address shows itself again.
--
-- name: Repeat offender
-- severity: HIGH
-- window: 7d
-- unit: hours
-- parameter: hours UInt32 = 3 [2, 168] different hours in which the address was flagged by another detector
-- reference: https://github.com/fail2ban/fail2ban/blob/master/config/filter.d/recidive.conf
SELECT address, uniqExact(hour) AS observed, {hours:UInt32} AS threshold, uniqExact(detector) AS detectors
FROM findings
WHERE mode != 'REPORT_ONLY' AND detector != 'repeat_offender' AND window_to - window_from = 3600
GROUP BY address
HAVING max(findings.hour) = {hour:DateTime('UTC')}
