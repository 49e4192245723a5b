import type { Finding, Range } from '../../detection/index.ts'
import { JOB_RUN_ID } from '../../jobs/index.ts'
import { builder } from '../builder.ts'
import { askerOf, type Context } from '../context.ts'
import { Detector, SeverityEnum } from './detectors.ts'
import { JobRun } from './jobs.ts'
import { readRequestLogs, RequestLogConnection } from './request-logs.ts'

export const Detection = builder.objectRef<Finding>('Detection').implement({
  description: 'What a detector said of an address in one window, and the rows that prove it.',
  fields: (t) => ({
    id: t.id({ description: 'The same when the hour is run again.', resolve: ({ id }) => id }),
    detectorId: t.id({
      description: 'Which detector; its file may be gone by now.',
      resolve: ({ detector }) => detector,
    }),
    detector: t.field({
      type: Detector,
      nullable: true,
      description: 'The detector as it is now; null where its file is gone.',
      resolve: ({ detector }, _args, { detection }) => detection.detectors.get(detector) ?? null,
    }),
    severity: t.expose('severity', { type: SeverityEnum, description: 'Of the detector at that time.' }),
    flaggedAt: t.expose('flaggedAt', { type: 'DateTime', description: 'The end of the hour that was closed.' }),
    windowFrom: t.field({
      type: 'DateTime',
      description: 'Beginning of what the detector looked at.',
      resolve: ({ window }) => window.from,
    }),
    windowTo: t.field({
      type: 'DateTime',
      description: 'End of it; not in it.',
      resolve: ({ window }) => window.to,
    }),
    observed: t.exposeFloat('observed', { description: "In the detector's unit." }),
    threshold: t.exposeFloat('threshold', { description: 'From here on it is flagged.' }),
    unit: t.string({
      description: 'What observed and threshold count; empty where the detector is gone.',
      resolve: ({ detector }, _args, { detection }) => detection.detectors.get(detector)?.unit ?? '',
    }),
    score: t.exposeFloat('score', { description: '0 to 100: how bad, and how far beyond the threshold.' }),
    summary: t.string({
      description: 'All of it in a sentence for people.',
      resolve: (finding, _args, { suspicious }) => suspicious.summary(finding),
    }),
    target: t.exposeString('target', {
      nullable: true,
      description: 'The path most asked for among the evidence; null: none, or not for this key.',
    }),
    firstSeenAt: t.expose('firstSeen', { type: 'DateTime', description: 'The first request that proves it.' }),
    lastSeenAt: t.expose('lastSeen', { type: 'DateTime', description: 'The last one.' }),
    details: t.field({
      type: 'JSON',
      description: 'What else the detector says: a flat object.',
      resolve: ({ details }) => details,
    }),
    parameters: t.field({
      type: 'JSON',
      description: 'Of the detector at that time.',
      resolve: ({ parameters }) => parameters,
    }),
    evidence: t.field({
      type: RequestLogConnection,
      authScopes: { scope: 'LOGS_READ' },
      description:
        'The rows that prove it, newest first, as the detector tells them with the parameters of that time. Scope LOGS_READ.',
      args: {
        first: t.arg.int({ required: true, defaultValue: 20, description: '1,000 at most.' }),
        after: t.arg.string({ description: 'endCursor of the page before.' }),
      },
      resolve: (finding, { first, after }, context, info) =>
        readRequestLogs(
          { timeRange: finding.window, condition: context.suspicious.evidence(finding), first, after },
          context,
          info,
        ),
    }),
    jobRun: t.field({
      type: JobRun,
      nullable: true,
      description: 'The run of the hourly job that found it.',
      resolve: async ({ runId }, _args, { jobs }) => (await jobs.get(JOB_RUN_ID + runId)) ?? null,
    }),
  }),
})

interface Batch {
  addresses: Set<string>
  findings: Promise<Map<string, Finding[]>>
}

const open = new WeakMap<Context, Map<string, Batch>>()

/** What addresses of one answer ask for at once is one statement. */
export const detectionsOf = async (
  address: string,
  { first, range }: { first: number; range: Range | undefined },
  context: Context,
): Promise<Finding[]> => {
  const batches = open.get(context) ?? new Map<string, Batch>()
  open.set(context, batches)
  const key = JSON.stringify([first, range])
  const read = async (addresses: ReadonlySet<string>): Promise<Map<string, Finding[]>> => {
    await new Promise((resolve) => setImmediate(resolve))
    batches.delete(key)
    return context.suspicious.detections(
      { addresses: [...addresses], first, ...(range && { range }) },
      askerOf(context, 'detections'),
    )
  }
  let batch = batches.get(key)
  if (!batch) {
    const addresses = new Set<string>()
    batch = { addresses, findings: read(addresses) }
    batches.set(key, batch)
  }
  batch.addresses.add(address)
  return (await batch.findings).get(address) ?? []
}
