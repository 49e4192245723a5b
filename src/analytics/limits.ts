/** What one question may ask for. Every number here is enforced, and `viewer.limits` shows them. */
export const LIMITS = {
  /** The whole span that the store can hold: 1990 to an hour ahead, with room. What a question reads is bounded by rows. */
  maxTimeRangeSeconds: 50 * 366 * 86_400,
  /** Raw rows a page; 1,000 with every column are about 0.6 MB of JSON. */
  maxPageSize: 1_000,
  maxGroupBy: 6,
  /** Different levels of durationMsQuantile in one question. */
  maxQuantiles: 16,
  /** Rows of one aggregate: groups × buckets. */
  maxRows: 10_000,
  maxBuckets: 10_000,
  /** Rows that one statement may read; at 100 million rows a second and core pair, the time runs out about there. */
  maxRowsToRead: 2_000_000_000,
  maxExecutionSeconds: 30,
  /** Bytes of memory for one statement. */
  maxMemoryBytes: 2 * 2 ** 30,
  maxFilterDepth: 8,
  maxFilterConditions: 200,
  maxFilterListLength: 1_000,
  /** Characters of one text in a filter. */
  maxFilterTextLength: 2_000,
} as const
