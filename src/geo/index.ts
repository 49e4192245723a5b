export { addressKind, type AddressKind } from './address.ts'
export { countryName } from './country.ts'
export { createGeo, OLD_DATABASE_DAYS, UNKNOWN_LOCATION, type Geo, type GeoOptions, type Location } from './geo.ts'
export type { GeoLog, SourceState } from './source.ts'
