import type { Random } from './random.ts'

/** What Marlow & Finch, an outdoor shop that does not exist, has on its shelves and in its blog. */
export const CATEGORIES = [
  'tents',
  'sleeping-bags',
  'backpacks',
  'boots',
  'rain-jackets',
  'stoves',
  'climbing',
  'bikes',
  'kids',
  'sale',
] as const

const NAMES =
  'fernweh alder kestrel moorland skerry tarn bracken cairn drift heron larch merlin rowan sorrel thistle wren'.split(
    ' ',
  )
const THINGS =
  'tent tarp rucksack boot shell fleece stove lantern rope harness mat quilt bottle poncho axle helmet'.split(' ')

export interface Product {
  id: number
  slug: string
}

export const PRODUCTS: readonly Product[] = THINGS.flatMap((thing, i) =>
  NAMES.map((name, j) => ({
    id: 10_000 + (i * NAMES.length + j) * 37,
    slug: `${name}-${thing}-${10_000 + (i * NAMES.length + j) * 37}`,
  })),
)

export const POSTS = [
  '2026/11/first-snow-on-the-ridge',
  '2026/11/how-we-test-a-tent',
  '2026/10/three-days-along-the-elbe',
  '2026/10/waxing-boots-properly',
  '2026/09/packing-list-for-huts',
  '2026/08/what-a-stove-weighs',
  '2026/06/with-children-to-the-lake',
  '2026/03/repair-instead-of-replace',
  '2025/12/wild-camping-what-is-allowed',
  '2025/07/the-north-coast-by-bike',
  '2024/05/knots-worth-knowing',
  '2023/09/a-winter-in-the-workshop',
] as const

export const GALLERIES = [
  ['lofoten-in-march', 84],
  ['alpine-crossing', 132],
  ['readers-pictures-autumn', 210],
  ['bothies-of-the-highlands', 58],
] as const

const SEARCHES =
  'tent 2 person|rain jacket men|stove|rucksack 40l|boots wide|gas cartridge|kids sleeping bag|headlamp|poncho|fleece women|gift card|sleeping mat|rope 60m|tarp|trekking poles|merino|water filter|bike bags'.split(
    '|',
  )

/** Few things are looked at often, most hardly ever. */
export const popular = <T>(random: Random, items: readonly T[]): T =>
  items[Math.floor(items.length * random.float() ** 2.2)]!

export const searchQuery = (random: Random): string => {
  const words = random.pick(SEARCHES)
  const page = random.chance(0.12) ? `&page=${random.int(2, 4)}` : ''
  return `q=${words.replaceAll(' ', '+')}${page}`
}

export const campaignQuery = (random: Random): string =>
  random.pick([
    'utm_source=newsletter&utm_medium=email&utm_campaign=winter26',
    'utm_source=instagram&utm_medium=social',
    `gclid=Cj0KCQ${random.hex(18)}`,
    'utm_source=pricewatch&utm_medium=cpc',
  ])
