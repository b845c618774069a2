/**
 * Passwords and API tokens: made, hashed and compared.
 *
 * A password is hashed with scrypt; the hash contains its parameters, so that they can be raised for new passwords. A
 * token is 32 random bytes, so a plain SHA-256 of it is safe to store: it cannot be guessed. All comparisons take
 * constant time, over all candidates.
 */
import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { passwordHashPattern } from '../../policy/users.ts';
import type { StoredToken } from '../../policy/users.ts';

const scryptAsync = promisify<
  string,
  Buffer,
  number,
  { N: number; r: number; p: number; maxmem: number },
  Buffer
>(scrypt);

/** OWASP's choice for 32 MiB: a gateway is small, and one hash is computed at a time. */
const cost = { logN: 15, r: 8, p: 3 };

export const minPasswordLength = 10;
export const maxPasswordLength = 1024;

const tokenPattern = /^tunwall_[A-Za-z0-9_-]{43}$/;

interface Cost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

/** Hashes in a row, so that a flood of logins takes the memory of one. */
let row: Promise<unknown> = Promise.resolve();

function derive(password: string, salt: Buffer, length: number, of: Cost): Promise<Buffer> {
  const N = 2 ** of.logN;
  const options = { N, r: of.r, p: of.p, maxmem: 128 * N * of.r + (1 << 20) };
  // Unicode normalisation: the same text, however it was typed.
  const turn = row.then(() => scryptAsync(password.normalize('NFKC'), salt, length, options));
  row = turn.catch(() => undefined);
  return turn;
}

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, 32, cost);
  return `$scrypt$ln=${cost.logN},r=${cost.r},p=${cost.p}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** Compared with for a user without a password: a random hash that no password matches. */
const unusableHash = `$scrypt$ln=${cost.logN},r=${cost.r},p=${cost.p}$${unpadded(randomBytes(16))}$${unpadded(randomBytes(32))}`;

/** @param hash `undefined`: takes the same time, and returns false */
export async function isPassword(password: string, hash: string | undefined): Promise<boolean> {
  const match = passwordHashPattern.exec(hash ?? unusableHash);
  if (match === null || password.length > maxPasswordLength) return false;
  const [logN, r, p] = match.slice(1, 4).map(Number) as [number, number, number];
  const expected = Buffer.from(match[5]!, 'base64');
  const salt = Buffer.from(match[4]!, 'base64');
  const found = await derive(password, salt, expected.length, { logN, r, p });
  return timingSafeEqual(found, expected) && hash !== undefined;
}

/** A password to be copied: 24 letters and digits, 119 bits. */
export function randomPassword(): string {
  const letters = 'abcdefghijkmnpqrstuvwxyz23456789';
  return [...randomBytes(24)].map((byte) => letters[byte % letters.length]!).join('');
}

export function createToken(): { token: string; hash: string } {
  const token = `tunwall_${randomBytes(32).toString('base64url')}`;
  return { token, hash: tokenHash(token) };
}

function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** Finds the matching token. Compares with all of them, whichever matches. */
export function findToken<T extends StoredToken>(
  token: string,
  among: readonly T[],
): T | undefined {
  if (!tokenPattern.test(token)) return undefined;
  const own = Buffer.from(tokenHash(token), 'hex');
  let found: T | undefined;
  for (const each of among) {
    if (timingSafeEqual(own, Buffer.from(each.hash, 'hex'))) found = each;
  }
  return found;
}
