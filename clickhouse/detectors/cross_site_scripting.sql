-- Markup or script sent along in an address, to come back in a page and run there: tags that load or run something, event
-- handlers, script schemes, what scripts steal. A tag by itself, or the name of a function, is a hint only: links are broken
-- and people search for code. Character references by themselves (`&amp;`) are no sign.
--
-- name: Cross-site scripting
-- severity: HIGH
-- window: 1h
-- unit: points
-- probe: yes
-- parameter: points UInt32 = 3 [1, 1000] a sure sign counts 3, each different hint 1
-- reference: https://owasp.org/www-community/attacks/xss/
WITH
    [
        -- Tags that run or embed something, whatever follows; closed ones too, since they break out of a script.
        '(?:<|&lt;?|&#0*60;?|&#x0*3c;?|[\\\\]u003c)[\\s/!]*(?:[a-z0-9]+:)?(?:script|iframe|frameset|object|embed|applet|svg|layer|ilayer|bgsound|xss|vmlframe|isindex|portal)(?:$|[^a-z0-9])',
        -- Tags with an attribute that loads, runs or draws something.
        '<[\\s/!]*[a-z][a-z0-9]*[\\s/+.''"][^<]*(?:src|href|style|data|action|formaction|background|srcdoc|lowsrc|dynsrc|poster|content|codebase|classid|implementation|namespace|xmlns[:a-z]*|autofocus|id)\\s*=',
        '<\\s*(?:style|xml|meta|base|link|comment|plaintext|xmp|listing)[^a-z]',
        -- Event handlers: the events that fire, in an attribute's place.
        '(?:^|[\\s''"/>`+;,.(%=<&?])on(?:error|load|click|dblclick|mouse[a-z]+|focus[a-z]*|blur|key[a-z]+|submit|reset|change|input|toggle|start|finish|bounce|begin|end|repeat|animation[a-z]+|transition[a-z]+|pointer[a-z]+|drag[a-z]*|drop|copy|cut|paste|scroll[a-z]*|resize|hashchange|message|page[a-z]+|popstate|storage|unload|before[a-z]+|after[a-z]+|wheel|select[a-z]*|search|invalid|ended|play[a-z]*|pause|canplay[a-z]*|loaded[a-z]+|timeupdate|touch[a-z]+|contextmenu|readystatechange|propertychange|activate|auxclick|show|abort)[^a-z0-9=]*=\\s*[^&\\s=]',
        -- Script as a scheme: at the start of a value, in quotes or url(), or with a call that matters. A bad crawler asks for /javascript:void(0).
        '(?:=\\s*[''"`]?|[''"`(<]\\s*)[\\x01-\\x20]*(?:j\\s*a\\s*v\\s*a|v\\s*b|live|mocha)(?:\\s*s\\s*c\\s*r\\s*i\\s*p\\s*t)?\\s*:\\s*[^/\\s&]',
        '(?:java|vb|live)script\\s*:[^&]*(?:alert|confirm|prompt|eval|document|fromcharcode|cookie|fetch|import|throw)',
        '(?:=|[''"(,;\\s])\\s*data\\s*:\\s*(?:text/(?:html|xml|javascript)|image/svg|application/(?:xhtml|xml|x-javascript)|[^,&]{0,30};\\s*base64,\\s*ph)',
        -- Calls that testers make, and what thieves read.
        '(?:^|[^a-z])(?:alert|confirm|prompt|print|eval|settimeout|setinterval)\\s*(?:[.](?:call|apply|bind))?[(`]\\s*(?:[''"`/0-9]|document|window|origin|location|name\\s*[)]|xss|this|self|parent|top[.)]|string[.]|atob|unescape|decodeuri|[)`])',
        'document\\s*(?:[.]|\\[\\s*[''"`])\\s*(?:cookie|domain|write|location|body|documentelement|url|createelement|getelement|queryselector|forms)',
        '(?:window|self|top|parent|this|globalthis|frames)\\s*\\[\\s*[''"`/]|(?:window|self|top|parent)\\s*[.]\\s*(?:location|name|open|eval|alert|onerror)\\s*[=(\\[]',
        'string\\s*[.]\\s*fromcharcode|(?:inner|outer)html|(?:local|session)storage\\s*[.\\[]|[.]constructor\\s*[.(\\[]|\\bnew\\s+function\\s*\\(|function\\s*\\(\\s*\\)\\s*[{].*[}]|[.]source\\s*[)+]|location\\s*[.]\\s*(?:hash|href|replace|assign)\\s*[=(+.]|throw\\s+onerror|on[a-z]+\\s*=\\s*(?:alert|eval|confirm|prompt)',
        -- Style that runs script in old browsers.
        'e\\s*x\\s*p\\s*r?\\s*e?\\s*s?\\s*s?\\s*i?\\s*o?\\s*n?\\s*\\(\\s*(?:alert|document|eval|window|js|java)|expr?\\s+ession\\s*\\(|-moz-binding|behaviou?r\\s*:\\s*url|binding\\s*:\\s*url|@import\\s*[''"]|@import\\s+url',
        'srcdoc\\s*=|xlink:href|formaction\\s*=|<!\\[cdata\\[|<!entity|<[?]\\s*(?:xml|import)|<%\\s|&[{].*[}]',
        -- Breaks out of a script's text.
        '[''"]\\s*[-+*/^,;|&)]+\\s*(?:alert|confirm|prompt|eval|fetch|import|location)\\s*[(`=]|[)}]\\s*;?\\s*(?:alert|confirm|prompt|eval)\\s*[(`]',
        '(?:&#(?:x0*[0-9a-f]{2}|0*[0-9]{2,3});?){4}|(?:[\\\\](?:x|u00)[0-9a-f]{2}){3}|[+]ad[wx]-',
        '[{][{]\\s*(?:constructor|[$]on|[$]eval|[a-z]+[.]constructor|toString)'
    ] AS sure_signs,
    [
        '<[\\s/]*(?:img|image|input|body|html|video|audio|form|button|marquee|math|details|select|textarea|keygen|meta|base|link)(?:$|[^a-z])',
        '<[\\s/]*(?:div|span|p|br|table|td|tr|h[1-6]|font|center|b|i|u|s|pre)(?:$|[^a-z0-9])',
        '<[\\s/]*(?:a|frame|frameset|style|title|head|noscript|template|dialog)(?:$|[^a-z])',
        '(?:java|vb)script\\s*:',
        '(?:alert|prompt|confirm)\\s*[(`]',
        '=[^&]*[''"]\\s*>',
        '=[^&]*</[a-z]*>?',
        '[''"]\\s*;?\\s*/?/?\\s*<',
        '</script|script>',
        'xss'
    ] AS hint_signs,
    multiMatchAny(decoded, sure_signs) OR multiMatchAny(decoded_referer, sure_signs)
        OR match(lower_user_agent, '<\\s*(?:script|img|svg|iframe)[\\s/>]|javascript:[^ ]*\\(|onerror\\s*=') AS sure,
    multiMatchAllIndices(decoded, hint_signs) AS hints,
    -- Bytes that are no request (method -) hold anything.
    match(method, '^[A-Za-z_-]{2,}$') AND (sure OR notEmpty(hints)) AS evidence
SELECT
    3 * countIf(evidence AND sure) + length(groupUniqArrayArrayIf(hints, evidence)) AS observed,
    {points:UInt32} AS threshold,
    countIf(evidence AND sure) AS attempts
