-- One user in two countries, further apart than anybody travels in the time between: one of the two is somebody else. Needs a service that
-- logs its users. Countries must differ, since phone networks leave the internet in another town than the phone is in. Flagged is the
-- address in the country where the user was not seen before; of two new ones the later. Where both are known, the user has a VPN or two homes.
--
-- name: Impossible travel
-- severity: HIGH
-- window: 30d
-- unit: kilometres
-- parameter: kilometres UInt32 = 1000 [100, 20000] between the two places
-- parameter: hours UInt32 = 3 [1, 24] between the two visits at most
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/impossible-travel
WITH
    visits AS
    (
        SELECT user_id, user_hours.hour AS hour, address, country, ifNull(latitude, 0) AS north, ifNull(longitude, 0) AS east, first_seen, last_seen
        FROM user_hours
        WHERE user_hours.hour >= {hour:DateTime('UTC')} - toIntervalHour({hours:UInt32}) AND country != '' AND latitude IS NOT NULL AND longitude IS NOT NULL
    ),
    travellers AS
    (
        SELECT user_id FROM visits GROUP BY user_id HAVING uniqExact(country) > 1
    ),
    homes AS
    (
        SELECT user_id, groupUniqArray(country) AS countries
        FROM user_hours
        WHERE hour < {hour:DateTime('UTC')} - toIntervalHour({hours:UInt32}) AND user_id IN (SELECT user_id FROM travellers)
        GROUP BY user_id
    ),
    journeys AS
    (
        SELECT
            a.user_id AS user,
            toUInt32(geoDistance(a.east, a.north, b.east, b.north) / 1000) AS apart,
            has(homes.countries, a.country) AS first_known,
            has(homes.countries, b.country) AS second_known,
            if(second_known, a.address, b.address) AS stranger,
            concat(a.country, ' → ', b.country) AS way,
            greatest(0, dateDiff('minute', a.last_seen, b.first_seen)) AS minutes
        FROM (SELECT * FROM visits WHERE user_id IN (SELECT user_id FROM travellers)) AS a
        INNER JOIN (SELECT * FROM visits WHERE user_id IN (SELECT user_id FROM travellers)) AS b ON b.user_id = a.user_id
        LEFT JOIN homes ON homes.user_id = a.user_id
        WHERE a.country != b.country AND a.first_seen <= b.first_seen
            AND greatest(a.hour, b.hour) = {hour:DateTime('UTC')}
            AND minutes <= {hours:UInt32} * 60 AND NOT (first_known AND second_known)
    )
SELECT
    stranger AS address,
    max(apart) AS observed,
    {kilometres:UInt32} AS threshold,
    argMax(user, (apart, user)) AS user_id,
    argMax(way, (apart, user, way)) AS countries,
    argMax(minutes, (apart, user, minutes)) AS minutes_between
FROM journeys
GROUP BY stranger
