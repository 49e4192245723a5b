/** One accent; green and red only ever say better and worse. All texts on their grounds have a contrast of 4.5 or more. */
export const LIGHT = {
  ink: '#16212b',
  soft: '#566573',
  line: '#e3e8ec',
  ground: '#f2f4f6',
  card: '#ffffff',
  tint: '#eef5f7',
  accent: '#0f5a73',
  good: '#19683f',
  bad: '#b3261e',
} as const

export const DARK: Record<keyof typeof LIGHT, string> = {
  ink: '#e9eef2',
  soft: '#a3b0bc',
  line: '#2f3a44',
  ground: '#10161b',
  card: '#1a222a',
  tint: '#20303a',
  accent: '#7cc7e0',
  good: '#7fd3a0',
  bad: '#ff9d94',
}

/** Of what a chart draws: always on white, for the picture is the same in light and dark. The accent comes first. */
export const SERIES = ['#0f5a73', '#d08a1d', '#6a5aa8', '#3f8f6b', '#b0485f', '#7a8894'] as const
export const PREVIOUS = '#9aa7b3'

export const FONT = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
export const MONO = "ui-monospace, 'SF Mono', Consolas, 'Liberation Mono', Menlo, monospace"
