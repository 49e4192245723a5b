-- Says that it comes from many foreign sites, always to the same page or two, and loads nothing of it: wants its name in somebody's
-- published statistics. Visitors come from search engines and other sites too, but from one or two a day, and their browsers load the
-- files of the page. The table of ideas starts at two sites; two happen to honest people (one search engine, then the other), three hardly do.
--
-- name: Referrer spam
-- severity: LOW
-- window: 24h
-- unit: sites
-- evidence: served AND page AND referer != ''
-- parameter: sites UInt32 = 3 [2, 1000] different foreign hosts that it says it comes from
-- parameter: paths UInt32 = 2 [1, 100] different pages of an hour at most
-- parameter: requests UInt32 = 4 [2, 10000] requests at least
SELECT
    address,
    length(groupUniqArrayArray(h.referers)) AS observed,
    {sites:UInt32} AS threshold,
    sum(h.requests) AS visits,
    max(h.paths) AS pages,
    arrayStringConcat(arraySlice(arraySort(groupUniqArrayArray(h.referers)), 1, 5), ' ') AS hosts
FROM address_hours AS h
GROUP BY address
HAVING pages BETWEEN 1 AND {paths:UInt32} AND visits >= {requests:UInt32} AND sum(h.pages) = visits AND max(h.user_agents) <= 2
