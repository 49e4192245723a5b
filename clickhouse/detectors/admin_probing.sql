-- Tries where the administration might be: different administrative paths that do not exist or are closed. Who administers
-- the site knows its one address, so it is different ones that count.
--
-- name: Administration probing
-- severity: MEDIUM
-- window: 1h
-- unit: paths
-- probe: yes
-- parameter: paths UInt32 = 3 [2, 10000] different administrative paths that were answered 401, 403 or 404
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-admin-interface-probing
WITH
    served AND status_code IN (401, 403, 404)
        -- Panels by their common names, whole segments, and the consoles of products.
        AND match(lower_path, '/(?:[a-z]*admin(?:istrator|istration|panel|area|cp|console|center|tool|login|page|er|[0-9])?|adm|wp-admin|(?:php|sql|my|db|pg|mongo|ldap|redis|web|server|site|sys|cp|user|net)[-_]?(?:my)?admin[a-z0-9._-]*|pma[0-9]*|mysql[a-z-]*|dbweb|sqlweb|adminer[a-z0-9._-]*|backend|backoffice|moderator|manager|webmanager|manage|management|console|controlpanel|cpanel|whm|plesk|webmin|directadmin|panel|dashboard|portainer|jenkins|jmx-console|web-console|hudson|tomcat|host-manager|phpadmin|solr|kibana|grafana|actuator|_cat|_cluster|_all_dbs|_utils|elmah[.]axd|trace[.]axd|hangfire|horizon|telescope|nova|magento_admin|typo3|umbraco|sitecore|bitrix|ghost|webadmin|siteadmin|useradmin|login[.]action|user/login|users/sign_in|signin|adminlogin|admin_login|login[.](?:php|aspx?|jsp|html?|cgi)|admin[a-z_-]*[.](?:php|aspx?|jsp|html?|cgi|cfm)|wp-login[.]php|invoker/jmxinvokerservlet|axis2|cgi-bin/luci|manager/(?:html|text|status)|system/console|rails/info|debug/default|filemanager|fckeditor|kcfinder|elfinder)(?:/|$)') AS evidence
SELECT
    uniqExactIf(replaceRegexpOne(lower_path, '/+$', ''), evidence) AS observed,
    {paths:UInt32} AS threshold,
    countIf(evidence) AS hits
