import { fileURLToPath } from 'node:url'

import type { Chart } from '../types.ts'
import { hostile, line, LONGEST } from './disarm.ts'
import { number, tick, time } from './format.ts'
import { LIGHT, PREVIOUS, SERIES } from './theme.ts'

/** As it is laid out; the picture has `ZOOM` times as many pixels. Narrow, so that its letters can be read on a phone. */
const WIDTH = 440
const HEIGHT = 204
const ROW = 24
const ZOOM = 2.5
export const FONT_FAMILY = 'DejaVu Sans Condensed'
/** Of a bar chart with names. */
const MOST_BARS = 12
const MOST_LABELS = 7

// By names that no bundler follows; the condensed letters leave room for figures.
export const FONTS = ['DejaVuSansCondensed', 'DejaVuSansCondensed-Bold'].map((name) =>
  fileURLToPath(import.meta.resolve(`dejavu-fonts-ttf/ttf/${name}.ttf`)),
)

const HOUR = 3_600_000

interface Axis {
  labels: string[]
  isShown: (index: number) => boolean
}

/** Steps between labels at which clocks and dates read well. */
const STEPS = [1, 2, 3, 4, 5, 6, 7, 10, 12, 15, 20, 24, 30, 60]

/** Up to two days by the clock, longer times by the date at its midnight, in the reader's zone. */
const timeAxis = (instants: readonly Date[], timezone: string): Axis => {
  const first = instants[0]?.getTime() ?? 0
  const last = instants.at(-1)?.getTime() ?? first
  const byClock = last - first <= 48 * HOUR
  const clocks = instants.map((instant) => time(instant, timezone, { hour: '2-digit', minute: '2-digit' }))
  const days = instants.map((instant) => time(instant, timezone, { day: 'numeric', month: 'short' }))
  const marks = instants.flatMap((_, index) => (byClock || days[index] !== days[index - 1] ? [index] : []))
  const step = STEPS.find((each) => marks.length / each <= MOST_LABELS) ?? Math.ceil(marks.length / MOST_LABELS)
  const shown = new Set(marks.filter((_, place) => place % step === 0))
  return { labels: byClock ? clocks : days, isShown: (index) => shown.has(index) }
}

const isTime = (categories: Chart['categories']): categories is readonly Date[] => categories[0] instanceof Date

const text = { fontFamily: FONT_FAMILY, fontSize: 11.5, color: LIGHT.soft }

const valueAxis = ({ unit }: Chart) => ({
  type: 'value' as const,
  min: 0,
  splitNumber: 3,
  // A count has no halves.
  ...(unit === 'requests' || unit === 'addresses' || unit === 'findings' ? { minInterval: 1 } : {}),
  axisLabel: { ...text, formatter: (value: number) => tick(value, unit) },
  splitLine: { lineStyle: { color: LIGHT.line } },
})

const seriesOf = (chart: Chart, isFlat: boolean) => {
  let place = 0
  const isAlone = chart.series.filter(({ previous }) => !previous).length === 1
  // What was before lies behind.
  const ordered = chart.series.toSorted((a, b) => Number(b.previous ?? false) - Number(a.previous ?? false))
  return ordered.map(({ name, values, previous }) => {
    const color = previous ? PREVIOUS : (SERIES[place++ % SERIES.length] ?? LIGHT.accent)
    const common = { name: line(name, LONGEST.label), data: [...values], silent: true, itemStyle: { color } }
    if (chart.kind === 'bar') {
      const label = {
        ...text,
        show: true,
        position: 'right' as const,
        formatter: ({ value }: { value?: unknown }) => (typeof value === 'number' ? number(value, chart.unit) : ''),
      }
      return {
        ...common,
        type: 'bar' as const,
        barMaxWidth: 18,
        barGap: '15%',
        itemStyle: { color: previous ? '#cdd5db' : color, borderRadius: 2 },
        ...(isFlat && !previous ? { label } : {}),
      }
    }
    return {
      ...common,
      type: 'line' as const,
      // A single point is no line; show it all the same.
      symbol: values.filter((value) => value !== null).length < 2 ? 'circle' : 'none',
      lineStyle: { color, width: previous ? 1.5 : 2.25, ...(previous ? { type: [4, 3] } : {}) },
      ...(previous || !isAlone ? {} : { areaStyle: { color, opacity: 0.08 } }),
    }
  })
}

