/**
 * How a policy lies in etcd, below the prefix:
 *
 *     head                   { generation, seq, commit, files: { "servers.yaml": sha256, "templates/web.yaml": … }, unconfirmed }
 *     users                  the text of users.yaml
 *     blob/<sha256>/<piece>  gzip of a file's text, in pieces; immutable
 *     commit/<seq>           { id, at, event, versions }: audit record and history
 *     gateway/<name>/<of>    what a gateway says of itself, under leases (`gateway-records.ts`)
 *
 * A change is one transaction: it compares that nobody has written `head` and `users` since they were read, and puts `head`
 * and one commit for each change, and with them a few texts; many texts are written before. So any number of files changes at once, commits are numbered without gaps, and history
 * and audit are those of the change, or none of it is there. Keys sort so that one range has `head` and `users`, and nothing else.
 *
 * `generation` is a random name of the whole. It changes when the content is set up anew (`init`, `restore`): what has another
 * generation, or an older number, is not taken by a gateway by itself.
 *
 * What is too old to be asked for goes (`collector.ts`): numbers of commits have gaps then.
 */
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { AuditEvent, Unconfirmed, Version } from '../store.ts';
import type { VersionedKind } from '../versions.ts';

/** Bytes of a piece of a text: the cluster takes 1.5 MiB with a request, and base64 makes four of three. */
export const pieceBytes: number = 512 << 10;

/** Bytes of a head or commit. */
export const maxValueBytes: number = 1 << 20;

/** A text with more bytes than a list may have was not written by tunwall. */
const maxTextBytes = 64 << 20;

export interface Head {
  readonly version: 1;
  readonly generation: string;
  readonly seq: number;
  /** Id of the newest commit. */
  readonly commit: string;
  /** SHA-256 of the texts, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** The newest commit when old ones were collected last; absent: never. */
  readonly collected?: number;
  /** The change that waits for confirmation. */
  readonly unconfirmed?: Unconfirmed;
}

/** A version that a commit has added to a history; its number is that of the commit. */
export interface StoredVersion extends Pick<Version, 'action' | 'from' | 'to'> {
  readonly kind: VersionedKind;
  readonly name: string;
  /** Of the text; absent: removed. */
  readonly text?: string;
  readonly list?: NonNullable<Version['list']> & { readonly bytes: number };
  readonly actor: Version['actor'];
}

export interface StoredCommit {
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
  /** Absent: nothing for the audit log. */
  readonly event?: AuditEvent;
  readonly versions: readonly StoredVersion[];
}

export class Keys {
  readonly prefix: string;

  /** @param prefix without a slash at its end */
  constructor(prefix: string) {
    this.prefix = prefix;
  }

  get head(): string {
    return encoded(`${this.prefix}/head`);
  }

  get users(): string {
    return encoded(`${this.prefix}/users`);
  }

  /** The end of the range that begins with `head`. */
  get afterUsers(): string {
    return encoded(`${this.prefix}/users\0`);
  }

  commit(seq: number): string {
    return encoded(`${this.prefix}/commit/${String(seq).padStart(12, '0')}`);
  }

  blob(sha256: string, piece: number): string {
    return encoded(`${this.prefix}/blob/${sha256}/${String(piece).padStart(3, '0')}`);
  }

  /** @param of `now` while it runs, `last` for some time afterwards */
  gateway(name: string, of: 'now' | 'last'): string {
    return encoded(`${this.prefix}/gateway/${name}/${of}`);
  }

  /** Name and kind of a record. */
  gatewayOf(key: string): [name: string, of: string] {
    const [name = '', of = ''] = decoded(key)
      .toString('utf8')
      .slice(`${this.prefix}/gateway/`.length)
      .split('/');
    return [name, of];
  }

  get gateways(): string {
    return encoded(`${this.prefix}/gateway/`);
  }

  get afterGateways(): string {
    return encoded(`${this.prefix}/gateway0`);
  }

  /** Where all texts begin, and behind their end. */
  get texts(): string {
    return encoded(`${this.prefix}/blob/`);
  }

  get afterTexts(): string {
    return encoded(`${this.prefix}/blob0`);
  }

  /** Of the text that a piece is of. @param piece a key */
  digestOf(piece: string): string {
    const start = this.prefix.length + '/blob/'.length;
    return decoded(piece)
      .toString('utf8')
      .slice(start, start + 64);
  }

  /** The end of the range of a text's pieces. */
  afterBlob(sha256: string): string {
    return encoded(`${this.prefix}/blob/${sha256}0`);
  }
}

/** Keys and values are base64 in JSON. */
export function encoded(text: string | Buffer): string {
  return Buffer.from(text).toString('base64');
}

export function decoded(value: string | undefined): Buffer {
  return Buffer.from(value ?? '', 'base64');
}

/** The pieces of a text. */
export function piecesOf(text: string): Buffer[] {
  // The clock in the header would make two of one.
  const packed = gzipSync(text, { level: 6 });
  const pieces: Buffer[] = [];
  for (let at = 0; at < packed.length; at += pieceBytes) {
    pieces.push(packed.subarray(at, at + pieceBytes));
  }
  return pieces;
}

/** @throws Error when they are not those of this text */
export function textOf(sha256: string, pieces: readonly Buffer[]): string {
  const text = gunzipSync(Buffer.concat(pieces), { maxOutputLength: maxTextBytes + 1 });
  if (createHash('sha256').update(text).digest('hex') !== sha256) {
    throw new Error('its content is not what its name says');
  }
  // Of a mark at its beginning, too: else its digest would be another one.
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text);
}

/** @throws Error when it is no head that this version understands */
export function parseHead(value: Buffer): Head {
  const head = JSON.parse(value.toString('utf8')) as Partial<Head> | null;
  const { generation, seq, commit, files } = head ?? {};
  const whole =
    typeof generation === 'string' &&
    Number.isSafeInteger(seq) &&
    typeof commit === 'string' &&
    typeof files === 'object';
  if (head?.version !== 1 || !whole) {
    throw new Error('it was written by a newer version of tunwall, or by something else');
  }
  return head as Head;
}
