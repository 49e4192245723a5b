-- Wants the server to run or to fetch something: a shell command behind a separator, substitution, Log4j lookups (nested too),
-- Shellshock, templates that calculate, PHP, Java and Node code, wrappers such as php://, files and scripts of other hosts,
-- the metadata service of a cloud. A separator counts only with the name of a command and what follows a command, so that
-- neither `&id=` nor `&amp;id=` does; an ordinary address in a parameter (redirect=https://…) is none either.
--
-- name: Command injection
-- severity: CRITICAL
-- window: 1h
-- unit: points
-- probe: yes
-- parameter: points UInt32 = 3 [1, 1000] a sure sign counts 3, each different hint 1
-- reference: https://owasp.org/www-community/attacks/Command_Injection
-- reference: https://logging.apache.org/security.html
WITH
    [
        -- ; | || && newline, then a command as it is called: what is a word too (cat, find, python) needs an argument that is none,
        -- such as a switch, a path or a file's name.
        '(?:[;|\\n\\r]|&&)[\\s+\\\\''"]*(?:sudo\\s+)?(?:/?(?:usr/)?(?:local/)?s?bin/)?(?:ls|id|dir|ps|env|uname|wget|curl|ping|nc|ncat|netcat|bash|sh|zsh|ksh|csh|busybox|python[0-9.]*|perl|php|powershell|pwsh|cmd|whoami|pwd|netstat|ifconfig|ipconfig|nslookup|printenv|systeminfo|tasklist)(?:[.]exe)?(?:\\s*$|[|;`)<>&#''"\\\\]|[\\s+]+(?:$|[|;>&#)`]))',
        '(?:[;|\\n\\r]|&&)[\\s+\\\\''"]*(?:sudo\\s+)?(?:/?(?:usr/)?(?:local/)?s?bin/)?(?:ls|id|dir|ps|env|uname|netstat|ifconfig|ipconfig|whoami|wget|curl|nslookup|printenv|chmod|ping|nc|ncat|netcat|bash|sh|zsh|ksh|csh|busybox|python[0-9.]*|perl|php|ruby|node|lua|powershell|pwsh|cmd|cat|tac|head|tail|echo|printf|dig|host|export|kill|rm|mv|cp|chown|touch|mkdir|ftp|scp|ssh|telnet|crontab|net|reg|type|find|grep|awk|sed|base64|xxd|which|exec|fetch|set|git)(?:[.]exe)?(?:[|;`<>)]|[\\s+]+(?:[-/|;>"''$.*~\\\\%]|[a-z0-9_-]+[./:@=]))',
        '(?:[;|\\n\\r]|&&)[\\s+\\\\''"]*(?:/?(?:usr/)?s?bin/)?(?:(?:wget|curl|nc|nslookup|tftp|uname|whoami|ifconfig|netstat|chmod|certutil|bitsadmin)(?:[.]exe)?[\\s+]+[a-z0-9]|(?:sleep|ping|timeout)[\\s+]+[0-9])',
        -- A single & needs an argument too: it stands between parameters.
        '&[\\s+]+(?:cat|ls|dir|id|ping|wget|curl|nc|bash|sh|whoami|sleep|echo|type|net|nslookup|powershell|cmd)(?:[.]exe)?(?:\\s*$|[\\s+]+[^=\\s&]+(?:\\s|$|&))|&(?:cat|ls|ping|wget|curl|nc|bash|sh|nslookup|powershell)[\\s]+[-/][^=&]*',
        -- Substitution: $(id), `id`, <(id), and what stands for a space.
        '[$<>]\\(\\s*(?:\\(\\s*)?/?(?:[a-z]+/)*(?:cat|id|ls|uname|wget|curl|ping|nc|bash|sh|whoami|pwd|sleep|echo|nslookup|dig|env|printf|python[0-9]?|perl|php|touch|expr|[$0-9])(?:[\\s)$<|;+-]|$)',
        '`[\\s''"]*/?(?:[a-z]+/)*(?:cat|id|ls|uname|wget|curl|ping|nc|bash|sh|whoami|pwd|sleep|echo|nslookup|dig|env|printf|python[0-9]?|perl|php|touch|true|false|ifconfig|netstat)(?:[\\s`$<|;+-]|$)',
        '[$][{]?ifs|[{](?:cat|ls|wget|curl|ping|id|echo|nc|bash|sh),|[$]@|[$][{]path',
        -- Shells and programs by their place, and what Windows has instead.
        '/(?:usr/)?(?:local/)?s?bin/(?:(?:ba|da|z|k|c|tc)?sh|cat|id|ls|uname|wget|curl|nc|ncat|ping|perl|python|php|env|sleep|whoami|echo|ps|rm|touch|tail|head)(?:$|[^a-z0-9_/.-])',
        'cmd[.]exe|cmd\\s+/c\\s|command[.]com|powershell(?:[.]exe)?\\s+-|ping(?:[.]exe)?\\s+-[nci]\\s*[0-9]+|net\\s+user\\s+[a-z]|%(?:comspec|systemroot|windir)%|/dev/(?:tcp|udp)/',
        '(?:[|;&]|[+]|^|=)\\s*dir\\s*[+\\s]+(?:[a-z]:|/)|[|]\\s*/?usr/s?bin/|(?:^|[=/\\s])usr/bin/[a-z]+\\s*[|;]',
        '(?:wget|curl|fetch|lwp-download|tftp)\\s+(?:-[a-z-]+\\s+\\S*\\s*)*[''"]?(?:https?://|ftp://|[0-9]{1,3}(?:[.][0-9]{1,3}){3})|\\|\\s*(?:ba)?sh(?:\\s|$|&)|chmod\\s+(?:\\+x|[0-7]{3})\\s|rm\\s+-[rf]',
        '[?&](?:cmd|command|exec|execute|shell|run|system|do_cmd|cmdexec)=\\s*(?:/[a-z/]*bin/)?(?:cat|ls|id|dir|pwd|whoami|uname|wget|curl|ping|nc|bash|sh|ifconfig|ipconfig|netstat|ps|env|phpinfo|echo|net\\s+user)(?:$|[\\s;|&(])',
        -- Log4j and others that look names up, with what hides the letters.
        '[$][{][^}]{0,40}jndi|jndi\\s*:|[$][{](?:[$][{]|::-|[a-z]{0,10}:-?[a-z0-9]?[}]|(?:lower|upper|env|sys|java|ctx|date|main|bundle|base64|script|dns|url)\\s*:)|[$][{][^}]{0,20}[$][{]',
        -- Shellshock: a function in a header, and what comes after it.
        '\\(\\s*\\)\\s*[{][^}]{0,40}[}]\\s*;',
        -- Templates that calculate, or climb from a text to the interpreter.
        '(?:[{$#*@%][{]|<%=?|[{]%)[^}]{0,40}[0-9]\\s*[*+-]\\s*[''"]?[0-9]',
        '__(?:class|globals|subclasses|mro|base|bases|import|builtins|init|proto|definegetter)__|[{][{][^}]*(?:config[.}\\s|]|self[.]|request[.|\\[](?:application|args|attr|__)|lipsum|cycler|joiner|url_for|get_flashed|system\\s*\\(|exec\\s*\\(|[|]\\s*(?:attr|filter|map|sort)\\s*\\()|freemarker[.]template|[?]new\\s*\\(|[{]php[}]|[{]%\\s*(?:import|include|set|for|if|debug)\\s|_[$][$]nd_func',
        '[#$%*][{][^}]*(?:t\\s*\\(\\s*java|@java|new\\s+java|getruntime|getclass\\s*\\(|#_memberaccess|#context|#request|#application|[''"]?\\.class)',
        -- Java: the way from a name to a process.
        'java[.]lang[.](?:runtime|processbuilder|thread|class|system[.(]|reflect)|getruntime\\s*\\(|processbuilder\\s*\\(|javax[.](?:script|naming)|class[.]module[.]classloader|[?&]class[.]classloader|_memberaccess|ognl[.]|#[a-z]+\\s*=\\s*[@(#n]|rome[.]|commons[.]collections|ysoserial|invokertransformer|(?:^|[=&/])ro0abx|com[.]sun[.]rowset',
        -- PHP: its tag, its globals, its functions called with something, its wrappers and switches, its objects.
        '<[?](?:php|=|\\s)|[$]_(?:get|post|request|server|cookie|files|session|env)(?:$|[^a-z])|[$]globals\\s*\\[',
        '(?:^|[^a-z_])(?:shell_exec|passthru|proc_open|pcntl_exec|create_function|call_user_func(?:_array)?|file_put_contents|file_get_contents|base64_decode|gzinflate|str_rot13|move_uploaded_file|invokefunction|phpinfo|var_dump|array_map|preg_replace|include_once|require_once|fsockopen|readfile|highlight_file|show_source|unserialize|get_defined_vars|md5_file|php_uname|posix_[a-z]+|assert_options|ini_set|symlink|scandir|opendir)\\s*\\(',
        '(?:^|[^a-z_.])(?:system|exec|popen|eval|assert|include|require|print_r|die)\\s*\\(\\s*(?:[''"$`@]|base64|chr|gz|str|hex2bin|implode|/bin|id\\s*\\)|[a-z_]+\\s*\\()|print\\s*\\(?\\s*md5\\s*\\(',
        '(?:php|phar|expect|zlib|zip|glob|compress[.]zlib|compress[.]bzip2|ogg|rar|ssh2)://|=\\s*data\\s*:(?://)?\\s*text/plain|=\\s*data://|allow_url_include|auto_prepend_file|disable_functions\\s*=|safe_mode\\s*=|(?:^|[=;{&])[oc]:[0-9]+:"[a-z_\\\\]+":[0-9]+:[{]|think\\\\app|\\\\think\\\\',
        -- Node, Python, Ruby.
        'child_process|process[.](?:mainmodule|binding|env[.]|spawn)|global[.]process|require\\s*\\(\\s*[''"`](?:fs|net|os|vm|http|child)|constructor[.\\[].{0,4}prototype|__proto__|(?:os|subprocess|commands)[.](?:system|popen|check_output|run|getoutput)\\s*\\(|__import__|kernel[.](?:exec|system|open)|file[.](?:read|open)\\s*\\(\\s*[''"]',
        -- Server-side includes, and XML that reads files.
        '<!--\\s*#\\s*(?:exec|include|echo|printenv|config|set)|<!entity\\s|<!doctype\\s[^>]{0,50}\\[|<xsl:|<x[a-z]+:include',
        -- To be fetched by the server: what only it can reach.
        '(?:169[.]254[.]169[.]254|metadata[.]google[.]internal|100[.]100[.]100[.]200|fd00:ec2::254|169[.]254[.]170[.]2|0xa9fea9fe|2852039166|instance-data(?:[.]|/)|latest/(?:meta-data|user-data)|computemetadata/)',
        '=\\s*[''"]?(?:url:)?(?:gopher|dict|file|ldaps?|tftp|jar|netdoc|sftp|rmi|imap|smb|mailto:[^&]*%0a|jar:https?):(?:/|\\\\|[a-z]+:)',
        '=\\s*(?:https?:)?//(?:127[.]|localhost|0[.]0[.]0[.]0|0/|0:|\\[::|0x7f|0177[.]|2130706433|10[.]|192[.]168[.])[^&]*:(?:21|22|23|25|3306|5432|6379|9200|11211|2375|27017)(?:$|[^0-9])',
        -- A file of another host to be included: what follows it is cut off by a question mark or a NUL.
        '[?&;][^=&]*=\\s*(?:https?|ftps?)://[^&\\s]+[.](?:txt|inc|php[0-9]?|gif|jpe?g|png|dat|log|cgi|js|html?)[?]+(?:$|&|cmd=|\\s)',
        '[.](?:php[0-9]?|inc|cgi|asp)[?](?:.*&)?[^=&]*(?:path|root|dir|inc|include|page|file|lang|template|theme|base|config|skin|module|main|cmd|globals)[^=&]*=\\s*(?:https?|ftps?)://[^&\\s]+(?:[?]|[.](?:txt|inc|dat|sh)(?:$|&))|[.]php[0-9]?[?](?:.*&)?[^=&]*(?:absolute|root|include|inc|template|theme|lib|class|doc|config|module|plugin|base)[_-]?(?:path|dir|root)[^=&]*=\\s*(?:https?|ftps?)://'
    ] AS sure_signs,
    [
        '=\\s*(?:https?:)?//(?:127[.]|localhost|0[.]0[.]0[.]0|\\[::1)',
        '=\\s*(?:https?|ftps?)://[0-9]{1,3}(?:[.][0-9]{1,3}){3}(?:$|[/:&])',
        '=\\s*(?:https?|ftps?)://[^&]*[?](?:$|&)',
        '=\\s*ftp(?:://|[?])',
        '[;|`][\\s+]*(?:[a-z]+[\\s+]+-[a-z]|/[a-z]+/)',
        '[$][({]',
        'java[.](?:io|net|util|lang)[.]|org[.]apache[.]',
        '[{][{].*[}][}]'
    ] AS hint_signs,
    -- `&amp;id` is `&id` and no `;id`.
    if(position(decoded, ';') > 0 AND match(decoded, '&(?:[a-z]{2,6}|#x?[0-9a-f]+);'), replaceRegexpAll(decoded, '&(?:amp|lt|gt|quot|apos|nbsp|#x?[0-9a-f]+);', '&'), decoded) AS text,
    multiMatchAny(text, sure_signs)
        OR multiMatchAny(decoded_referer, sure_signs)
        -- User agents hold brackets and semicolons of their own; a command among them stands at the start or behind code.
        OR multiMatchAny(lower_user_agent, [
            '[$][{][^}]{0,40}jndi|jndi\\s*:|[$][{](?:[$][{]|::-|[a-z]{0,10}:-?[a-z0-9]?[}]|(?:lower|upper|env|sys)\\s*:)|[$][{][^}]{0,20}[$][{]',
            '\\(\\s*\\)\\s*[{][^}]{0,40}[}]\\s*;',
            '/bin/(?:ba|da|k|z)?sh|/dev/tcp/|\\|\\s*(?:ba)?sh(?:\\s|$)|(?:^|[;|`&(])\\s*(?:wget|curl)\\s+(?:-\\S+\\s+)*(?:https?:|[0-9])|[$]\\(\\s*[a-z]+|^[;|`]|cd\\s+/tmp|chmod\\s',
            '[;|&`]\\s*(?:cat|ls|id|wget|curl|nc|bash|sh|whoami|uname|ping|sleep|ifconfig)(?:\\s+[-/&|;.]|\\s*[|;&`])',
            '<[?](?:php|=)|(?:system|eval|exec|passthru|shell_exec|base64_decode)\\s*\\(|[$]_(?:get|post|server|request)',
            '[{][{].*[0-9]\\s*[*]\\s*[0-9].*[}][}]|java[.]lang[.]|(?:^|[^a-z])etc/(?:passwd|shadow)'
        ]) AS sure,
    multiMatchAllIndices(text, hint_signs) AS hints,
    sure OR notEmpty(hints) AS evidence
SELECT
    3 * countIf(evidence AND sure) + length(groupUniqArrayArrayIf(hints, evidence)) AS observed,
    {points:UInt32} AS threshold,
    countIf(evidence AND sure) AS attempts
