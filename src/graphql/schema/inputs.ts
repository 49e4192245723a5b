import {
  ACTIONS,
  type Dimension,
  DIMENSIONS,
  dimensions,
  GRANULARITIES,
  type Granularity,
  COMPARE_PERIODS,
  type Metric,
  METRICS,
  metrics,
  fieldOf,
  type RequestFilter as Filter,
} from '../../analytics/index.ts'
import { builder } from '../builder.ts'
import { OrderDirection } from './common.ts'

const described = <Name extends string>(names: readonly Name[], describe: (name: Name) => string) =>
  Object.fromEntries(names.map((name) => [name, { value: name, description: describe(name) }])) as Record<
    Name,
    { value: Name; description: string }
  >

const GRANULARITY_TEXT: Record<Granularity, string> = {
  AUTO: 'The finest of these that makes no more than maxBuckets.',
  MINUTE: 'Minutes.',
  FIVE_MINUTES: 'Five minutes.',
  FIFTEEN_MINUTES: 'Fifteen minutes.',
  HOUR: 'Hours; where clocks are set back, the hour that comes twice makes two.',
  DAY: 'Days of the time zone: 23 or 25 hours long where clocks change.',
  WEEK: 'Weeks from Monday on.',
  MONTH: 'Calendar months.',
}

export const GranularityEnum = builder.enumType('Granularity', {
  description: 'Lengths of buckets.',
  values: described(GRANULARITIES, (name) => GRANULARITY_TEXT[name]),
})

export const RequestDimension = builder.enumType('RequestDimension', {
  description: 'What requests can be grouped by.',
  values: described(DIMENSIONS, (name: Dimension) => dimensions[name].description),
})

export const RequestMetric = builder.enumType('RequestMetric', {
  description: 'What can be measured of requests.',
  values: described(Object.keys(METRICS) as Metric[], (name) =>
    name === 'REQUESTS_CHANGE'
      ? '(requests - previous) / previous; needs compareTo; absent where there were none before.'
      : metrics[fieldOf(name)].description,
  ),
})

export const RequestActionEnum = builder.enumType('RequestAction', {
  description: 'What Vedette decided for a request.',
  values: described(
    ACTIONS,
    (name) =>
      ({
        ALLOWED: 'It passed.',
        RATE_LIMITED: 'Denied: over a limit.',
        BLOCKED: 'Denied: the address is blocked.',
        CHALLENGED: 'Answered with a challenge.',
      })[name],
  ),
})

export const TimeRangeInput = builder.inputType('TimeRangeInput', {
  description: 'Half-open: from is in it, to is not. Give from and to, from alone (until now), or last.',
  fields: (t) => ({
    from: t.field({ type: 'DateTime', description: 'The first instant that counts.' }),
    to: t.field({ type: 'DateTime', description: 'The first instant that no longer counts.' }),
    last: t.field({ type: 'Interval', description: "This long until now, such as '24h'." }),
  }),
})

export const BucketInput = builder.inputType('BucketInput', {
  description: 'How the range is cut into buckets.',
  fields: (t) => ({
    granularity: t.field({ type: GranularityEnum, defaultValue: 'AUTO', description: 'A named length.' }),
    interval: t.field({
      type: 'Interval',
      description: 'Any length instead that parts a day evenly (10s, 5m, 2h), whole days, or months that part a year.',
    }),
    maxBuckets: t.int({ defaultValue: 500, description: 'At most this many; 10,000 is the most.' }),
    timezone: t.field({
      type: 'TimeZone',
      description: 'Whose clock the buckets follow. Default: the argument timezone, else UTC.',
    }),
    fillGaps: t.boolean({
      defaultValue: true,
      description: 'Rows for buckets without requests, too: counts 0, the rest null; with dimensions for each group.',
    }),
  }),
})

export const ComparePeriod = builder.enumType('ComparePeriod', {
  description: 'The earlier range that is compared with.',
  values: described(
    COMPARE_PERIODS,
    (name) =>
      ({
        PREVIOUS_PERIOD: 'As long, just before; whole days and months of the time zone stay whole.',
        PREVIOUS_DAY: 'The same a day earlier, by the clock of the time zone.',
        PREVIOUS_WEEK: 'The same seven days earlier.',
        PREVIOUS_MONTH: 'The same a calendar month earlier.',
        PREVIOUS_YEAR: 'The same a year earlier.',
        CUSTOM: 'The range in custom.',
      })[name],
  ),
})

export const CompareInput = builder.inputType('CompareInput', {
  description: 'What to compare with; {} is the period before.',
  fields: (t) => ({
    period: t.field({ type: ComparePeriod, description: 'Default PREVIOUS_PERIOD, or CUSTOM where custom is given.' }),
    custom: t.field({
      type: TimeRangeInput,
      description: 'Of CUSTOM; its buckets are told by their distance from its beginning.',
    }),
  }),
})

const StringFilter = builder.inputType('StringFilter', {
  description: 'Text. What is given holds together; case counts; absent text counts as empty.',
  fields: (t) => ({
    eq: t.string({ description: 'Equal.' }),
    neq: t.string({ description: 'Not equal.' }),
    in: t.stringList({ description: 'One of these, 1,000 at most; none fits an empty list.' }),
    notIn: t.stringList({ description: 'None of these, 1,000 at most.' }),
    like: t.string({ description: '% stands for any text, _ for one character, a backslash makes either plain.' }),
    notLike: t.string({ description: 'The opposite of like.' }),
    startsWith: t.string({ description: 'Begins with.' }),
    contains: t.string({ description: 'Holds this somewhere.' }),
    matches: t.string({ description: 'A regular expression of RE2 that fits some part of it.' }),
    isNull: t.boolean({ description: 'true: absent; false: present.' }),
  }),
})

