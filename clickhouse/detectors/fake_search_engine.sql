-- Says that it is a search engine, from an address that is none of its: neither in the ranges that its owner publishes nor of its names.
-- Under that name scrapers and scanners hope for open doors. Who cannot be checked (no ranges, no names to be had) is not flagged;
-- nor are bots that nobody opens doors for.
--
-- name: Fake search engine
-- severity: HIGH
-- window: 1h
-- unit: names
-- parameter: names UInt32 = 1 [1, 10] search engines that it falsely says it is
-- parameter: search_engines Array(String) = ['googlebot', 'bingbot', 'applebot', 'duckduckbot', 'yandex', 'baidu', 'yahoo', 'qwant', 'sogou', 'seznambot', 'petalbot', 'naver', 'mojeekbot', 'coccocbot'] whose names count, as in the lists of crawlers
-- reference: https://developers.google.com/search/docs/crawling-indexing/verifying-googlebot
SELECT
    address,
    uniqExact(crawler) AS observed,
    {names:UInt32} AS threshold,
    arrayStringConcat(arraySort(groupUniqArray(crawler)), ' ') AS crawler_names
FROM crawlers
WHERE verdict = 'false' AND crawler IN {search_engines:Array(String)}
    AND address NOT IN (SELECT address FROM crawlers WHERE verdict = 'verified')
GROUP BY address
