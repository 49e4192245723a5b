import type { Random } from './random.ts'

/** Current browsers, as they announce themselves. */
const CHROME = ['147', '148', '149', '149', '150', '150', '150']
const FIREFOX = ['149.0', '150.0', '151.0', '151.0', '140.0']
const SAFARI = ['26.1', '26.2', '26.3', '18.6']
const WINDOWS = 'Windows NT 10.0; Win64; x64'
const MAC = 'Macintosh; Intel Mac OS X 10_15_7'

const blink = (system: string, version: string, rest = ''): string =>
  `Mozilla/5.0 (${system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${version}.0.0.0 Safari/537.36${rest}`

export const chromeOnWindows = (random: Random): string => blink(WINDOWS, random.pick(CHROME))

/** A browser at a desk. */
export const desktopBrowser = (random: Random): string => {
  const chrome = random.pick(CHROME)
  return random.weighted<() => string>([
    [() => blink(WINDOWS, chrome), 40],
    [() => blink(MAC, chrome), 14],
    [() => blink('X11; Linux x86_64', chrome), 4],
    [() => blink(WINDOWS, chrome, ` Edg/${chrome}.0.0.0`), 14],
    [() => firefox(random, WINDOWS), 9],
    [() => firefox(random, MAC.replace('10_15_7', '10.15')), 2],
    [() => firefox(random, 'X11; Linux x86_64'), 3],
    [
      () =>
        `Mozilla/5.0 (${MAC}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/${random.pick(SAFARI)} Safari/605.1.15`,
      13,
    ],
    [() => blink(WINDOWS, chrome, ' OPR/130.0.0.0'), 1],
  ])()
}

const firefox = (random: Random, system: string): string => {
  const version = random.pick(FIREFOX)
  return `Mozilla/5.0 (${system}; rv:${version}) Gecko/20100101 Firefox/${version}`
}

/** A browser in a hand. */
export const mobileBrowser = (random: Random): string => {
  const chrome = random.pick(CHROME)
  const ios = random.pick(SAFARI)
  const system = `CPU iPhone OS ${ios === '18.6' ? '18_6' : '18_7'} like Mac OS X`
  const mobileSafari = `Mozilla/5.0 (iPhone; ${system}) AppleWebKit/605.1.15 (KHTML, like Gecko)`
  return random.weighted([
    [`${mobileSafari} Version/${ios} Mobile/15E148 Safari/604.1`, 44],
    [blink('Linux; Android 10; K', chrome).replace(' Safari/', ' Mobile Safari/'), 40],
    [`${mobileSafari} CriOS/${chrome}.0.7390.41 Mobile/15E148 Safari/604.1`, 6],
    [
      `Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36`,
      7,
    ],
    [`Mozilla/5.0 (Android 15; Mobile; rv:151.0) Gecko/151.0 Firefox/151.0`, 3],
  ])
}

/** The shop's own app. */
export const mobileApp = (random: Random): string => {
  const version = random.weighted([
    ['5.14.0', 50],
    ['5.13.2', 30],
    ['5.12.1', 12],
    ['4.9.7', 3],
  ])
  return random.chance(0.55)
    ? `MarlowApp/${version} (iPhone; iOS 26.${random.int(0, 2)}; Scale/3.00) CFNetwork/3860.100.1 Darwin/25.${random.int(0, 2)}.0`
    : `MarlowApp/${version} (Android ${random.int(13, 16)}; ${random.pick(['Pixel 9', 'SM-S931B', 'SM-A556B', '2409BRN2CA', 'CPH2663'])}) okhttp/5.1.0`
}
