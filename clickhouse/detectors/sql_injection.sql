-- Pieces of SQL where a value is expected: a condition that is always true behind a quote, UNION SELECT, a second statement,
-- functions that wait or that fail with what they read, the tables that list tables. English has "union", "select" and "or", and
-- names have apostrophes, so each sign needs the shape of a statement and not a word.
--
-- name: SQL injection
-- severity: HIGH
-- window: 1h
-- unit: points
-- probe: yes
-- parameter: points UInt32 = 3 [1, 1000] a sure sign counts 3, each different hint 1
-- reference: https://owasp.org/www-community/attacks/SQL_Injection
WITH
    [
        -- Rows of another query.
        '(?:^|[^a-z])union(?:\\s+all|\\s+distinct)?[\\s(]+select(?:$|[^a-z])',
        -- A condition that compares constants: or 1=1, and 4595=4595, where 'a'='a, having 1=1, rlike (1.
        '(?:^|[^a-z])(?:or|and|xor|where|having|rlike|when|not|[|]{2}|&&)[\\s(''"+%]+-?[0-9]+[\\s)''"%]*(?:=|<>|<|>|!=|like|in\\s*\\(|between\\s)[\\s(''"]*-?[0-9a-z(]',
        '(?:^|[^a-z])(?:or|and|xor|where|having|[|]{2}|&&)[\\s(]*[''"][^''"=]{0,12}[''"][\\s)]*(?:=|<>|!=|like)[\\s(]*[''"]',
        '[''"][\\s)]*(?:or|and|xor|[|]{2}|&&)\\s*\\(*\\s*(?:true|false|not|null|exists|[a-z_]+\\s*(?:=|<>|like|is\\s+(?:not\\s+)?null))',
        '[''"][\\s)]*(?:or|and|xor|[|]{2}|&&)\\s+[''"(]*[0-9a-z_]{1,20}[''"]?\\s*(?:=|<|>|!=)',
        '(?:^|[^a-z])(?:r|i|not\\s+)?like\\s*\\(\\s*[''"s]',
        '[0-9''"]\\s*=\\s*[''"]?[0-9]+[''"]?\\s*(?:--|#|;%00)',
        -- A quote or bracket closed, and the rest of the true query commented out.
        '[''"][\\s)]*(?:;\\s*)?(?:--|#)(?:$|[\\s&+-])',
        '[''"][\\s)]*;?\\s*(?:--|#)\\s*[a-z]{0,6}$',
        '[0-9][)]+\\s*(?:--|#)',
        -- A second statement.
        ';\\s*(?:select[\\s(]|insert\\s+into|update\\s+\\S+\\s+set\\s|delete\\s+from|drop\\s+(?:table|database|schema|user|view)|alter\\s+(?:table|database|user)|create\\s+(?:table|user|function|database|procedure)|truncate\\s+table|declare\\s+@?[a-z]|exec(?:ute)?[\\s(]+(?:master|sp_|xp_|@|immediate|[''"(])|call\\s+[a-z_]+\\s*\\(|begin\\s|waitfor\\s|shutdown(?:$|\\W)|if\\s*\\(|copy\\s+\\S+\\s+(?:from|to)\\s)',
        -- A query inside a query, or one that reads columns of a table.
        '\\(\\s*select\\s*[\\s(]\\s*(?:distinct\\s|top\\s|all\\s|case\\s|count|concat|char|chr|sleep|pg_|if\\s*\\(|elt|cast|convert|upper|user|version|database|null|sum|[0-9*''"@(]|[a-z_.,\\s]{1,50}\\sfrom\\s)',
        'select\\s+(?:[*]|count\\s*\\([^)]*\\)|[a-z_.0-9@]+(?:\\s*,\\s*[a-z_.0-9@()]+)+|@@[a-z_]+)\\s*(?:$|[\\s,]+from\\s|--|#)',
        'select\\s*\\(?\\s*case\\s+when\\s|case\\s+when\\s*\\(?\\s*[0-9(]|\\(select\\s+[a-z''"]+\\s+(?:from|where)\\s',
        -- Waits, so that the time tells the answer.
        '(?:^|[^a-z_.])(?:sleep|pg_sleep|benchmark)\\s*\\(\\s*[''"]?[0-9(]',
        'waitfor\\s+(?:delay|time)\\s',
        'dbms_(?:pipe|lock|utility|ldap|xmlgen|java)[.]|utl_(?:inaddr|http|file|smtp)[.]|ctxsys[.]',
        'randomblob\\s*\\(|crypt_key\\s*\\(|regexp_substring\\s*\\(|generate_series\\s*\\(',
        -- Fails with the answer in its message, or builds text without quotes.
        'extractvalue\\s*\\(|updatexml\\s*\\(|procedure\\s+analyse|gtid_sub(?:set|tract)\\s*\\(|exp\\s*\\(\\s*~|xmltype\\s*\\(|name_const\\s*\\(|floor\\s*\\(\\s*rand\\s*\\(|row\\s*\\(\\s*[0-9]+\\s*,[^)]*\\)\\s*[<>=]',
        '(?:^|[^a-z])(?:cha?r|nchar|ascii|ord|unhex)\\s*\\(\\s*(?:[0-9]+|0x[0-9a-f]+|substr[a-z]*\\s*\\(.*|mid\\s*\\(.*)\\s*\\)?\\s*\\)?\\s*(?:[|+,<>=]|%2b)',
        '(?:concat|concat_ws|group_concat|elt|make_set|iif|if|cast|convert|nvl|coalesce|hex|load_file)\\s*\\(\\s*(?:0x[0-9a-f]+|[0-9]+\\s*=|\\(\\s*select|@@|user\\s*\\(|database\\s*\\(|version\\s*\\(|[0-9]+\\s+as\\s|int\\s*,|char\\s*\\()',
        -- What only lists tables, runs commands or reads and writes files.
        'information_schema[.]|(?:^|[^a-z_])(?:sqlite_master|sqlite_schema|pg_catalog|pg_shadow|pg_user|rdb[$]|sysibm[.]|sysusers|sysobjects|syscolumns|all_tables|all_users|all_tab_columns|user_tables|mysql[.](?:user|db)|master[.][.]|domain[.]domains|msysaccessobjects)',
        'xp_(?:cmdshell|dirtree|regread|fileexist)|sp_(?:executesql|oacreate|password|configure)|into\\s+(?:out|dump)file\\s|load_file\\s*\\(\\s*[''"0c]|load\\s+data\\s+(?:local\\s+)?infile|@@(?:version|datadir|hostname|basedir|global)',
        'in\\s+boolean\\s+mode\\s*\\)',
        -- How many columns there are.
        '[0-9''")%]\\s*(?:order|group)\\s+by\\s+(?:[0-9]+(?:$|[\\s,&)#-])|.*(?:--|#)\\s*[a-z]{0,6}$)',
        '[''"][\\s)]*(?:as\\s+[a-z]+\\s+)?where\\s+[0-9''"(]',
        -- Text that is broken open and joined again.
        '[''"]\\s*(?:[|]{2}|[+])\\s*\\(?\\s*(?:select|cha?r\\s*\\()|[''"]\\s*[|]{2}\\s*[''"(]',
        '[)''"0-9]\\s*(?:or|and|rlike|xor)\\s+\\(?\\s*(?:select|sleep|elt|if|iif|exists|extractvalue|row|ascii|substr|length|not\\s+[0-9])[\\s(]',
        '[''"0-9]\\s*,\\s*\\(?\\s*(?:select\\s|iif\\s*\\(|case\\s+when)',
        -- The operators of a document store.
        '\\[[$](?:ne|gt|gte|lt|lte|in|nin|regex|where|exists|or|and)\\]|[{]\\s*[''"][$](?:ne|gt|gte|lt|lte|in|nin|regex|where|exists|or)[''"]\\s*:',
        '[''"]\\s*[|]{2}\\s*(?:this[.]|[''"]?[0-9a-z]+[''"]?\\s*==)|;\\s*return\\s+(?:true|false|this)'
    ] AS sure_signs,
    [
        'union\\s+(?:all\\s+)?select',
        'select\\s.+\\sfrom\\s',
        '(?:^|[=,(|])\\s*(?:sub|mid)(?:str|string)?\\s*\\(',
        '(?:^|[=,(|])\\s*(?:upper|lower|hex|unhex|md5|sha1|ascii|length|count)\\s*\\(',
        '(?:^|[=,(|])\\s*(?:selectchar|distinct|concat|group_concat|cast|convert|coalesce)\\s*\\(',
        '(?:^|[=,(|])\\s*(?:cha?r|nchar)\\s*\\(',
        '(?:sleep|benchmark|load_file|randomblob)\\s*\\(',
        '(?:null\\s*,\\s*){2}|,\\s*null\\s*,\\s*null',
        '[''"]\\s*(?:or|and)\\s',
        '=[^&]*[''"]{1}\\s*(?:$|&|[)]+$)',
        '(?:^|\\s)order\\s+by\\s+[0-9]',
        '[''")]\\s*(?:--|#|/[*])',
        '=-?[0-9]+\\s*(?:-|[+]|[*]|/)\\s*[0-9]+\\s*(?:--|#)'
    ] AS hint_signs,
    multiMatchAny(decoded, sure_signs) OR multiMatchAny(lower_user_agent, sure_signs) OR multiMatchAny(decoded_referer, sure_signs) AS sure,
    multiMatchAllIndices(decoded, hint_signs) AS hints,
    -- Bytes that are no request (method -) hold anything.
    match(method, '^[A-Za-z_-]{2,}$') AND (sure OR notEmpty(hints)) AS evidence
SELECT
    3 * countIf(evidence AND sure) + length(groupUniqArrayArrayIf(hints, evidence)) AS observed,
    {points:UInt32} AS threshold,
    countIf(evidence AND sure) AS attempts
