-- Was at the doors that should be few people's: administration, set-up, internals. Whole segments at the start of the path, so
-- that `/admin` is not `/administrative-law`. A person opens a login page now and then and mistypes a password, so visits to those
-- count a fifth, and in full only where there is none (404). It is a label: by itself it flags nobody, since those who work
-- there are seen too.
--
-- name: Sensitive paths
-- severity: LOW
-- mode: REPORT_ONLY
-- window: 1h
-- unit: requests
-- parameter: requests UInt32 = 1 [1, 100000] requests for sensitive paths; five of login pages count as one unless there is none
-- parameter: paths Array(String) = ['/admin', '/administrator', '/wp-admin', '/phpmyadmin', '/pma', '/manager', '/console', '/cpanel',
--   '/actuator', '/debug', '/internal', '/private', '/config', '/setup', '/install', '/backup', '/server-status', '/.env', '/.git',
--   '/xmlrpc.php', '/cgi-bin', '/phpinfo.php'] paths that are sensitive, with all below them
-- parameter: logins Array(String) = ['/login', '/signin', '/wp-login.php', '/user/login', '/users/sign_in', '/auth/login',
--   '/account/login'] login pages
WITH
    match(lower_path, concat('^(?:', arrayStringConcat(arrayMap(p -> regexpQuoteMeta(lower(trimRight(p, '/'))), {paths:Array(String)}), '|'), ')(?:/|$)'))
        AND notEmpty({paths:Array(String)})
        -- Blogs call it for every visitor.
        AND lower_path != '/wp-admin/admin-ajax.php' AS sensitive,
    match(lower_path, concat('^(?:', arrayStringConcat(arrayMap(p -> regexpQuoteMeta(lower(trimRight(p, '/'))), {logins:Array(String)}), '|'), ')(?:/|$)'))
        AND notEmpty({logins:Array(String)}) AS at_login,
    served AND status_code IN (401, 403, 404) AS refused,
    sensitive OR at_login AS evidence
SELECT
    countIf(evidence AND (sensitive OR (served AND status_code = 404))) + intDiv(countIf(evidence AND NOT sensitive AND NOT (served AND status_code = 404)), 5) AS observed,
    {requests:UInt32} AS threshold,
    countIf(evidence AND refused) AS refusals,
    uniqExactIf(lower_path, evidence) AS paths
