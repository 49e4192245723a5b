import type Pdfmake from 'pdfmake'
import type { Font, Run, Style } from 'pdfmake'

import { FONT_FAMILY, FONTS } from './chart.ts'
import { codeOf, RIGHT_TO_LEFT } from './disarm.ts'

/** Makes PDFs, and measures for them. */
export interface Press {
  pdfmake: typeof Pdfmake
  /** In points. */
  widthOf: (text: string, size: number, isBold?: boolean) => number
  /** A text as a page can hold it. Words that are too wide for their place are broken there. */
  runs: (text: string, style?: Style & { link?: string }) => Run[]
}

const RIGHT = new RegExp(`((?:${RIGHT_TO_LEFT.source})+)`, 'u')

const load = async (): Promise<Press> => {
  const { default: pdfmake } = await import('pdfmake')
  const [normal, bold] = FONTS as [string, string]
  pdfmake.setFonts({ [FONT_FAMILY]: { normal, bold } })
  // Nothing is fetched, and no file read but the fonts, whatever a report holds.
  pdfmake.setUrlAccessPolicy(() => false)
  pdfmake.setLocalAccessPolicy((path) => FONTS.includes(path))
  const empty = await pdfmake.createPdf({ content: [], defaultStyle: { font: FONT_FAMILY } }).getStream()
  const [plain, heavy] = [false, true].map((isBold) => empty.provideFont(FONT_FAMILY, isBold, false)) as [Font, Font]
  const ofHeavy = new Set(heavy.font.characterSet)
  const letters = new Set(plain.font.characterSet.filter((code) => ofHeavy.has(code)))
  // Two code units, as characters beyond the basic plane have, may be parted where a word is broken.
  const isShown = (character: string): boolean => character.length === 1 && letters.has(character.charCodeAt(0))

  return {
    pdfmake,
    widthOf: (text, size, isBold = false) => (isBold ? heavy : plain).widthOfString(text, size),
    runs: (text, style) =>
      text
        .replace(/(?<=\d) (?=%)/g, '\u00a0')
        .replace(/[^ -~]/gu, (character) => (isShown(character) ? character : codeOf(character)))
        // Apart, or all of a line that begins with Hebrew would be turned around.
        .split(RIGHT)
        .map((part) => ({ text: part, ...style })),
  }
}

let loading: Promise<Press> | undefined

/** Loaded with the first PDF: most of what the service does has none. */
export const loadPress = (): Promise<Press> => (loading ??= load())
