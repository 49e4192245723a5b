import { getDocumentProxy } from 'unpdf'

/** A text as it stands on a page, in points from the left below. */
interface Placed {
  text: string
  page: number
  from: number
  to: number
  bottom: number
}

/** A PDF as PDF.js reads it. */
export const readPdf = async (bytes: Buffer) => {
  const document = await getDocumentProxy(new Uint8Array(bytes))
  const placed: Placed[] = []
  const links: string[] = []
  const kinds = new Set<string>()
  for (let page = 1; page <= document.numPages; page++) {
    const leaf = await document.getPage(page)
    for (const item of (await leaf.getTextContent()).items) {
      if (!('str' in item) || item.str.trim() === '') continue
      const [, , , , from, bottom] = item.transform as [number, number, number, number, number, number]
      placed.push({ text: item.str, page, from, to: from + item.width, bottom })
    }
    for (const annotation of await leaf.getAnnotations()) {
      kinds.add(annotation.subtype as string)
      links.push(annotation.unsafeUrl as string)
    }
  }
  const { info } = await document.getMetadata()
  const outline = (await document.getOutline()).map(({ title }) => title)
  const read = {
    pages: document.numPages,
    placed,
    links,
    kinds: [...kinds],
    info: info as Record<string, string>,
    outline,
  }
  const scripts = await document.getJSActions()
  const files = await document.getAttachments()
  await document.loadingTask.destroy()
  return {
    ...read,
    scripts,
    files,
    /** Without blanks: where a line was broken is no matter. */
    text: placed
      .map(({ text }) => text)
      .join('')
      .replace(/\s/g, ''),
  }
}