const STROKE = 'M0 0h20v2h-20z'
const DASHES = 'M0 0h5v2h-5z M7.5 0h5v2h-5z M15 0h5v2h-5z'

const legend = (chart: Chart) => ({
  show: chart.series.length > 1,
  left: 0,
  top: 4,
  itemWidth: 20,
  itemHeight: chart.kind === 'bar' ? 9 : 2,
  itemGap: 16,
  // In the order of the report, whatever lies behind what.
  data: chart.series.map(({ name, previous }) => ({
    name: line(name, LONGEST.label),
    icon: chart.kind === 'bar' ? 'roundRect' : `path://${previous ? DASHES : STROKE}`,
  })),
  textStyle: text,
})

const optionOf = (chart: Chart, timezone: string) => {
  const isFlat = chart.kind === 'bar' && !isTime(chart.categories)
  const axis: Axis = isTime(chart.categories)
    ? timeAxis(chart.categories, timezone)
    : { labels: chart.categories.map((name) => hostile(String(name), 26)), isShown: () => true }
  const names = {
    type: 'category' as const,
    data: axis.labels,
    boundaryGap: chart.kind === 'bar',
    inverse: isFlat,
    axisLine: { lineStyle: { color: '#c5ced6' } },
    axisTick: { show: false },
    axisLabel: { ...text, ...(isFlat ? { color: LIGHT.ink } : {}), interval: axis.isShown, hideOverlap: !isFlat },
  }
  const values = isFlat ? { ...valueAxis(chart), show: false } : valueAxis(chart)
  return {
    animation: false,
    backgroundColor: '#ffffff',
    grid: {
      left: 4,
      right: isFlat ? 64 : 12,
      top: chart.series.length > 1 ? 36 : 14,
      bottom: 4,
      outerBoundsMode: 'same' as const,
    },
    legend: legend(chart),
    xAxis: isFlat ? values : names,
    yAxis: isFlat ? names : values,
    series: seriesOf(chart, isFlat),
  }
}

/** Loaded with the first chart: most of what the service does has none. */
const loadEcharts = async () => {
  const [core, charts, components, { SVGRenderer }] = await Promise.all([
    import('echarts/core'),
    import('echarts/charts'),
    import('echarts/components'),
    import('echarts/renderers'),
  ])
  core.use([charts.LineChart, charts.BarChart, components.GridComponent, components.LegendComponent, SVGRenderer])
  return core
}
let loading: ReturnType<typeof loadEcharts> | undefined

const shortened = (chart: Chart): Chart =>
  isTime(chart.categories) || chart.categories.length <= MOST_BARS || chart.kind === 'line'
    ? chart
    : {
        ...chart,
        categories: chart.categories.slice(0, MOST_BARS),
        series: chart.series.map((series) => ({ ...series, values: series.values.slice(0, MOST_BARS) })),
      }

/** As SVG, laid out `width` wide: its letters have 11.5 of the same units. */
export const chartSvg = async (whole: Chart, timezone: string, width: number = WIDTH): Promise<string> => {
  const chart = shortened(whole)
  const echarts = await (loading ??= loadEcharts())
  const isFlat = chart.kind === 'bar' && !isTime(chart.categories)
  const height = isFlat
    ? chart.categories.length * (ROW + (chart.series.length > 1 ? 8 : 0)) + (chart.series.length > 1 ? 44 : 20)
    : HEIGHT
  const canvas = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    canvas.setOption(optionOf(chart, timezone))
    return canvas.renderToSVGString()
  } finally {
    canvas.dispose()
  }
}

/** A PNG on white, some 1,100 pixels wide: sharp at the 552 that a mail gives it. */
export const chartPng = async (chart: Chart, timezone: string): Promise<Buffer> => {
  const [svg, { renderAsync }] = await Promise.all([chartSvg(chart, timezone), import('@resvg/resvg-js')])
  const image = await renderAsync(svg, {
    font: { loadSystemFonts: false, fontFiles: FONTS, defaultFontFamily: FONT_FAMILY },
    fitTo: { mode: 'zoom', value: ZOOM },
    background: '#ffffff',
    logLevel: 'off',
  })
  return image.asPng()
}
