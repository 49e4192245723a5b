import { parentPort } from 'node:worker_threads'

import { createRenderer } from './render.ts'
import type { Answer, Task } from './aside.ts'

// What runs in the thread that ./aside.ts starts.
const port = parentPort!
port.on('message', ({ id, kind, report, options, attributions }: Task) => {
  const renderer = createRenderer({ attributions: () => attributions })
  renderer[kind](report, options).then(
    (result) => port.postMessage({ id, result } satisfies Answer),
    (error: unknown) => port.postMessage({ id, error } satisfies Answer),
  )
})
