-- Opens more pages in an hour than people do: a catalogue is being copied, an archive walked through.
-- Counted are different pages of one client, not requests. Pictures, scripts and styles come by themselves with a page; an app or a
-- dashboard asks for the same few addresses again and again; and the people behind one shared address are told from each other by user
-- agent and user. Who hides among many user agents is found by user_agent_rotation, who asks for one page over and over by burst.
--
-- name: High volume
-- severity: MEDIUM
-- window: 1h
-- unit: pages
-- parameter: pages UInt32 = 100 [20, 100000] different pages (path and query) that one user agent and user opened
-- reference: https://www.elastic.co/guide/en/security/current/prebuilt-ml-jobs.html
WITH
    served AND page AS evidence,
    -- 20 bits of who, 44 of what: small, and who stays in front.
    bitShiftLeft(toUInt64(cityHash64(user_agent, user_id) % 1048576), 44) + cityHash64(path, query) % 17592186044416 AS opened,
    arraySort(arrayMap(x -> bitShiftRight(x, 44), arrayDistinct(groupArrayIf(opened, evidence)))) AS who
SELECT
    -- The longest run of one client.
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, who), arrayMap(s -> s * 2 + 2, who)))))) AS observed,
    {pages:UInt32} AS threshold,
    countIf(evidence) AS page_requests,
    length(arrayDistinct(who)) AS clients
