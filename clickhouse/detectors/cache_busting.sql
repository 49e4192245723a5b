-- Asks for dozens of things within one second that no cache can have: the same page with new arguments each time, or made-up paths.
-- What a page loads at once are different paths that exist, and files are left out altogether. Clocks of whole seconds and of milliseconds count the same.
--
-- name: Cache busting
-- severity: HIGH
-- window: 1h
-- unit: targets
-- parameter: targets UInt32 = 31 [5, 100000] different arguments or made-up paths within one second
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-dos-random-uri
WITH
    served AND page AND (query != '' OR error) AS evidence,
    -- 12 bits of the second, 51 of what was asked for.
    bitShiftLeft(toUInt64(toMinute(timestamp) * 60 + toSecond(timestamp)), 51) + cityHash64(path, query) % 2251799813685248 AS asked,
    arraySort(arrayMap(x -> bitShiftRight(x, 51), arrayDistinct(groupArrayIf(asked, evidence)))) AS seconds
SELECT
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, seconds), arrayMap(s -> s * 2 + 2, seconds)))))) AS observed,
    {targets:UInt32} AS threshold,
    length(seconds) AS different,
    arrayUniq(groupArrayIf(cityHash64(path), evidence)) AS paths,
    countIf(evidence AND error) AS failed,
    countIf(evidence) AS hits
HAVING paths * 10 <= different OR failed * 2 >= hits
