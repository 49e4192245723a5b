/**
 * One statement for many: what comes while `work` runs waits and goes together in the next. Eight mails at once so take two inserts
 * and not sixteen, each of which waits for the disk.
 */
export const gather = <Item, Result>(
  work: (items: readonly Item[]) => Promise<readonly Result[]>,
): ((item: Item) => Promise<Result>) => {
  let waiting: { item: Item; done: PromiseWithResolvers<Result> }[] = []
  let running = false

  const run = async (): Promise<void> => {
    running = true
    for (let some = waiting; some.length > 0; some = waiting) {
      waiting = []
      try {
        const results = await work(some.map(({ item }) => item))
        for (const [index, { done }] of some.entries()) done.resolve(results[index]!)
      } catch (error) {
        for (const { done } of some) done.reject(error)
      }
    }
    running = false
  }

  return (item) => {
    const done = Promise.withResolvers<Result>()
    waiting.push({ item, done })
    if (!running) void run()
    return done.promise
  }
}
