import type { Report } from '../types.ts'

/** What changed and what to do about it, for a mail that has the whole report attached. */
export const brief = (report: Report, filename: string): Report => ({
  ...report,
  sections: [
    ...report.sections.map((section) => ({ ...section, figures: [], charts: [], tables: [] })),
    {
      id: 'attached',
      title: 'The whole report',
      lead: `Attached with all figures, charts and tables: ${filename}`,
      advice: null,
      figures: [],
      charts: [],
      tables: [],
    },
  ],
})
