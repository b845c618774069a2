/** The format of users.yaml. It is not part of the policy: no packet depends on it. */
import { name, read } from './validate.ts';
import type { Validated } from './validate.ts';
import {
  YamlFile,
  entries,
  integer,
  list,
  mapping,
  mappings,
  oneOf,
  scalar,
  text,
} from './yaml-fields.ts';
import type { Field } from './yaml-fields.ts';

export const roles = ['owner', 'member', 'billing-member', 'billing-admin'] as const;
/** `owner` may do everything; `member` and `billing-member` may view firewall rules; `billing-admin` may do nothing here. */
export type Role = (typeof roles)[number];

export interface StoredToken {
  readonly name: string;
  /** SHA-256 of the token, hexadecimal. */
  readonly hash: string;
  /** ISO 8601. */
  readonly created?: string;
}

export interface StoredUser {
  readonly name: string;
  readonly role: Role;
  /** scrypt, see `passwordHashPattern`; absent: no login with a password. */
  readonly passwordHash?: string;
  /** Goes up with each change of role or password: what was begun under an older one ends. Absent: 0. */
  readonly generation?: number;
  readonly tokens: readonly StoredToken[];
}

/** `$scrypt$ln=15,r=8,p=1$SALT$HASH`, salt and hash in base64 without padding. */
export const passwordHashPattern: RegExp =
  /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{16,86})\$([A-Za-z0-9+/]{43,86})$/;

/** What a hash may cost: a hand-written one must not take the memory of the machine. */
const maxLogN = 18;

// The secret itself must not get into a message, so that these two are not `text` fields.
function secret(what: string, isValid: (value: string) => boolean): Field<string> {
  return scalar(what, (value) =>
    typeof value === 'string' && isValid(value)
      ? { value }
      : { message: `expected ${what}: it is made by "tunwall user"` },
  );
}

const passwordHash = secret('a password hash', (value) => {
  const match = passwordHashPattern.exec(value);
  if (match === null) return false;
  const [logN, r, p] = match.slice(1, 4).map(Number) as [number, number, number];
  return logN >= 10 && logN <= maxLogN && r >= 1 && r <= 16 && p >= 1 && p <= 4;
});

const token = mapping<StoredToken>(
  'a token',
  {
    name,
    hash: secret('the SHA-256 of a token', (value) => /^[0-9a-f]{64}$/.test(value)),
    created: text('a time like 2030-01-31T12:00:00.000Z', /^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
  },
  ['name', 'hash'],
);

const user = mapping<Omit<StoredUser, 'tokens'> & { tokens?: StoredToken[] }>(
  'a user',
  {
    ...{ name, role: oneOf(roles), passwordHash },
    generation: integer(0, Number.MAX_SAFE_INTEGER),
    tokens: mappings('tokens', token),
  },
  ['name', 'role'],
);

/** Values of one field that have to differ: reports the second one. */
function distinct<T extends { name: string }>(field: Field<T>, what: string): Field<T> {
  const seen = new Set<string>();
  return (place) => {
    const value = field(place);
    if (value === undefined) return undefined;
    if (seen.has(value.name)) {
      const at = entries(place, what)!.get('name')!;
      place.file.report(at.node, at.path, `"${value.name}" is the name of another ${what} already`);
    }
    seen.add(value.name);
    return value;
  };
}

export function validateUsers(fileName: string, content: string): Validated<StoredUser[]> {
  const file = new YamlFile(fileName, content);
  const whole = mapping<{ users?: StoredUser[] }>(
    'a mapping with the key users',
    {
      users: list(
        'users',
        distinct<StoredUser>((place) => {
          const value = user(place);
          if (value === undefined) return undefined;
          const tokens = value.tokens ?? [];
          const seen = new Set<string>();
          const twice = tokens.find((each) => seen.size === seen.add(each.name).size);
          if (twice !== undefined) {
            const at = entries(place, 'a user')!.get('tokens')!;
            place.file.report(at.node, at.path, `the token "${twice.name}" is listed twice`);
          }
          return { ...value, tokens };
        }, 'user'),
      ),
    },
    [],
  );
  const result = read<StoredUser[]>(file, (place) => whole(place)?.users ?? [], []);
  return file.problems.length > 0 ? { value: undefined, problems: file.problems } : result;
}
