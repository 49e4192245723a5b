/**
 * SLIDING_WINDOW: a log of what passed, in chunks. A chunk holds at most an eighth of the limit and what came within an
 * eighth of the window, and is forgotten a window after its first request. So at most one chunk is forgotten too early,
 * and no window passes more than limit + 1/8; below a limit of 16 a chunk is one request and the log is exact. What is
 * counted never exceeds what the window really holds, so nobody is denied below the limit.
 */

/** What passed since `first`, epoch in ms. */
interface Chunk {
  first: number
  count: number
}

export interface SlidingLog {
  chunks: Chunk[]
  /** Epoch in ms; 0: not denied for longer than the window asks for. */
  blockedUntil: number
}

export interface SlidingRule {
  limit: number
  windowMs: number
  blockMs: number
}

export interface SlidingCount {
  allowed: boolean
  remaining: number
  resetMs: number
  retryAfterMs: number
}

export const PARTS = 8

export const newLog = (): SlidingLog => ({ chunks: [], blockedUntil: 0 })

/** Milliseconds until so many points fit. */
const waitFor = ({ chunks }: SlidingLog, { limit, windowMs }: SlidingRule, points: number, now: number): number => {
  let used = chunks.reduce((sum, { count }) => sum + count, 0)
  for (const { first, count } of chunks) {
    used -= count
    if (used + points <= limit) return first + windowMs - now
  }
  return windowMs
}

/** Counts a request in memory, in place. The same as SCRIPT does in Redis; a property test holds both to it. */
export const slide = (log: SlidingLog, rule: SlidingRule, points: number, now: number): SlidingCount => {
  const { limit, windowMs, blockMs } = rule
  if (log.blockedUntil > now) {
    const wait = log.blockedUntil - now
    return { allowed: false, remaining: 0, resetMs: wait, retryAfterMs: wait }
  }
  const { chunks } = log
  while (chunks.length > 0 && chunks[0]!.first + windowMs <= now) chunks.shift()
  const used = chunks.reduce((sum, { count }) => sum + count, 0)
  if (used + points > limit) {
    if (blockMs > 0) log.blockedUntil = now + blockMs
    const wait = blockMs > 0 ? blockMs : waitFor(log, rule, points, now)
    return { allowed: false, remaining: 0, resetMs: wait, retryAfterMs: wait }
  }
  const last = chunks.at(-1)
  if (last && last.count + points <= Math.floor(limit / PARTS) && now - last.first < windowMs / PARTS)
    last.count += points
  else chunks.push({ first: now, count: points })
  return {
    allowed: true,
    remaining: limit - used - points,
    resetMs: chunks[0]!.first + windowMs - now,
    retryAfterMs: 0,
  }
}

/**
 * KEYS[1]; ARGV: limit, window ms, points, block ms and, for tests, the time in ms (else Redis' own, so that the clocks of
 * several processes do not matter). The value is text: `blockedUntil:0` and `first:count` for each chunk. Answers
 * {allowed, remaining, ms until reset, ms until it may pass}.
 */
export const SCRIPT = `
local limit, window, points, block = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local firsts, counts, used, blocked = {}, {}, 0, nil
local stored = redis.call('GET', KEYS[1])
if stored then
  for first, count in string.gmatch(stored, '(%d+):(%d+)') do
    first, count = tonumber(first), tonumber(count)
    if not blocked then
      blocked = first
      if blocked > now then return {0, 0, blocked - now, blocked - now} end
    elseif first + window > now then
      firsts[#firsts + 1], counts[#counts + 1], used = first, count, used + count
    end
  end
end
local function write(blockedUntil, ttl)
  local parts = {string.format('%.0f:0', blockedUntil)}
  for i = 1, #firsts do parts[i + 1] = string.format('%.0f:%.0f', firsts[i], counts[i]) end
  redis.call('SET', KEYS[1], table.concat(parts, ' '), 'PX', string.format('%.0f', ttl))
end
if used + points > limit then
  if block > 0 then
    write(now + block, math.max(block, window))
    return {0, 0, block, block}
  end
  local left = used
  for i = 1, #firsts do
    left = left - counts[i]
    if left + points <= limit then return {0, 0, firsts[i] + window - now, firsts[i] + window - now} end
  end
  return {0, 0, window, window}
end
local last = #firsts
if last > 0 and counts[last] + points <= math.floor(limit / ${PARTS}) and now - firsts[last] < window / ${PARTS} then
  counts[last] = counts[last] + points
else
  firsts[last + 1], counts[last + 1] = now, points
end
write(0, window)
return {1, limit - used - points, firsts[1] + window - now, 0}
`
