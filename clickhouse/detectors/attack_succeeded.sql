-- An attempt to read a file or to run a command was answered 200, with a body that is not the page this place shows anyway. A search
-- or a site that answers whatever is asked gives one size to all, or its page with the question in it, so the size must be
-- one that hardly anything else of the service has, that its errors do not have, that lies outside of what the same path
-- answers to honest requests, and that does not grow with what was asked. Markup that is merely shown again is left
-- out; so are answers without a length.
--
-- name: Attack succeeded
-- severity: CRITICAL
-- window: 1h
-- unit: requests
-- evidence: served AND status_code BETWEEN 200 AND 299 AND match(decoded, '[.]{2}[/\\\\]|etc/passwd|/proc/self|win[.]ini|web-inf|[;|`&\\n$({][^=&]{0,20}[a-z]+|(?:php|file|gopher|data):/|union.*select|(?:passwd|shadow|hosts|config|environ)')
-- parameter: requests UInt32 = 1 [1, 1000] attempts that were answered with something
-- reference: https://documentation.wazuh.com/current/user-manual/ruleset/index.html
WITH
    -- Only what would give something back: files, commands, code, rows of another query.
    [
        '(?:[.]{2,}[/\\\\]+){2}|[.]{2}[/\\\\]+.*(?:passwd|shadow|[.]ini|[.]conf|[.]php|/bin/)|[?].*=[^&]*[.]{2}[/\\\\]',
        'etc[/\\\\]+(?:passwd|shadow|group|hosts)|proc[/\\\\]+self[/\\\\]|(?:win|boot)[.]ini|(?:web|meta)-inf[/\\\\]|[.]ssh[/\\\\]|[.]aws[/\\\\]cred|wp-config[.]php(?:$|&)',
        '(?:[;|`\\n]|&&|[$]\\()\\s*(?:/(?:usr/)?s?bin/)?(?:cat|id|ls|uname|whoami|pwd|env|ps|ifconfig|ipconfig|netstat|dir|type|head|tail|wget|curl|ping|echo)(?:$|[\\s)`;|&<>-][^=&]*)',
        '/bin/(?:ba|da|z|k)?sh|eval-stdin[.]php|(?:php|expect|data|phar)://|=file:/|gopher://|169[.]254[.]169[.]254|(?:system|exec|passthru|shell_exec)\\s*\\(',
        'union(?:\\s+all|\\s+distinct)?[\\s(]+select[\\s(].*(?:concat|version|user|database|password|table_name|from\\s)|into\\s+(?:out|dump)file'
    ] AS signs,
    -- The attempts that were answered, found once: the statement comes back to them several times.
    (
        SELECT groupArray((address, service, path, target, size, hits))
        FROM
        (
            SELECT requests.address AS address, service, path, target, assumeNotNull(response_bytes) AS size, count() AS hits
            FROM requests
            WHERE served AND status_code BETWEEN 200 AND 299 AND response_bytes > 0 AND method != 'HEAD' AND multiMatchAny(decoded, signs)
            GROUP BY address, service, path, target, size
            ORDER BY hits DESC, address, service, path, target, size
            LIMIT 10000
        )
    ) AS found,
    attempts AS
    (
        SELECT a.1 AS address, a.2 AS service, a.3 AS path, a.4 AS target, toInt64(a.5) AS size, a.6 AS hits, toInt64(length(a.4)) AS asked
        FROM (SELECT arrayJoin(found) AS a)
    ),
    -- How many different things the service answers at all, and with that size: one page for everything shows here.
    services AS
    (
        SELECT
            service,
            uniqExact(sipHash64(target)) AS everything,
            arraySlice(arraySort(groupUniqArrayIf(toInt64(response_bytes), status_code >= 400)), 1, 1000) AS error_sizes
        FROM requests
        WHERE service IN arrayMap(a -> a.2, found) AND response_bytes > 0
        GROUP BY service
    ),
    sizes AS
    (
        SELECT service, toInt64(response_bytes) AS size, uniqExact(sipHash64(target)) AS targets
        FROM requests
        WHERE service IN arrayMap(a -> a.2, found) AND response_bytes IN arrayMap(a -> a.5, found)
        GROUP BY service, size
    ),
    honest AS
    (
        SELECT service, path, count() AS pages, toInt64(min(response_bytes)) AS least, toInt64(max(response_bytes)) AS most
        FROM requests
        WHERE path IN arrayMap(a -> a.3, found) AND status_code BETWEEN 200 AND 299 AND response_bytes > 0
          AND NOT multiMatchAny(decoded, signs)
        GROUP BY service, path
    ),
    -- Other attempts at the same path. Where the answer grows as what was asked does, up to three times as much, it is the
    -- question, shown again.
    others AS
    (
        SELECT service, path, arraySlice(arraySort(groupUniqArray((asked, size, target))), 1, 200) AS tries
        FROM attempts
        GROUP BY service, path
    )
SELECT
    attempts.address AS address,
    sum(hits) AS observed,
    {requests:UInt32} AS threshold,
    uniqExact(attempts.target) AS different,
    max(attempts.size) AS most_bytes
FROM attempts
INNER JOIN services ON services.service = attempts.service
INNER JOIN sizes ON sizes.service = attempts.service AND sizes.size = attempts.size
LEFT JOIN honest ON honest.service = attempts.service AND honest.path = attempts.path
LEFT JOIN others ON others.service = attempts.service AND others.path = attempts.path
WHERE targets <= greatest(1, intDiv(everything, 100))
  AND NOT arrayExists(e -> abs(e - attempts.size) <= 16 + attempts.asked, error_sizes)
  AND (pages = 0 OR attempts.size < least - 4 * attempts.asked - 64 OR attempts.size > most + 4 * attempts.asked + 64)
  AND NOT arrayExists(
      o -> o.3 != attempts.target
          AND (attempts.size - o.2) * if(attempts.asked < o.1, -1, 1)
              BETWEEN 0.3 * abs(attempts.asked - o.1) - 8 AND 3 * abs(attempts.asked - o.1) + 8,
      tries)
GROUP BY address
