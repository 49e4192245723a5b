import { problem } from './problem.ts'

/**
 * The whole body of a request that is small by its nature.
 * @throws {Problem} 413
 */
export const readText = async (body: AsyncIterable<Buffer>, mostBytes: number): Promise<string> => {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > mostBytes)
      throw problem(413, {
        detail: `The body is longer than ${mostBytes} bytes.`,
        headers: { connection: 'close' },
      })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
