/** By test, or test and address: why what CrowdSec expects does not show in method, path, query, status, user agent or referer. */
export const UNSEEN: Readonly<Record<string, string>> = {
  'apache-cve-2021-41773 88.168.206.87': 'a line of the error log, not a request',
  'http-generic-test': 'a marker by which CrowdSec tries its own installation; nothing is attacked',
  'http-dos-invalid-http-versions': 'only the protocol (HTTP/1.2, HTTP/2.1) gives it away; the rest is `GET /` and 400',
}

const TRAVERSAL = 'asks for /%%32%65%%32%65/, which is /../ encoded twice, behind a load balancer that does not have it'
const JNDI = 'asks for .awscfg with ${jndi:ldap://…} for a user agent (Log4Shell)'
const OGNL = 'a path that is an OGNL expression which runs `id` (Confluence, CVE-2022-26134)'
const CACTI = 'remote_agent.php with poller_id=;ping $(whoami)… (Cacti, CVE-2022-46169)'

/**
 * By test and address: attacks that no test names, since it tries a parser or one hole only, and why a flag is right. They
 * count neither for nor against anybody.
 */
export const HOSTILE: Readonly<Record<string, string>> = {
  'CVE-2024-38475 127.0.0.3': 'asks for /etc/passwd; only not by the hole that the test is about',
  'aws-alb-logs 192.168.1.13': TRAVERSAL,
  'aws-alb-logs 192.168.1.14': JNDI,
  'aws-alb-logs 192.168.1.15': OGNL,
  'aws-alb-logs 192.168.1.16': CACTI,
  'aws-alb-logs 192.168.1.18': TRAVERSAL,
  'aws-alb-logs 192.168.1.19': JNDI,
  'aws-alb-logs 192.168.1.20': OGNL,
  'aws-alb-logs 192.168.1.21': CACTI,
  'bunkerweb-http-malformed 192.168.1.10':
    'greetings of botnets and bytes that are no HTTP: nginx-http-malformed has the same lines, and there CrowdSec expects the alert',
  'bunkerweb-logs 172.18.0.1': '/login/?id=/etc/passwd',
  'traefik_json 172.17.0.1': "Nikto's wordlist under Nikto's name",
}
