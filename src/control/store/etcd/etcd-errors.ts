/** What an etcd cluster answers when it does not do what it is asked, and what an operator can do about it. */

export type EtcdTrouble =
  /** Nobody answers. */
  | 'unreachable'
  /** There is no majority of members, or no leader at this moment. */
  | 'no-quorum'
  /** The quota is used up: the cluster takes no writes until it is given room. */
  | 'no-space'
  /** Name or password is wrong, or there is none. */
  | 'unauthenticated'
  /** The role does not allow it. */
  | 'denied'
  | 'too-large'
  /** A text is not there. */
  | 'missing'
  /** A version with known data loss. */
  | 'version'
  /** The members belong to two clusters. */
  | 'wrong-cluster'
  /** The member cannot serve this, others can. */
  | 'learner'
  | 'unexpected';

export class EtcdError extends Error {
  override name = 'EtcdError';
  readonly trouble: EtcdTrouble;
  /** Whether the request may have been, or may still be, carried out. */
  readonly isLost: boolean;

  constructor(trouble: EtcdTrouble, message: string, isLost = false) {
    super(message);
    this.trouble = trouble;
    this.isLost = isLost;
  }
}

/** An answer that is an error, by its text. The codes of gRPC say less, and differ between versions. */
const answers: readonly (readonly [RegExp, EtcdTrouble, string])[] = [
  [
    /database space exceeded/,
    'no-space',
    'etcd has used up its quota and takes no changes: compact and defragment it, then etcdctl alarm disarm',
  ],
  [
    /no leader|leader changed|request timed out|too many requests|timed out, possibly|stopped|not ready|unavailable/i,
    'no-quorum',
    'etcd has no majority of members at present',
  ],
  [
    /authentication failed|user name is empty|user not found/,
    'unauthenticated',
    'etcd does not know this user, or the password is wrong: see store.etcd.user and passwordFile',
  ],
  [
    /permission denied/,
    'denied',
    'the role of this gateway in etcd does not allow it: see etcdctl role get',
  ],
  [/too large|too many operations/, 'too-large', 'it is larger than etcd takes at once'],
  [/learner/, 'learner', 'this member of etcd is a learner, and does not serve this yet'],
];

/** The token of a user has expired, or the rights of users have changed since: it is to be asked for anew. */
export function isOldToken(answer: string): boolean {
  return /invalid auth token|revision in header is old|invalid auth/.test(answer);
}

/** @param answer the words of etcd @param shown the same for people, without secrets */
export function answeredError(endpoint: string, answer: string, shown: string): EtcdError {
  for (const [words, trouble, message] of answers) {
    if (!words.test(answer)) continue;
    // Without a leader a request may have been put forward all the same.
    return new EtcdError(trouble, `${message} (${endpoint}: ${shown})`, trouble === 'no-quorum');
  }
  if (isOldToken(answer)) {
    const message = 'etcd does not take the token of this gateway';
    return new EtcdError('unauthenticated', `${message} (${endpoint}: ${shown})`);
  }
  // What is not known may have been carried out.
  return new EtcdError('unexpected', `etcd answers ${endpoint}: ${shown}`, true);
}

/** Versions in which members may come to differ, and nobody is told (etcd issue 13967). */
const harmful = /^3\.5\.[012]$/;

export function requireSafeVersion(endpoint: string, version: string): void {
  if (!harmful.test(version)) return;
  const message = `${endpoint} is etcd ${version}: versions 3.5.0 to 3.5.2 lose data silently (etcd issue 13967): install 3.5.14 or newer`;
  throw new EtcdError('version', message);
}
