export {
  type CrawlerClaim,
  type CrawlerFinding,
  createCrawlers,
  type Crawlers,
  type CrawlersDependencies,
} from './crawlers.ts'
export type { NameResolver } from './confirm.ts'
export { type Crawler, type CrawlerKind, type CrawlerVerdict, CRAWLER_KINDS } from './types.ts'
