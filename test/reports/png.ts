import { inflateSync } from 'node:zlib'

export interface Pixels {
  width: number
  height: number
  /** How often each colour occurs, as `#rrggbb`. */
  colors: Map<string, number>
}

const paeth = (left: number, up: number, corner: number): number => {
  const [l, u, c] = [left, up, corner].map((each) => Math.abs(left + up - corner - each)) as [number, number, number]
  return l <= u && l <= c ? left : u <= c ? up : corner
}

/** Reads a PNG of eight bits in RGB or RGBA without interlacing, as the PNG specification has it. */
export const readPng = (png: Buffer): Pixels => {
  if (!png.subarray(0, 8).equals(Buffer.from('89504e470d0a1a0a', 'hex'))) throw new Error('no PNG')
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)]
  const [depth, type, , , interlace] = png.subarray(24, 29)
  const channels = type === 6 ? 4 : 3
  if (depth !== 8 || (type !== 6 && type !== 2) || interlace !== 0) throw new Error('another kind of PNG')
  const parts: Buffer[] = []
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT')
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)))
  }
  const raw = inflateSync(Buffer.concat(parts))
  const stride = width * channels
  const colors = new Map<string, number>()
  let above: Buffer = Buffer.alloc(stride)
  for (let row = 0; row < height; row++) {
    const filter = raw[row * (stride + 1)] ?? 0
    const now = raw.subarray(row * (stride + 1) + 1, (row + 1) * (stride + 1))
    for (let x = 0; x < stride; x++) {
      const left = x < channels ? 0 : (now[x - channels] ?? 0)
      const up = above[x] ?? 0
      const corner = x < channels ? 0 : (above[x - channels] ?? 0)
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] ?? 0
      now[x] = ((now[x] ?? 0) + guess) & 255
    }
    for (let x = 0; x < stride; x += channels) {
      const color = `#${now.toString('hex', x, x + 3)}`
      colors.set(color, (colors.get(color) ?? 0) + 1)
    }
    above = now
  }
  return { width, height, colors }
}
