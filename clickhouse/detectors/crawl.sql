-- Opens more different pages in one minute than anybody reads: follows every link at once.
-- Files are left out, and so are verified search engines.
--
-- name: Crawl
-- severity: LOW
-- window: 1h
-- unit: paths
-- parameter: paths UInt32 = 41 [10, 100000] different pages within one minute of the clock
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-crawl-non_statics
WITH
    served AND page AND method IN ('GET', 'HEAD') AS evidence,
    -- 6 bits of the minute, 57 of the path.
    bitShiftLeft(toUInt64(toMinute(timestamp)), 57) + cityHash64(path) % 144115188075855872 AS opened,
    arraySort(arrayMap(x -> bitShiftRight(x, 57), arrayDistinct(groupArrayIf(opened, evidence)))) AS minutes
SELECT
    -- The longest run of one minute.
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, minutes), arrayMap(s -> s * 2 + 2, minutes)))))) AS observed,
    {paths:UInt32} AS threshold,
    countIf(evidence) AS page_requests
