import type { TimeRangeInput as Range } from '../../analytics/index.ts'
import {
  type Detector as DetectorShape,
  DETECTOR_MODES,
  type DetectorException as ExceptionShape,
  type DetectorMode,
  type DetectorParameter as ParameterShape,
  type ParameterValue,
  type Precision,
  SEVERITIES,
  type Severity,
} from '../../detection/index.ts'
import { builder } from '../builder.ts'
import { askerOf, type Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { Node } from './common.ts'
import { TimeRangeInput } from './inputs.ts'

const described = <Name extends string>(names: readonly Name[], texts: Record<Name, string>) =>
  Object.fromEntries(names.map((name) => [name, { value: name, description: texts[name] }])) as Record<
    Name,
    { value: Name; description: string }
  >

const MODE_TEXT: Record<DetectorMode, string> = {
  OFF: 'It is not run.',
  REPORT_ONLY: 'What it finds is kept, nobody is flagged for it.',
  FLAG: 'The address becomes a suspicious one.',
  FLAG_AND_BLOCK: 'And is blocked: for an hour at first, four times as long each time it comes back, 30 days at most.',
}

const SEVERITY_TEXT: Record<Severity, string> = {
  LOW: 'Worth a look some day.',
  MEDIUM: 'Worth a look today.',
  HIGH: 'An attack, as far as one can tell.',
  CRITICAL: 'An attack that may have come through.',
}

export const DetectorModeEnum = builder.enumType('DetectorMode', {
  description: 'What becomes of what a detector finds.',
  values: described(DETECTOR_MODES, MODE_TEXT),
})

export const SeverityEnum = builder.enumType('Severity', {
  description: 'How bad it is what a detector finds.',
  values: described(SEVERITIES, SEVERITY_TEXT),
})

export const DetectorException = builder.objectRef<ExceptionShape>('DetectorException').implement({
  description: 'Something that a detector is to leave alone: addresses, paths, or paths where these addresses ask.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The same for the same detector, cidr and pathPattern.' }),
    detector: t.exposeID('detector', { description: 'Id of a detector; *: every one.' }),
    cidr: t.expose('cidr', { type: 'CIDR', nullable: true, description: 'Addresses; null: any.' }),
    pathPattern: t.exposeString('pathPattern', {
      nullable: true,
      description: 'Paths, as policies have them: /healthz, /api/*; null: any.',
    }),
    note: t.exposeString('note', { description: 'Why.' }),
    createdBy: t.exposeString('createdBy', { description: 'Id of an API key, or "cli".' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When.' }),
  }),
})

type ParameterAsSet = ParameterShape & { value: ParameterValue }

const DetectorParameter = builder.objectRef<ParameterAsSet>('DetectorParameter').implement({
  description: 'A knob of a detector.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'For setDetector.' }),
    type: t.exposeString('type', { description: "ClickHouse's: UInt32, Float64, String, Array(String)." }),
    description: t.exposeString('description', { description: 'What it counts.' }),
    value: t.field({ type: 'JSON', description: 'In force now.', resolve: ({ value }) => value }),
    default: t.field({
      type: 'JSON',
      description: 'In force until another is set.',
      resolve: ({ default: value }) => value,
    }),
    min: t.float({ nullable: true, description: 'Numbers only.', resolve: ({ min }) => min ?? null }),
    max: t.float({ nullable: true, description: 'Numbers only.', resolve: ({ max }) => max ?? null }),
  }),
})

/** What is asked of all detectors of an answer is one statement. */
const together = <T>(load: (timeRange: Range, context: Context) => Promise<T>) => {
  const loaded = new WeakMap<Context, Map<string, Promise<T>>>()
  return (timeRange: Range, context: Context): Promise<T> => {
    const ofContext = loaded.get(context) ?? new Map<string, Promise<T>>()
    loaded.set(context, ofContext)
    const key = JSON.stringify(timeRange)
    const known = ofContext.get(key) ?? load(timeRange, context)
    ofContext.set(key, known)
    return known
  }
}

const findingsOf = together((timeRange, context) =>
  context.detection.findings(timeRange, askerOf(context, 'detections')),
)
const problemsOf = together((_range, { detection }) =>
  detection.detectors.problems().catch(() => {
    throw publicError('UNAVAILABLE', 'the store does not answer; try again in a few seconds')
  }),
)

