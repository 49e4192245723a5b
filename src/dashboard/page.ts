const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const WAYS: readonly { href: string; title: string; text: string }[] = [
  {
    href: '/graphql',
    title: 'GraphiQL',
    text: 'Ask about requests: example queries, completion, CSV and NDJSON of every answer.',
  },
  { href: '/readyz', title: 'State', text: 'Which parts of the service do their work.' },
  { href: '/metrics', title: 'Metrics', text: 'Rows taken, stored and refused, spool, latencies, for Prometheus.' },
]

const CALLS: readonly [call: string, what: string][] = [
  ['POST /v1/requests', 'request logs as JSON or NDJSON'],
  ['POST /v1/access-log', 'lines of nginx and Apache, or nginx JSON'],
  ['GET, POST /v1/decide', 'may this request pass? For proxies and services'],
  ['GET /v1/blocklist', 'what is blocked, for nginx and firewalls'],
  ['GET /v1/decisions', 'the same for CrowdSec’s bouncers'],
  ['GET, POST /graphql', 'the API for BI tools; also ?format=csv and ndjson'],
  ['GET /api/ip-logs/', 'the newest requests as a plain JSON list'],
]

const STYLE = `
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5b6776; --line: #dfe4ea; --ground: #f7f8fa; --card: #fff; --accent: #9a3412 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #9aa7b6; --line: #2b3440; --ground: #12171d; --card: #1a2129; --accent: #fb923c } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
main { max-width: 46rem; margin: 0 auto; padding: 4rem 1.5rem 3rem }
h1 { margin: 0; font-size: 2.2rem; letter-spacing: -.02em }
h2 { margin: 3rem 0 .75rem; font-size: 1rem }
p { margin: .5rem 0 0; color: var(--soft) }
nav { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; margin-top: 2.5rem }
nav a { display: block; padding: 1.1rem 1.2rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; color: inherit; text-decoration: none }
nav a:hover, nav a:focus-visible { border-color: var(--accent); outline: none }
nav b { color: var(--accent) }
nav p { font-size: .9rem }
table { width: 100%; border-collapse: collapse; font-size: .95rem }
td { padding: .5rem 1rem .5rem 0; border-top: 1px solid var(--line); vertical-align: top }
td:last-child { color: var(--soft) }
code { font: .9em ui-monospace, monospace }
footer { margin-top: 3rem; font-size: .85rem; color: var(--soft) }`

/** The whole page: no script, no remote asset. */
export const page = (attributions: readonly string[]): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Vedette</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
<main>
<h1>Vedette</h1>
<p>Request analytics and IP security for this fleet of services.</p>
<nav>${WAYS.map(({ href, title, text }) => `<a href="${href}"><b>${title}</b><p>${text}</p></a>`).join('')}</nav>
<h2>What programs call, with an API key</h2>
<table>${CALLS.map(([call, what]) => `<tr><td><code>${call}</code></td><td>${what}</td></tr>`).join('')}</table>
<footer>${attributions.map(escape).join('<br>')}</footer>
</main>
</html>
`
