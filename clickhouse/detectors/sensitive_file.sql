-- Asks for files that are there by mistake: settings with passwords, version control, keys, histories, dumps and copies that
-- an editor left. Files that no visitor ever needs count whatever the answer was; archives and copies, which a site may
-- well offer, only where they were refused or do not exist. Two different ones, since one may be a link gone wrong.
--
-- name: Sensitive files
-- severity: HIGH
-- window: 1h
-- unit: files
-- probe: yes
-- parameter: files UInt32 = 2 [1, 10000] different files
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-sensitive-files
WITH
    (
        -- Settings and secrets, version control, shells' and databases' memories, keys, editors' folders.
        match(lower_path, '/[.](?:env(?:$|[./_~-])|git(?:$|/|config|ignore$|-credentials)|svn(?:$|/)|hg(?:$|/)|bzr(?:$|/)|cvs(?:$|/)|ht(?:passwd|access|digest)|aws/|ssh(?:$|/)|kube/|docker/|azure/|gnupg|npmrc|pypirc|netrc|pgpass|my[.]cnf|dockerenv|dockercfg|s3cfg|boto|vscode/|idea/|cursor/|claude/|terraform|ds_store|rhosts|shosts|forward|subversion|passwd|pwd|[a-z]*_history|bash(?:rc|_profile|_logout)|zshrc|profile|viminfo|ftpconfig|ftpquota|sftp[a-z-]*|travis[.]yml|circleci/|gitlab-ci|remote-sync|config/(?:gcloud|filezilla)|listings?$|mc/|wp-config)')
        OR match(lower_path, '/(?:wp-config|configuration|config[.]inc|settings|local[.]settings|parameters|database|secrets?|credentials|sftp-config|web[.]config|appsettings)[a-z0-9._-]*(?:[.](?:bak|backup|old|orig|original|save|sav|swp|swo|tmp|temp|txt|copy|dist|inc|html|zip|[0-9])|~|_bak|[.]php[a-z0-9_.~-]+)$')
        OR match(lower_path, '/(?:id_(?:rsa|dsa|ecdsa|ed25519)|authorized_keys|known_hosts|htpasswd|passwd|shadow|credentials[.](?:json|xml|csv)|service-?account[a-z_-]*[.]json|secrets[.](?:json|ya?ml)|wp-content/debug[.]log|[a-z0-9_.-]*[.](?:pem|key|pfx|p12|jks|kdbx|ppk|ovpn|keystore|tfstate)|(?:phpinfo|info|test|php)_?(?:info)?[.]php[.](?:bak|old))$')
    ) AS never_meant,
    (
        match(lower_path, '[.](?:sql|sqlite3?|db|mdb|dump|bak|backup|old|orig|save|swp|swo|copy)(?:[.](?:gz|bz2|xz|zip|tar|tgz|7z|rar))?$|~$')
        OR match(lower_path, '/(?:backups?|dump|database|db|data|site|www|web|html|htdocs|public_html|wwwroot|source|src|code|old|mysql|sql|archive|full|latest|wordpress|wp|[a-z0-9-]+[.](?:com|net|org|de|io))[a-z0-9_-]*[.](?:zip|rar|7z|tar|tgz|tar[.][a-z0-9]+|gz|bz2)$')
        OR match(lower_path, '/(?:docker-compose[a-z.-]*|config|settings|application[a-z-]*|database|secrets?|serverless|values|deploy|ansible|playbook)[.](?:ya?ml|ini|toml|properties|conf|cfg|inc|xml|json)$|/(?:dockerfile|makefile|jenkinsfile|vagrantfile|procfile|gemfile(?:[.]lock)?|composer[.](?:json|lock)|package(?:-lock)?[.]json|yarn[.]lock|requirements[.]txt|server-status|server-info|phpinfo[.]php|info[.]php|config[.]php|error_log|(?:error|access|debug|laravel|npm-debug)[.]log|web[.]config)$')
        -- Any other name that begins with a dot: hidden on the disk, so nothing links to it.
        OR (match(lower_path, '/[.][a-z0-9_][a-z0-9_.-]*(?:$|/)') AND NOT match(lower_path, '/[.]well-known(?:/|$)'))
    ) AND served AND status_code IN (400, 401, 403, 404, 410) AS refused_copy,
    never_meant OR refused_copy AS evidence
SELECT
    uniqExactIf(lower_path, evidence) AS observed,
    {files:UInt32} AS threshold,
    countIf(evidence AND served AND status_code BETWEEN 200 AND 299) AS answered
