/**
 * Opens an engine whose users are those of clickhouse/server/users.d, with one difference: its user `default`, who is the one that
 * asks here, has the profile and the rights of the user named. It runs the statements that come on stdin, and prints what
 * was refused. A process of its own, since an engine reads its users once.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'

import { loadLibrary } from '../../src/clickhouse/embedded/library.ts'

const [user = '', folder = ''] = process.argv.slice(2)
const statements = (await json(process.stdin)) as string[]

const read = (name: string): Promise<string> =>
  readFile(new URL(`../../clickhouse/server/users.d/${name}.xml`, import.meta.url), 'utf8')
const element = (xml: string, pattern: string): string => new RegExp(pattern, 's').exec(xml)![1]!
const files = [await read('vedette'), await read('bi')]
const inner = (name: string): string => files.map((file) => element(file, `<${name}>(.*)</${name}>`)).join('')
/** `everything`: the engine's own user, for what an administrator does before. */
const own =
  user === 'everything'
    ? '<password/><profile>default</profile><quota>default</quota>'
    : element(files[user === 'bi' ? 1 : 0]!, `<${user}>\\s*(<password.*?)\\s*</${user}>\\s*(?:<!--|</users>)`)

await mkdir(folder, { recursive: true })
const users = join(folder, 'users.xml')
await writeFile(
  users,
  `<clickhouse><profiles><default/>${inner('profiles')}</profiles><quotas>${inner('quotas')}</quotas><users>` +
    `<default>${own.replace(/<password\w*[^>]*\/>/, '<password/>')}</default></users></clickhouse>`,
)
const config = join(folder, 'config.xml')
await writeFile(
  config,
  `<clickhouse><users_config>${users}</users_config><user_directories><users_xml><path>${users}</path></users_xml></user_directories></clickhouse>`,
)

const library = loadLibrary()
const connection = library.CreateConnection(join(folder, 'data'), [`--config-file=${config}`])
const answers: string[] = []
for (const statement of statements)
  try {
    const { bytes } = await library.QueryAsyncConnection(connection, statement, 'TSVRaw')
    answers.push(bytes.toString().trim())
  } catch (error) {
    answers.push(`refused: ${(error as Error).message.split('\n')[0]!.replace(/^Code: \d+\. DB::Exception: /, '')}`)
  }
process.stdout.write(JSON.stringify(answers), () => process.kill(process.pid, 'SIGKILL'))
