export const SMALL_PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

/** A page that says one thing. @param title @param body both HTML */
export const smallPage = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1rem }
h1 { font-size: 1.4rem }
button { font: inherit; padding: .5rem 1.25rem; cursor: pointer }
</style>
</head>
<body>
<h1>${title}</h1>
${body}
</body>
</html>
`
