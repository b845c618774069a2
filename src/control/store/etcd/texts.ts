/** Texts in etcd: written before the head that names them, read by their digests. */
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-errors.ts';
import { decoded, encoded, piecesOf, textOf } from './layout.ts';
import type { Keys } from './layout.ts';

export interface KeyValue {
  readonly key: string;
  readonly value?: string;
  readonly mod_revision?: string;
}

export interface RangeAnswer {
  readonly kvs?: readonly KeyValue[];
  readonly more?: boolean;
}

export interface TxnAnswer {
  readonly succeeded?: boolean;
  readonly header: { readonly revision: string };
  readonly responses?: readonly { readonly response_range?: RangeAnswer }[];
}

/** Operations of a transaction: the cluster takes 128. */
const batch = 100;
/** Bytes of an answer, about: a member refuses what is too long for it. */
const piecesAtOnce = 4;

/** Of texts that are written together with what names them, compressed: head and commits need most of a request. */
const fewBytes = 128 << 10;
const fewPieces = 32;

/**
 * Operations that write texts; those that are there already, too: who collects what nobody names sees that they are in use. Repeating
 * them does no harm: a blob has one content for ever.
 */
function* puttingTexts(
  keys: Keys,
  texts: ReadonlyMap<string, string>,
): Generator<{ readonly put: object; readonly bytes: number }> {
  for (const [sha256, text] of texts) {
    for (const [index, piece] of piecesOf(text).entries()) {
      const put = { request_put: { key: keys.blob(sha256, index), value: encoded(piece) } };
      yield { put, bytes: piece.length };
    }
  }
}

/**
 * Writes texts, except when they are so few that they can be written with the commit that names them: a change then waits
 * for one transaction instead of two.
 *
 * @returns the operations that are left for the commit
 */
export async function putTexts(
  client: EtcdClient,
  keys: Keys,
  texts: ReadonlyMap<string, string>,
): Promise<readonly object[]> {
  let waiting: object[] = [];
  let bytes = 0;
  let requests = 0;
  const flush = async (): Promise<void> => {
    const success = waiting;
    [waiting, bytes] = [[], 0];
    requests++;
    await client.read('/v3/kv/txn', { success });
  };
  for (const { put, bytes: more } of puttingTexts(keys, texts)) {
    if (waiting.length === batch || (waiting.length > 0 && bytes + more > 600 << 10)) await flush();
    bytes += more;
    waiting.push(put);
  }
  if (requests === 0 && waiting.length <= fewPieces && bytes <= fewBytes) return waiting;
  if (waiting.length > 0) await flush();
  return [];
}

/** @returns the texts by digest. @throws EtcdError, also when one is missing or damaged */
export async function getTexts(
  client: EtcdClient,
  keys: Keys,
  digests: readonly string[],
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (let at = 0; at < digests.length; at += batch) {
    const some = digests.slice(at, at + batch);
    const { responses = [] } = await client.read<TxnAnswer>('/v3/kv/txn', {
      success: some.map((sha256) => ({
        request_range: {
          key: keys.blob(sha256, 0),
          range_end: keys.afterBlob(sha256),
          // Most texts are one piece.
          limit: '1',
        },
      })),
    });
    for (const [index, sha256] of some.entries()) {
      const { kvs = [], more = false } = responses[index]?.response_range ?? {};
      const pieces = kvs.map(({ value }) => decoded(value));
      if (more) pieces.push(...(await furtherPieces(client, keys, sha256)));
      texts.set(sha256, checked(sha256, pieces));
    }
  }
  return texts;
}

async function furtherPieces(client: EtcdClient, keys: Keys, sha256: string): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  for (;;) {
    const { kvs = [], more = false } = await client.read<RangeAnswer>('/v3/kv/range', {
      key: keys.blob(sha256, 1 + pieces.length),
      range_end: keys.afterBlob(sha256),
      limit: String(piecesAtOnce),
    });
    pieces.push(...kvs.map(({ value }) => decoded(value)));
    if (!more) return pieces;
  }
}

function checked(sha256: string, pieces: readonly Buffer[]): string {
  if (pieces.length === 0) {
    throw new EtcdError('missing', `the text ${sha256} is not in etcd: was it deleted by hand?`);
  }
  try {
    return textOf(sha256, pieces);
  } catch (error) {
    const message = `the text ${sha256} in etcd is damaged: ${(error as Error).message}`;
    throw new EtcdError('unexpected', message);
  }
}
