import { DARK, FONT, LIGHT, MONO } from './theme.ts'

/** Classes that take a colour: Outlook's and Gmail's own dark modes leave them alone or turn them by themselves. */
const darkRules = (prefix: string): string =>
  [
    ['.ground, .ground > div', `background-color:${DARK.ground}`],
    ['.card, .card > table', `background-color:${DARK.card}`],
    ['.tint', `background-color:${DARK.tint}`],
    ['.ink, .ink > div, .ink > table', `color:${DARK.ink}`],
    ['.soft, .soft > div, .neutral, .of, .rows th', `color:${DARK.soft}`],
    ['.accent, .accent > div', `color:${DARK.accent}`],
    ['.good', `color:${DARK.good}`],
    ['.bad', `color:${DARK.bad}`],
    ['.rows th, .rows td, .rows .row', `border-color:${DARK.line}`],
    ['.mark', `border-color:${DARK.accent}`],
    ['.chart img', 'padding:8px;background:#ffffff;box-sizing:border-box'],
  ]
    .map(
      ([selectors, rules]) =>
        `${selectors
          ?.split(', ')
          .map((selector) => `${prefix}${selector}`)
          .join(',')}{${rules?.replaceAll(';', ' !important;')} !important}`,
    )
    .join('\n')

/**
 * What is not inline. Where a mail program drops it, what is left is the light, wide layout. On a phone a table's row becomes a
 * card: its first cell is the title, the others follow with the name of their column.
 */
export const STYLES = `
.soft, .neutral { color: ${LIGHT.soft} }
.good { color: ${LIGHT.good} }
.bad { color: ${LIGHT.bad} }
.num { line-height: 30px; letter-spacing: -0.2px; white-space: nowrap; font-variant-numeric: tabular-nums }
:root { color-scheme: light dark; supported-color-schemes: light dark }
.rows th { padding: 5px 12px 5px 0; border-bottom: 1px solid ${LIGHT.line}; color: ${LIGHT.soft}; font-size: 12px; font-weight: 600; vertical-align: bottom }
.rows td { padding: 6px 12px 6px 0; border-bottom: 1px solid ${LIGHT.line}; vertical-align: top }
.rows th:last-child, .rows td:last-child { padding-right: 0 }
.rows th, .rows td { word-break: normal }
.rows .n, .rows .t { white-space: nowrap; font-variant-numeric: tabular-nums }
.rows .n { text-align: right }
.rows .mono { font-family: ${MONO}; font-size: 12px }
.rows .long { overflow-wrap: anywhere }
.rows .of { color: ${LIGHT.soft}; font-family: ${FONT}; mso-hide: all }
a:hover { text-decoration: underline !important }
@media only screen and (max-width: 479px) {
  .pad > table > tbody > tr > td { padding-left: 18px !important; padding-right: 18px !important }
  .headline > div { font-size: 23px !important }
  .tile { width: 50% !important; box-sizing: border-box }
  .rows .head { display: none !important }
  .rows .row { display: block !important; padding: 9px 0 8px !important; border-top: 1px solid ${LIGHT.line} }
  .rows .row td { display: inline-block !important; border: 0 !important; padding: 1px 14px 1px 0 !important; text-align: left !important; white-space: normal }
  .rows .row .first { display: block !important; padding: 0 0 2px !important; font-weight: 600; font-size: 13px }
  .rows .row .none { display: none !important }
  .rows .of { display: inline !important }
}
@media (prefers-color-scheme: dark) {
${darkRules('')}
}
${darkRules('[data-ogsc] ')}`
