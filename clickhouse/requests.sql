-- The requests of a window as roll-ups and detectors see them: with the address that is counted, with what kind of thing was
-- asked for, and with what was written decoded. Parameters: {from}, {to}. Verified crawlers are left out where {run_id} has
-- told them (see crawlers).
SELECT
    *,
    -- Of IPv6 the /64: a single line commonly gets a whole one.
    if(ip BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), ip, tupleElement(IPv6CIDRToRange(ip, 64), 1)) AS address,
    lower(path) AS lower_path,
    -- What comes by itself with a page, or is fetched by every machine out of habit, is not what somebody chose to open.
    NOT match(lower_path, '\\.(?:css|js|mjs|map|png|jpe?g|gif|webp|avif|svgz?|ico|bmp|woff2?|ttf|otf|eot|mp[34]|webm|ogg|wasm)$|^/(?:robots|ads|humans)\\.txt$|^/(?:apple-touch-icon|favicon)|^/\\.well-known/') AS page,
    -- Answers that Vedette gave itself are nobody's errors, or a ban would feed itself.
    action = 'allowed' AS served,
    served AND status_code BETWEEN 400 AND 499 AS client_error,
    served AND status_code >= 500 AS server_error,
    client_error OR server_error AS error,
    concat(path, if(query = '', '', concat('?', query))) AS target,
    -- Written in one way: what access logs (\x22), IIS (%u0027) and overlong UTF-8 (%c0%af) spell otherwise becomes what it stands for.
    if(match(target, '(?i)\\\\x[0-9a-f]{2}|%(?:25)*(?:c[01]|e0|u[0-9a-f]{2})'),
        replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(target,
            '(?i)%(?:25)*(?:c0%(?:25)*[ae]e|e0%(?:25)*80%(?:25)*ae|uff0e)', '.'),
            '(?i)%(?:25)*(?:c0%(?:25)*[ai]f|c1%(?:25)*9c|e0%(?:25)*80%(?:25)*af|u221[56]|uff0f)', '/'),
            '(?i)(?:\\\\x|%(?:25)*u00)([0-9a-f]{2})', '%\\1'),
        target) AS spelled,
    -- Decoded twice, since filters are passed by encoding twice; NUL and SQL comments undone, but not what MySQL runs in them.
    -- Only what has something to decode is: the rest is as it stands.
    lower(if(match(spelled, '[%+]|/\\*'),
        replaceRegexpAll(
            replaceAll(toValidUTF8(decodeURLComponent(decodeURLComponent(replaceAll(spelled, '+', ' ')))), '\0', ''),
            '(?s)/\\*!\\d*|/\\*.*?\\*/|\\*/', ' '),
        spelled)) AS decoded,
    -- Without what somebody asked a search engine for: that was not asked of us.
    lower(toValidUTF8(decodeURLComponent(decodeURLComponent(
        replaceRegexpOne(referer, '^(https?://(?:[^/]*\\.)?(?:google|bing|yahoo|duckduckgo|yandex|baidu|ecosia|startpage|qwant)\\.[^?]*)\\?.*$', '\\1'))))) AS decoded_referer,
    lower(toValidUTF8(decodeURLComponent(user_agent))) AS lower_user_agent,
    -- Where people log in: whole words of the path. What apps fetch tokens from, all day long, is not among them.
    match(lower_path, '(?:^|[/_.-])(?:[a-z]*login|log[_-][io]n|logon|sign[_-]?[io]n|xmlrpc|administrator)(?:$|[/_.-])|/(?:auth|authenticate|sessions?)/?$') AS login_path,
    method = 'POST' AND login_path AS login
FROM request_logs
WHERE timestamp >= {from:DateTime64(3)} AND timestamp < {to:DateTime64(3)}
  AND toStartOfHour(timestamp) >= toStartOfHour({from:DateTime64(3)}) AND toStartOfHour(timestamp) < {to:DateTime64(3)}
