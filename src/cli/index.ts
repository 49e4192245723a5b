import { readFileSync } from 'node:fs'

import { Command } from 'commander'

import { explain } from './errors.ts'
import { note } from './print.ts'

/** Adds a command, or some that belong together, to the program. */
type Add = (program: Command) => void
const block = async (): Promise<Add> => (await import('./block.ts')).blockList

/**
 * Each command's file adds itself to the program; a new one needs a line here and nothing else. Only the one that is asked for is loaded: all of
 * them take twice the time.
 */
const COMMANDS: Readonly<Record<string, () => Promise<Add>>> = {
  serve: async () => (await import('./serve.ts')).serve,
  migrate: async () => (await import('./migrate.ts')).migrate,
  import: async () => (await import('./import/index.ts')).importFile,
  keys: async () => (await import('./keys.ts')).keys,
  block,
  unblock: block,
  blocklist: block,
  logs: async () => (await import('./logs/index.ts')).logs,
  report: async () => (await import('./report.ts')).report,
  jobs: async () => (await import('./jobs.ts')).jobs,
  detectors: async () => (await import('./detectors.ts')).detectors,
  spool: async () => (await import('./spool.ts')).spool,
  forget: async () => (await import('./forget.ts')).forgetAddress,
  backup: async () => (await import('./backup.ts')).backup,
  restore: async () => (await import('./restore.ts')).restore,
  doctor: async () => (await import('./doctor.ts')).doctor,
  schema: async () => (await import('./schema.ts')).schema,
  demo: async () => (await import('./demo.ts')).demo,
}

const version = (): string => {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/** With the command that `args` begin with; with all where they begin with none. */
const createProgram = async ([first = '']: readonly string[]): Promise<Command> => {
  const program = new Command('vedette')
    .description('Request analytics and IP security for fleets of web services.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this')
    .helpCommand(false)
    .exitOverride()
    // Errors are printed once, by `run`.
    .configureOutput({ outputError: () => {} })
    .addHelpText(
      'after',
      `
Settings come from the environment (DATA_DIR, CLICKHOUSE_URL, REDIS_URL, …); see the README.
Exit code: 0 done, 1 failed, 2 misused.`,
    )
  const asked = Object.hasOwn(COMMANDS, first) ? [COMMANDS[first]!] : new Set(Object.values(COMMANDS))
  for (const load of asked) (await load())(program)
  return program
}

/** The command that these arguments mean, as one types it. */
const usageOf = (program: Command, args: readonly string[]): string => {
  let command = program
  let words = program.name()
  for (const arg of args) {
    const next = command.commands.find((candidate) => candidate.name() === arg)
    if (!next) break
    command = next
    words += ` ${arg}`
  }
  return words
}

/**
 * Runs one command.
 * @param args without node and script
 * @returns the exit code: 0 done, 1 failed, 2 misused
 */
export const run = async (args: readonly string[]): Promise<number> => {
  // A reader that has seen enough, such as `head`, is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  const program = await createProgram(args)
  try {
    await program.parseAsync(args, { from: 'user' })
    // A command that has said all by itself, such as doctor, sets only this.
    return Number(process.exitCode ?? 0)
  } catch (error) {
    const { line, exitCode } = explain(error, usageOf(program, args))
    if (line !== undefined) note(`vedette: ${line}`)
    if (process.env['LOG_LEVEL'] === 'debug' && exitCode === 1) note(error instanceof Error ? (error.stack ?? '') : '')
    return exitCode
  }
}