const PrecisionInterval = builder.objectRef<{ low: number; high: number }>('PrecisionInterval').implement({
  description: 'Where a precision truly lies, in 95 of 100 cases (Wilson).',
  fields: (t) => ({
    low: t.exposeFloat('low', { description: '0 to 1.' }),
    high: t.exposeFloat('high', { description: '0 to 1.' }),
  }),
})

const precisionOf = ({ id }: DetectorShape, { detection }: Context): Precision =>
  detection.precision().get(id) ?? { confirmed: 0, falsePositives: 0, precision: null, interval: null }

export const Detector = builder.objectRef<DetectorShape>('Detector').implement({
  description:
    'What looks for one kind of anomaly in each hour that is closed, over whatever past it needs. Each is a file of SQL, ours or one of DETECTORS_DIR.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'windowSeconds' in value && 'stage' in value,
  fields: (t) => ({
    id: t.id({ description: "The file's name without .sql.", resolve: ({ id }) => id }),
    name: t.exposeString('name', { description: 'For people.' }),
    description: t.exposeString('description', { description: 'What it catches and why, and what it is quiet about.' }),
    severity: t.expose('severity', { type: SeverityEnum, description: 'Of what it finds.' }),
    mode: t.expose('mode', { type: DetectorModeEnum, description: 'What becomes of what it finds.' }),
    windowSeconds: t.exposeInt('windowSeconds', { description: 'How far it looks back from the end of the hour.' }),
    unit: t.exposeString('unit', { description: 'What observed and threshold of its findings count.' }),
    parameters: t.field({
      type: 'JSON',
      description: 'In force now, by name, as setDetector and backtestDetector take them.',
      resolve: ({ values }) => values,
    }),
    parameterDefinitions: t.field({
      type: [DetectorParameter],
      description: 'The same with what they mean and may be.',
      resolve: ({ parameters, values }) =>
        parameters.map((parameter) => ({ ...parameter, value: values[parameter.name]! })),
    }),
    references: t.stringList({
      description: 'URLs that say more of it.',
      resolve: ({ references }) => [...references],
    }),
    own: t.exposeBoolean('own', { description: "Whether it is an operator's, from DETECTORS_DIR." }),
    problem: t.string({
      nullable: true,
      description: 'Why ClickHouse cannot run it, so that the hourly job passes over it; asked of own ones alone.',
      resolve: async ({ id, own }, _args, context) => (own ? ((await problemsOf({}, context)).get(id) ?? null) : null),
    }),
    version: t.exposeInt('version', { description: 'For expectedVersion; 0: never set.' }),
    detections: t.field({
      type: 'SafeInt',
      description:
        'What it found in hours that touch the range, REPORT_ONLY too, in the services that this key may see.',
      args: { timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'When.' }) },
      resolve: async ({ id }, { timeRange }, context) => (await findingsOf(timeRange, context)).get(id) ?? 0,
    }),
    confirmed: t.field({
      type: 'SafeInt',
      description: 'Addresses that it had flagged and people called attackers.',
      resolve: (detector, _args, context) => precisionOf(detector, context).confirmed,
    }),
    falsePositives: t.field({
      type: 'SafeInt',
      description: 'Addresses that it had flagged and people called none.',
      resolve: (detector, _args, context) => precisionOf(detector, context).falsePositives,
    }),
    precision: t.float({
      nullable: true,
      description: 'confirmed / (confirmed + falsePositives); null until one was reviewed.',
      resolve: (detector, _args, context) => precisionOf(detector, context).precision,
    }),
    precisionInterval: t.field({
      type: PrecisionInterval,
      nullable: true,
      description: 'How far that can be trusted.',
      resolve: (detector, _args, context) => precisionOf(detector, context).interval,
    }),
    exceptions: t.field({
      type: [DetectorException],
      description: 'What it leaves alone, newest first; those for every detector are among them.',
      resolve: ({ exceptions }) => [...exceptions],
    }),
  }),
})

builder.queryField('detectors', (t) =>
  t.field({
    type: [Detector],
    authScopes: { scope: 'SECURITY_READ' },
    description: 'The detectors, by id. Scope SECURITY_READ.',
    resolve: (_root, _args, { detection }) => detection.detectors.list(),
  }),
)

builder.queryField('detectorExceptions', (t) =>
  t.field({
    type: [DetectorException],
    authScopes: { scope: 'SECURITY_READ' },
    description: 'What detectors are to leave alone, newest first. Scope SECURITY_READ.',
    resolve: (_root, _args, { detection }) => detection.detectors.exceptions(),
  }),
)
