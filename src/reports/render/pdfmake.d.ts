/** As much of it as the reports use: the types that are published bring those of a browser into every file. */
declare module 'pdfmake' {
  export interface Style {
    fontSize?: number
    bold?: boolean
    color?: string
    lineHeight?: number
    alignment?: 'left' | 'right'
    margin?: readonly [left: number, top: number, right: number, bottom: number]
  }

  export interface Run extends Style {
    text: string
    link?: string
  }

  export interface Text extends Style {
    text: readonly Run[]
    /** An entry of the reader's list of contents. */
    outline?: boolean
    outlineText?: string
    colSpan?: number
  }

  export interface Layout {
    hLineWidth?: (index: number, node: { table: { body: unknown[] } }) => number
    vLineWidth?: (index: number) => number
    hLineColor?: () => string
    vLineColor?: () => string
    fillColor?: () => string | null
    paddingLeft?: (index: number) => number
    paddingRight?: (index: number) => number
    paddingTop?: (index: number) => number
    paddingBottom?: (index: number) => number
  }

  export interface Table extends Style {
    table: {
      widths: readonly (number | '*')[]
      body: readonly (readonly Content[])[]
      headerRows?: number
      keepWithHeaderRows?: number
      dontBreakRows?: boolean
    }
    layout: Layout
  }

  export type Content =
    | Text
    | Table
    | (Style & { stack: readonly Content[]; unbreakable?: boolean })
    | (Style & { columns: readonly Content[] })
    | (Style & { svg: string; width: number; font: string; options: { imageCallback: () => string } })
    | (Style & {
        canvas: readonly {
          type: 'line'
          x1: number
          y1: number
          x2: number
          y2: number
          lineWidth: number
          lineColor: string
        }[]
      })

  export interface Definition {
    content: readonly Content[]
    header?: (page: number) => Content
    footer?: (page: number, pages: number) => Content
    pageSize?: 'A4'
    pageMargins?: readonly [left: number, top: number, right: number, bottom: number]
    defaultStyle?: Style & { font: string }
    info?: { title: string; author: string; creator: string; creationDate: Date }
    language?: string
    displayTitle?: boolean
    version?: '1.7'
  }

  /** In points. */
  export interface Font {
    widthOfString: (text: string, size: number) => number
    font: { characterSet: readonly number[] }
  }

  const pdfmake: {
    setFonts: (fonts: Record<string, { normal: string; bold: string }>) => void
    setUrlAccessPolicy: (allows: (url: string) => boolean) => void
    setLocalAccessPolicy: (allows: (path: string) => boolean) => void
    createPdf: (definition: Definition) => {
      getBuffer: () => Promise<Buffer>
      getStream: () => Promise<{ provideFont: (family: string, bold: boolean, italics: boolean) => Font }>
    }
  }
  export default pdfmake
}
