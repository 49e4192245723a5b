import { hash, randomInt } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

const random = (length: number): string => Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')

/** 190 bits, in characters that a double click selects whole; `vdt_` is for scanners that look for leaked keys. */
export const newSecret = (): string => `vdt_${random(32)}`

export const newKeyId = (): string => `key_${random(12)}`

/**
 * SHA-256, once and without salt: a slow hash buys time against guessing, and there is nothing to guess in 190 random
 * bits; but it would cost each request tens of milliseconds where this costs a microsecond.
 */
export const hashOf = (secret: string): Buffer => hash('sha256', secret, 'buffer')

/** Enough to tell keys apart, too little to help with the rest. */
export const prefixOf = (secret: string): string => secret.slice(0, secret.startsWith('vdt_') ? 10 : 6)
