-- Goes through user names before it goes through passwords: author archives of WordPress by number, its list of users, or a
-- login that tells unknown users from known ones (404 for a session). A reader follows one author, not five numbers.
--
-- name: User enumeration
-- severity: MEDIUM
-- window: 1h
-- unit: requests
-- probe: yes
-- parameter: requests UInt32 = 5 [2, 10000] different authors asked for, and log-ins answered 404
WITH
    extract(decoded, '^[^?]*/(?:index[.]php)?[?](?:.*&)?author=([0-9]{1,6})') AS author,
    match(decoded, '/wp-json/wp/v[0-9]+/users|rest_route=/wp/v[0-9]+/users') AS user_list,
    login AND served AND status_code = 404 AS unknown_user,
    author != '' OR user_list OR unknown_user AS evidence
SELECT
    uniqExactIf(author, evidence AND author != '') + uniqExactIf(target, evidence AND user_list) + countIf(evidence AND unknown_user) AS observed,
    {requests:UInt32} AS threshold,
    uniqExactIf(author, evidence AND author != '') AS authors
