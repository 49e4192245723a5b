-- Looks for a way in that another intruder left behind: scripts by the names of known web shells, and programs in folders that
-- hold uploads and pictures. They are not there, so 403 and 404 are what counts.
--
-- name: Backdoor probing
-- severity: HIGH
-- window: 1h
-- unit: paths
-- probe: yes
-- parameter: paths UInt32 = 2 [1, 10000] different names of backdoors that were answered 400, 401, 403, 404 or 405
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-backdoors-attempts
WITH
    served AND status_code IN (400, 401, 403, 404, 405, 410)
        AND (
            -- Known families, with what is put before and after them.
            match(lower_path, '/[a-z0-9_.-]*(?:c99|c100|r57|r00t|wso[0-9._-]*|b374k|indoxploit|alfa(?:cgi|new|shell|_data|team|-rex)?|shell|webadmin|simattacker|locus7?|zacosmall|gecko|priv8|0byt3m1n1|0x[a-z0-9]+|an0n|anonymousfox|fox(?:wso|auto)?|marijuana|mini(?:shell)?|leafmailer|leaf|mailer|xleet|wp-?vcd|dhanush|k2ll33d|idx|bypass|symlink|cpanel_?crack|adminer-?shell|filesman|safe0ver|cgitelnet|antichat|egy_?spider|ekin0x|erne|dive|sosyete|sadrazam|lamashell|backdoor|cmd(?:asp|jsp)?|cmdshell|jspspy|aspxspy|aspydrv|antsword|behinder|godzilla|chopper|weevely|phpspy|nstview|ru24|stres|winx|ftpsearch|ironshell|imhabirligi|phpremoteview|mysql_?interface|telnetd?|upload(?:er|shell)?|hack(?:ed|er)?|exploit|rootkit|ak47|sh3ll|uploader|haxor|evil|pwn[a-z0-9]*)[0-9a-z_-]{0,16}[.](?:php[0-9]?|phtml|phar|aspx?|ashx|jspx?|cfm|pl|cgi|py|php[.](?:suspected|jpg|png))$')
            -- Names of a letter or two, as they are thrown into a folder, and programs where pictures and uploads lie.
            OR match(lower_path, '/(?:[a-z0-9]{1,2}|up|xx+|aaa?|abc|111|123|1234|404|lol|wp|by|x[0-9]+|radio|moon|about|chosen|content|ty|atomlib|doc|byp|lufix|inputs|themes|simple|buy|cong|goods|fw|mah|makeasmtp|lock360|autoload_classmap|ws[0-9]*|function|gel4y|hehe|haha|class(?:with)?tostring|plugin-?install)[.](?:php[0-9]?|phtml|aspx?|jspx?)$')
            OR match(lower_path, '/(?:uploads?|images?|img|pictures|media|files|tmp|temp|cache|avatars?|fonts|css|js)/(?:[^?]*/)?[^/]+[.](?:php[0-9]?|phtml|phar|aspx?|jspx?)$')
            OR match(lower_path, '/[.]well-known/(?:[^?]*/)?[^/]+[.](?:php[0-9]?|phtml|aspx?)$')
        ) AS evidence
SELECT uniqExactIf(lower_path, evidence) AS observed, {paths:UInt32} AS threshold, countIf(evidence) AS hits
