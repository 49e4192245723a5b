// Runs in the browser, before GraphiQL: one API key for all tabs, and the question of the address. The key comes from the address (/graphql#key=…, which browsers
// do not send) or is asked for once, is kept for this window only, and is forgotten when the service refuses it.
;(() => {
  const PLACE = 'vedette-api-key'
  const TEMPLATE = 'YOUR-API-KEY'

  const given = new URLSearchParams(location.hash.slice(1)).get('key')
  if (given) {
    sessionStorage.setItem(PLACE, given)
    history.replaceState(null, '', location.pathname + location.search)
  }

  // GraphiQL opens a question of the address beside the tabs that it stored, and where there are none the examples instead of it.
  const TABS = 'graphiql:tabState'
  if (new URLSearchParams(location.search).has('query') && localStorage.getItem(TABS) === null)
    localStorage.setItem(TABS, JSON.stringify({ tabs: [], activeTabIndex: 0 }))

  const ask = () => {
    const key = prompt('The API key to ask with (the first one is in DATA_DIR/admin-key):')?.trim()
    if (key) sessionStorage.setItem(PLACE, key)
    return key
  }

  const send = window.fetch
  window.fetch = async (input, options = {}) => {
    const headers = new Headers(options.headers)
    const isTemplate = headers.get('authorization')?.includes(TEMPLATE) ?? false
    if (!isTemplate) return send(input, options)
    const key = sessionStorage.getItem(PLACE) ?? ask()
    if (key) headers.set('authorization', `Bearer ${key}`)
    const answer = await send(input, { ...options, headers })
    if (answer.status === 401) sessionStorage.removeItem(PLACE)
    return answer
  }
})()
