import { createLog, type Log } from '../../src/http/index.ts'

/** A log that keeps its lines. */
export const capturedLog = (): { log: Log; lines: string[]; text: () => string } => {
  const lines: string[] = []
  return {
    log: createLog('trace', { write: (line: string) => void lines.push(line) }),
    lines,
    text: () => lines.join(''),
  }
}
