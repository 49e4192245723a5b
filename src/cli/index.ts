import { readFileSync } from 'node:fs'

import { Command } from 'commander'

import { backup } from './backup.ts'
import { blockList } from './block.ts'
import { explain } from './errors.ts'
import { demo } from './demo.ts'
import { detectors } from './detectors.ts'
import { doctor } from './doctor.ts'
import { forgetAddress } from './forget.ts'
import { importFile } from './import/index.ts'
import { jobs } from './jobs.ts'
import { keys } from './keys.ts'
import { logs } from './logs/index.ts'
import { migrate } from './migrate.ts'
import { note } from './print.ts'
import { restore } from './restore.ts'
import { report } from './report.ts'
import { schema } from './schema.ts'
import { serve } from './serve.ts'
import { spool } from './spool.ts'

/** Each file of a command adds itself to the program; a new one needs a line here and nothing else. */
const commands: readonly ((program: Command) => void)[] = [
  serve,
  migrate,
  importFile,
  keys,
  blockList,
  logs,
  report,
  jobs,
  detectors,
  spool,
  forgetAddress,
  backup,
  restore,
  doctor,
  schema,
  demo,
]

const version = (): string => {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

const createProgram = (): Command => {
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
  for (const add of commands) add(program)
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
  const program = createProgram()
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