const IntFilter = builder.inputType('IntFilter', {
  description: 'A whole number. An absent one fits only neq, notIn and isNull.',
  fields: (t) => ({
    eq: t.field({ type: 'SafeInt', description: 'Equal.' }),
    neq: t.field({ type: 'SafeInt', description: 'Not equal.' }),
    in: t.field({ type: ['SafeInt'], description: 'One of these, 1,000 at most.' }),
    notIn: t.field({ type: ['SafeInt'], description: 'None of these, 1,000 at most.' }),
    gt: t.field({ type: 'SafeInt', description: 'Greater.' }),
    gte: t.field({ type: 'SafeInt', description: 'Greater or equal.' }),
    lt: t.field({ type: 'SafeInt', description: 'Less.' }),
    lte: t.field({ type: 'SafeInt', description: 'Less or equal.' }),
    isNull: t.boolean({ description: 'true: absent; false: present.' }),
  }),
})

const FloatFilter = builder.inputType('FloatFilter', {
  description: 'A number. An absent one fits only isNull.',
  fields: (t) => ({
    gt: t.float({ description: 'Greater.' }),
    gte: t.float({ description: 'Greater or equal.' }),
    lt: t.float({ description: 'Less.' }),
    lte: t.float({ description: 'Less or equal.' }),
    isNull: t.boolean({ description: 'true: absent; false: present.' }),
  }),
})

export const IpFilter = builder.inputType('IpFilter', {
  description: 'An address.',
  fields: (t) => ({
    eq: t.field({ type: 'IPAddress', description: 'Equal.' }),
    neq: t.field({ type: 'IPAddress', description: 'Not equal.' }),
    in: t.field({ type: ['CIDR'], description: 'One of these addresses or in one of these prefixes, 1,000 at most.' }),
    notIn: t.field({ type: ['CIDR'], description: 'None of these and in none of these prefixes.' }),
  }),
})

const ActionFilter = builder.inputType('ActionFilter', {
  description: 'What was decided.',
  fields: (t) => ({
    eq: t.field({ type: RequestActionEnum, description: 'Equal.' }),
    in: t.field({ type: [RequestActionEnum], description: 'One of these.' }),
    notIn: t.field({ type: [RequestActionEnum], description: 'None of these.' }),
  }),
})

export const RequestFilter = builder.inputRef<Filter>('RequestFilter')
RequestFilter.implement({
  description:
    'Which requests are meant. Fields hold together; and, or, not nest, 8 deep and 200 conditions at most. not is the exact opposite. An empty or fits nothing. null is as if it were not given.',
  fields: (t) => ({
    and: t.field({ type: [RequestFilter], description: 'All of these.' }),
    or: t.field({ type: [RequestFilter], description: 'At least one of these.' }),
    not: t.field({ type: RequestFilter, description: 'Not this.' }),
    service: t.field({ type: StringFilter, description: 'The service that took the request.' }),
    host: t.field({ type: StringFilter, description: 'Host asked for.' }),
    method: t.field({ type: StringFilter, description: 'HTTP method.' }),
    path: t.field({ type: StringFilter, description: 'Path as sent, without the query.' }),
    route: t.field({ type: StringFilter, description: 'Template of the path.' }),
    statusCode: t.field({ type: IntFilter, description: 'HTTP status.' }),
    statusClass: t.field({ type: StringFilter, description: 'Class of the status: 1xx to 5xx.' }),
    durationMs: t.field({ type: FloatFilter, description: 'Duration in milliseconds.' }),
    requestBytes: t.field({ type: IntFilter, description: 'Bytes received.' }),
    responseBytes: t.field({ type: IntFilter, description: 'Bytes sent.' }),
    clientIp: t.field({ type: IpFilter, description: 'Address of the client.' }),
    clientAsn: t.field({ type: IntFilter, description: 'Number of the autonomous system.' }),
    clientCountry: t.field({ type: StringFilter, description: 'ISO 3166-1 alpha-2 code.' }),
    clientCity: t.field({ type: StringFilter, description: 'City, in English.' }),
    userId: t.field({ type: StringFilter, description: 'The user as the service knows them.' }),
    userAgent: t.field({ type: StringFilter, description: 'User-Agent as sent.' }),
    action: t.field({ type: ActionFilter, description: 'What Vedette decided.' }),
    policyId: t.field({ type: StringFilter, description: 'The policy that decided.' }),
    traceId: t.field({ type: StringFilter, description: 'Trace of the request.' }),
  }),
})

export const MetricFilter = builder.inputType('MetricFilter', {
  description: 'Bounds of a metric over a group. An absent metric fits none.',
  fields: (t) => ({
    metric: t.field({ type: RequestMetric, required: true, description: 'What is measured.' }),
    gt: t.float({ description: 'Greater.' }),
    gte: t.float({ description: 'Greater or equal.' }),
    lt: t.float({ description: 'Less.' }),
    lte: t.float({ description: 'Less or equal.' }),
    eq: t.float({ description: 'Equal.' }),
  }),
})

export const AnalyticsOrder = builder.inputType('AnalyticsOrder', {
  description: 'Either a metric or a dimension of groupBy. What is equal is put in order by the dimensions.',
  fields: (t) => ({
    metric: t.field({ type: RequestMetric, description: 'Order by a metric.' }),
    dimension: t.field({ type: RequestDimension, description: 'Order by a dimension.' }),
    direction: t.field({ type: OrderDirection, defaultValue: 'DESC', description: 'Rising or falling.' }),
  }),
})
