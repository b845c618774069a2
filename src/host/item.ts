/** One thing of the namespace that must be right, and what makes it so: what plan and neighbours speak in. */
import type { NftCommand } from './nft.ts';

/** One change of the namespace, as data. */
export type Change =
  | { readonly kind: 'ip' | 'tc'; readonly args: readonly string[] }
  | { readonly kind: 'nft'; readonly commands: readonly NftCommand[] }
  | { readonly kind: 'sysctl'; readonly path: string; readonly value: string };

export type ItemKind = 'guard' | 'device' | 'route' | 'rule' | 'sysctl' | 'neighbour';

/** One thing that must be right. */
export interface Item {
  readonly kind: ItemKind;
  readonly item: string;
  readonly expected: string;
  readonly found: string;
  readonly ok: boolean;
  /** The change that makes it right. Absent when only the operator may change it, because tunwall did not make it. */
  readonly change?: Change;
  /** Another program made it, and the gateway cannot work beside it: `up` refuses. */
  readonly refused?: boolean;
  /** What a human can do about it. */
  readonly hint?: string;
}
