-- Takes the server for a proxy, or for something that is no web server: CONNECT, a whole address of another host instead of a
-- path, a protocol that is none of HTTP's versions (RTSP, SIP, HTTP/1.2). What was asked for is the service's own host where
-- clients write it in full, so that is no sign.
--
-- name: Open proxy probing
-- severity: MEDIUM
-- window: 1h
-- unit: requests
-- probe: yes
-- parameter: requests UInt32 = 1 [1, 10000] such requests
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-open-proxy
WITH
    extract(lower_path, '^[a-z][a-z0-9+.-]*://(?:[^/@]*@)?([^/:?]*)') AS asked_host,
    method = 'CONNECT'
        -- Some load balancers log every address in full; without the host's name only refused ones tell.
        OR (asked_host != '' AND if(host = '', status_code >= 400, asked_host != lower(replaceRegexpOne(host, ':[0-9]+$', ''))))
        OR match(protocol, '(?i)^(?:rtsp|sip|icap|ssh|rfb)/')
        OR (match(protocol, '(?i)^http/') AND NOT match(protocol, '(?i)^http/(?:0[.]9|1[.][01]|[23](?:[.]0)?)$'))
        OR match(path, ' (?:RTSP|SIP|ICAP)/[0-9]|^sips?:') AS evidence
SELECT countIf(evidence) AS observed, {requests:UInt32} AS threshold, uniqExactIf(path, evidence) AS targets
