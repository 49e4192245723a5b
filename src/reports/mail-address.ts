const LONGEST_ADDRESS = 254
const ADDRESS =
  /^(?!\.)(?!.*\.\.)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}(?<!\.)@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])$/i

/** As mails are counted and unsubscribed: hosts know no case. @returns undefined: it is none */
export const asAddress = (value: unknown): string | undefined => {
  if (typeof value !== 'string' || value.length > LONGEST_ADDRESS || !ADDRESS.test(value)) return undefined
  const at = value.lastIndexOf('@')
  return value.slice(0, at) + value.slice(at).toLowerCase()
}
