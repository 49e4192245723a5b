-- Asks for far more than is usual for this address at this time: a key that leaked, a program that runs wild, a customer who takes all there is.
-- Compared is by the median and its spread (MAD), which a single odd day does not move: with the same hour of the week and its
-- neighbours over four weeks, or, while there are no such weeks, with all hours of the days before that were of the same kind (working days or
-- weekend), from the third such day on. Hours in which the address was flagged are left out, or an attack becomes usual.
-- Of a steady program the spread is nothing and everything would be odd; so it is at least what chance alone gives (the root of the median)
-- and a tenth of it. And people are uneven: only who doubles the busiest of those hours counts.
--
-- name: Volume anomaly
-- severity: MEDIUM
-- window: 29d
-- unit: robust z
-- parameter: score Float64 = 3.5 [1, 1000] 0.6745 · (requests − median) / MAD
-- parameter: requests UInt32 = 50 [10, 1000000] requests for pages in the hour, fewer are nobody's trouble
-- parameter: weekly UInt32 = 8 [4, 12] hours of the weeks before, at least, in which the address came
-- parameter: daily UInt32 = 20 [8, 500] or hours of the days before
-- parameter: times Float64 = 2 [1, 100] as much as in the busiest of them
-- reference: https://www.itl.nist.gov/div898/handbook/eda/section3/eda35h.htm
WITH
    busy AS
    (
        SELECT address, toFloat64(pages) AS asked FROM address_hours WHERE hour = {hour:DateTime('UTC')} AND pages >= {requests:UInt32}
    ),
    past AS
    (
        SELECT
            address,
            groupArrayIf(toFloat64(h.pages), dateDiff('hour', h.hour, {hour:DateTime('UTC')}) >= 167 AND dateDiff('hour', h.hour, {hour:DateTime('UTC')}) % 168 IN (0, 1, 167)) AS same_hours,
            uniqExactIf(intDiv(dateDiff('hour', h.hour, {hour:DateTime('UTC')}) + 1, 168), dateDiff('hour', h.hour, {hour:DateTime('UTC')}) >= 167 AND dateDiff('hour', h.hour, {hour:DateTime('UTC')}) % 168 IN (0, 1, 167)) AS weeks,
            groupArrayIf(toFloat64(h.pages), h.hour < toStartOfDay({hour:DateTime('UTC')}) AND (toDayOfWeek(h.hour) >= 6) = (toDayOfWeek({hour:DateTime('UTC')}) >= 6)) AS days_hours,
            uniqExactIf(toDate(h.hour), h.hour < toStartOfDay({hour:DateTime('UTC')}) AND (toDayOfWeek(h.hour) >= 6) = (toDayOfWeek({hour:DateTime('UTC')}) >= 6)) AS days
        FROM address_hours AS h
        WHERE address IN (SELECT address FROM busy)
            AND (address, h.hour) NOT IN (SELECT address, hour FROM findings WHERE mode != 'REPORT_ONLY' AND hour < {hour:DateTime('UTC')})
        GROUP BY address
    ),
    compared AS
    (
        SELECT
            busy.address AS address,
            asked,
            length(same_hours) >= {weekly:UInt32} AND weeks >= 3 AS by_week,
            if(by_week, same_hours, days_hours) AS before,
            arrayReduce('medianExact', before) AS usual,
            arrayReduce('medianExact', arrayMap(x -> abs(x - usual), before)) AS deviation,
            greatest(deviation, 0.6745 * sqrt(usual), 0.1 * usual, 1.) AS spread
        FROM busy
        INNER JOIN past ON past.address = busy.address
        WHERE by_week OR (length(days_hours) >= {daily:UInt32} AND days >= 2)
    )
SELECT
    address,
    round(0.6745 * (asked - usual) / spread, 1) AS observed,
    {score:Float64} AS threshold,
    asked AS page_requests,
    usual AS median,
    deviation AS mad,
    arrayMax(before) AS busiest_before,
    length(before) AS hours_compared,
    if(by_week, 'same hour of the week', 'hours of the days before') AS compared_with
FROM compared
WHERE asked >= {times:Float64} * arrayMax(before)
