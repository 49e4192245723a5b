-- Climbs out of the folder it is served from, or asks for a file that every machine has and no site shows: /etc/passwd, win.ini,
-- WEB-INF, /proc/self. Looked for in path and query, decoded, and as written: only who hides dots writes %2e. One `../` may be
-- a broken link of a page, so it counts as a hint; two in a row are no link.
--
-- name: Path traversal
-- severity: HIGH
-- window: 1h
-- unit: points
-- probe: yes
-- parameter: points UInt32 = 3 [1, 1000] a sure sign counts 3, each different hint 1
-- reference: https://owasp.org/www-community/attacks/Path_Traversal
WITH
    [
        -- Two steps up or more, by dots however many and slashes however written (0x2e, 0x5c are what some filters leave behind).
        '(?:(?:[.]|0x2e){2,}[; ]*(?:[.]?(?:[/\\\\]|0x2f|0x5c))+){2}',
        '(?:0x2e){2}',
        -- Browsers turn a backslash of a path round.
        '[.]{2}\\\\',
        -- A step up with a path parameter, which proxies and Java servers read differently; an empty one likewise.
        '/[.]{1,2};[^/]*/',
        '/_/;/',
        -- Runs of ./, of dots or of one letter, which are to wear a filter or a length limit out.
        '[.][/\\\\]+[.][/\\\\]+[.][/\\\\]',
        '[/\\\\][.]{4,}',
        '[.]{20}',
        '/(?:a{40}|x{40})',
        -- Files of Unix.
        '(?:^|[^a-z])etc[/\\\\]+(?:passwd|shadow|groups?|hosts|hostname|issue|fstab|mtab|motd|sudoers|crontab|os-release|resolv[.]conf|master[.]passwd|my[.]cnf|ssh[/\\\\]|(?:apache2?|httpd|nginx|mysql|php[0-9.]*)[/\\\\])',
        '[/\\\\=]proc[/\\\\]+(?:self|version|cpuinfo|meminfo|mounts|sys|net)(?:$|[/\\\\& ?])',
        '[/\\\\=]proc[/\\\\]+[0-9]+[/\\\\](?:environ|cmdline|fd|maps|status)',
        '[/\\\\=](?:var[/\\\\]+log|usr[/\\\\]+(?:local|share)|root|home[/\\\\]+[^/\\\\]+)[/\\\\]+[^ ]*(?:[.]log|[.]conf|[.]ini|[.]pem|[.]ssh|history|%3f|[?]$)',
        '[.](?:ssh|aws|gnupg|kube|docker)[/\\\\]+(?:id_[a-z0-9]+|authorized_keys|known_hosts|credentials|config)$',
        -- Files of Windows, of Java servers and of IIS.
        '(?:^|[^a-z])(?:win|boot|system)[.]ini(?:$|[^a-z])',
        '[/\\\\=][a-z]:[/\\\\]+(?:windows|winnt|boot|inetpub|users|xampp)',
        'system32[/\\\\]',
        '(?:web|meta)-inf(?:[/\\\\]|web[.]xml)',
        'global[.]asax?(?:$|[^a-z])',
        'inetpub[/\\\\]',
        -- A server's own configuration named in a parameter, to be read out by a download script.
        '[?].*=(?:[^&]*[/\\\\])?(?:wp-config[.]php|[.]ht(?:access|passwd)|[.]env|web[.]config|configuration[.]php|config[.]inc[.]php)'
    ] AS sure_signs,
    [
        '(?:^/|=)[.]{2}[/\\\\]',
        '=[/\\\\]+(?:etc|proc|var|usr|root|home|opt|tmp|sys|bin|dev)[/\\\\]',
        '=file:',
        -- The place in a word list's line where the file's name was to go.
        '[{]file[}]',
        '[/\\\\=][^a-z0-9&?]*[{]file[}]',
        '(?:[.]|[/\\\\]{2})[/\\\\]*[{]file[}]'
    ] AS hint_signs,
    (
        multiMatchAny(decoded, sure_signs)
        OR match(lower_user_agent, '(?:[.]{2}[/\\\\]){2}|(?:^|[^a-z])etc/(?:passwd|shadow|group)|/proc/(?:self|sys|version)|(?:win|boot)[.]ini|web-inf/|[.](?:ssh|aws)/[a-z]')
        OR match(decoded_referer, '(?:[.]{2}[/\\\\]){3}|(?:^|[^a-z])etc/(?:passwd|shadow|group)|/proc/self|(?:win|boot)[.]ini')
        -- Nobody needs to encode a dot; a slash is encoded in values, but not in paths.
        OR match(target, '(?i)(?:[.]|%(?:25)*2e|%%32%65)(?:%(?:25)*2e|%%32%65)(?:[;/\\\\]|%(?:25)*(?:2f|5c))|%(?:25)*2e[.](?:[/\\\\]|%(?:25)*(?:2f|5c))')
        OR match(path, '(?i)[.]{2}%(?:25)*(?:2f|5c|c0|c1|u22)|%(?:25)*c0%(?:25)*ae')
        -- NUL ends a name in C, and what was to be appended is gone.
        OR match(target, '%(?:25)*00')
    ) AS sure,
    multiMatchAllIndices(decoded, hint_signs) AS hints,
    -- Bytes that are no request (method -) hold anything.
    match(method, '^[A-Za-z_-]{2,}$') AND (sure OR notEmpty(hints)) AS evidence
SELECT
    3 * countIf(evidence AND sure) + length(groupUniqArrayArrayIf(hints, evidence)) AS observed,
    {points:UInt32} AS threshold,
    countIf(evidence AND sure) AS attempts
