-- Looks for something to break, but so seldom that no hour holds enough to notice: one file now, one admin page in two hours.
-- What the detectors take for probes (requests that nobody makes by accident) is kept for weeks; here different targets of a week are counted.
-- Who does it all in one visit is left to the detectors of the hour.
--
-- name: Low and slow
-- severity: HIGH
-- window: 7d
-- unit: targets
-- parameter: targets UInt32 = 10 [3, 10000] different probed paths
-- parameter: hours UInt32 = 4 [2, 168] different hours with probes
SELECT
    address,
    uniqExact(target) AS observed,
    {targets:UInt32} AS threshold,
    uniqExact(probes.hour) AS hours,
    uniqExact(kind) AS kinds
FROM probes
GROUP BY address
HAVING hours >= {hours:UInt32}
