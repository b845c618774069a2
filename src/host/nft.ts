/** nftables, by the `nft` command: JSON in, JSON out. Everything here takes CAP_NET_ADMIN, reading too. */
import { GatewayError } from './error.ts';
import { hasNetAdmin, runProgram } from './system.ts';

export type Json = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
/** `{ add: object }` or `{ delete: object }`. */
export type NftCommand = Readonly<Record<string, Json>>;
/** All tables, chains, rules and the like of the namespace, each `{ kind: {...} }`; without elements of sets. */
export type Ruleset = readonly Json[];

/** `forbidden`: only root may look. `missing`: there is no nft here, or a kernel without nftables. */
export type NftState =
  | { readonly state: 'read'; readonly ruleset: Ruleset }
  | { readonly state: 'forbidden' }
  | { readonly state: 'missing'; readonly why: string };

export async function readNft(): Promise<NftState> {
  if (!hasNetAdmin()) return { state: 'forbidden' };
  try {
    return { state: 'read', ruleset: objectsIn(await listRuleset()) ?? (await readTables()) };
  } catch (error) {
    if (error instanceof GatewayError) return { state: 'missing', why: error.message };
    throw error;
  }
}

/** Undefined: it is not whole. */
function objectsIn(text: string): Json[] | undefined {
  try {
    const { nftables } = JSON.parse(text) as { nftables: Json[] };
    return nftables.filter((object) => !('metainfo' in object));
  } catch {
    return undefined;
  }
}

/**
 * For nft 1.0.6, which stops in the middle of a dormant table: each table is read alone. Of a dormant one nothing is in force, so its
 * name is enough.
 */
async function readTables(): Promise<Ruleset> {
  const ruleset: Json[] = [];
  const names = await runProgram('nft', ['list', 'tables']);
  for (const [, family, name] of names.matchAll(/^table (\S+) (\S+)$/gm)) {
    const text = await runProgram('nft', ['-j', '-t', 'list', 'table', family!, name!]);
    ruleset.push(...(objectsIn(text) ?? [{ table: { family, name, flags: ['dormant'] } }]));
  }
  return ruleset;
}

/** nft ends well and prints nothing when the ruleset changes again and again while it reads: it is asked again. */
async function listRuleset(): Promise<string> {
  for (let attempt = 1; attempt <= 5; attempt++) {
    const text = await runProgram('nft', ['-j', '-t', 'list', 'ruleset']);
    if (text.trim() !== '') return text;
  }
  throw new GatewayError(
    'nft prints no ruleset: another program changes it all the time',
    'try again when the other program has finished',
  );
}

/** Runs all commands in one transaction. As an argument: nft cannot open a socket, which a child's stdin is. */
export async function nft(commands: readonly NftCommand[]): Promise<void> {
  await runProgram('nft', ['-j', JSON.stringify({ nftables: commands })]);
}
