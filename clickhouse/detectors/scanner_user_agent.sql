-- Says itself that it is a scanner: a tool to find holes, or one that surveys the whole internet. No browser and no search engine
-- has such a name, so two requests are enough, and it flags rather than labels: of those who look for two minutes the name
-- is all there is to see. Libraries (curl, python-requests, Go) are not on the list: honest programs use them.
-- An operator's own scanner belongs on the allow-list.
--
-- name: Scanner's user agent
-- severity: MEDIUM
-- window: 1h
-- unit: requests
-- parameter: requests UInt32 = 2 [1, 10000] requests under the name of a scanner
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-bad-user-agent
WITH
    -- Vulnerability scanners; what tries names and passwords; what goes through address ranges; surveys; botnets' own names.
    match(lower_user_agent, 'sqlmap|nikto|nuclei|projectdiscovery|wpscan|joomscan|droopescan|cmsmap|nessus|openvas|greenbone|acunetix|netsparker|invicti|appscan|webinspect|burp|zaproxy|owasp|w3af|arachni|wapiti|skipfish|vega/|grabber|golismero|uniscan|whatweb|webshag|paros/|qualys|detectify|rapid7|nexpose|commix|xsser|xsstrike|dalfox|havij|bsqlbf|sqlninja|pangolin|absinthe|sqlsus|jaeles|xray|fimap|tplmap|jbrofuzz|webslayer|brakeman|metasploit|core-project')
        OR match(lower_user_agent, 'gobuster|dirbuster|dirb[ /]|dirsearch|feroxbuster|ffuf|fuzz faster|wfuzz|rustbuster|gospider|hakrawler|katana|hydra|medusa/|brutus|patator|crackmapexec')
        OR match(lower_user_agent, 'masscan|zgrab|zmap|nmap|unicornscan|httpx - |l9explore|l9tcpid|leakix|censys|shodan|internet-?measurement|internetcensus|expanse|palo ?alto|netsystemsresearch|binaryedge|onyphe|stretchoid|criminalip|fofa|zoomeye|modat|odin[ /]|genomecrawler|pathscan|netcraft survey|securitytrails|ipip[.]net|visionutils|project-resonance|keydrop|cyberok|driftnet|infrawatch')
        OR match(lower_user_agent, 'zmeu|morfeus|jorgee|muhstik|mozi[./]m|hello,? ?world$|hakai|r00ts|w00tw00t|dfind|toata|revolt|sysscan|n-stealth|cgichk|mj12sploit|gr[ae]ndel|sf/|security scan|vulnerability|pentest|exploit') AS evidence
SELECT countIf(evidence) AS observed, {requests:UInt32} AS threshold, uniqExactIf(lower_path, evidence) AS paths
