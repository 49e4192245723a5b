-- Reports at steady intervals, as implants do, and as health checks and feed readers do: a label that helps to understand an address,
-- not a reason to flag it. Looked at are the gaps between all requests of the address in the hour.
--
-- name: Beaconing
-- severity: LOW
-- mode: REPORT_ONLY
-- window: 1h
-- unit: requests
-- parameter: requests UInt32 = 20 [5, 360] requests
-- parameter: seconds Float64 = 10 [1, 600] mean gap at least
-- parameter: variation Float64 = 0.2 [0.01, 1] of the gaps: standard deviation by mean
-- reference: https://www.elastic.co/security-labs/identifying-beaconing-malware-using-elastic
WITH
    if(count() BETWEEN {requests:UInt32} AND 3600, arraySort(groupArray(toUInt32(toMinute(timestamp) * 60000 + toSecond(timestamp) * 1000 + toMillisecond(timestamp)))), []) AS moments,
    arraySlice(arrayDifference(moments), 2) AS gaps
SELECT
    count() AS observed,
    {requests:UInt32} AS threshold,
    round(arrayAvg(gaps) / 1000, 1) AS mean_gap_seconds,
    round(arrayReduce('stddevPop', gaps) / greatest(1, arrayAvg(gaps)), 3) AS gap_variation
HAVING mean_gap_seconds >= {seconds:Float64} AND gap_variation < {variation:Float64}
