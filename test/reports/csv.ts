/** Reads CSV by RFC 4180 and refuses what is none: bare line ends, quotes within bare cells, text after a closing quote. */
export const readCsv = (csv: string): string[][] => {
  const rows: string[][] = []
  let row: string[] = []
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/y
  cell.lastIndex = csv.startsWith('\ufeff') ? 1 : 0
  while (cell.lastIndex < csv.length) {
    const at = cell.lastIndex
    const match = cell.exec(csv)
    if (!match) throw new Error(`no CSV at ${at}: ${JSON.stringify(csv.slice(at, at + 40))}`)
    row.push(match[1] === undefined ? (match[2] ?? '') : match[1].replaceAll('""', '"'))
    if (match[3] === ',') continue
    rows.push(row)
    row = []
  }
  if (row.length > 0) throw new Error('the last line does not end')
  return rows
}
