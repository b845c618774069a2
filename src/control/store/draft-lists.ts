/**
 * The lists of addresses in a draft: the `.txt` files beside the sets, by name.
 *
 * A list belongs to the sets that name it, usually one, and goes with the last of them. What no set names is somebody's
 * file: it is not overwritten.
 */
import { listPattern, withoutEntries } from '../../policy/address-set.ts';
import { parsePeer as parseRange } from '../../policy/addresses.ts';
import type { Parsed } from '../../policy/addresses.ts';
import type { AddressRange, AddressSet } from '../../policy/types.ts';
import type { Documents } from './documents.ts';
import { StoreError } from './store.ts';
import type { ListText } from './store.ts';

interface PathProblem {
  readonly path: string;
  readonly message: string;
}

/** An address of a request, in its place. */
interface Wanted {
  readonly path: string;
  readonly range: AddressRange;
}

export class DraftLists {
  readonly #texts: Map<string, string>;
  readonly #sets: Documents<AddressSet>;
  /** What addresses mean, by how they are written. */
  readonly #keys = new Map<string, string>();
  /** Meanings of the addresses of a set. */
  readonly #meant = new WeakMap<readonly string[], Set<string>>();

  constructor(texts: ReadonlyMap<string, string>, sets: Documents<AddressSet>) {
    this.#texts = new Map(texts);
    this.#sets = sets;
  }

  get texts(): ReadonlyMap<string, string> {
    return this.#texts;
  }

  /** The list that a set names. */
  of(set: string): string | undefined {
    return this.#sets.value(set)?.file;
  }

  /**
   * Gives a set's list another text.
   *
   * @param wanted its name in the body of the set; by default that of the set
   * @returns its name, or why it cannot be
   */
  put(set: string, wanted: unknown, text: string): Parsed<string> {
    const file = typeof wanted === 'string' ? wanted : `${set}.txt`;
    // What is no name is reported with the rest of the body.
    if (!listPattern.test(file)) return { value: file };
    const taken = this.#taken(set, file, text);
    if (taken !== undefined) return { message: taken };
    this.#texts.set(file, text);
    return { value: file };
  }

  /** Why a set cannot have this list as its own. */
  #taken(set: string, file: string, text: string): string | undefined {
    const users = this.#users(file);
    const other = users.find((each) => each !== set);
    if (other !== undefined) return `sets/${file} is the list of set "${other}"`;
    const present = this.#texts.get(file);
    if (users.length > 0 || present === undefined || present === text) return undefined;
    return `sets/${file} is there already, and no set names it`;
  }

  #users(file: string): string[] {
    return this.#sets.values.filter((each) => each.file === file).map(({ name }) => name);
  }

  /**
   * After a set was copied: a copy has a list of its own, a new name moves a list that has the old one.
   *
   * @throws StoreError `exists`
   */
  copy(from: string, to: string, action: 'clone' | 'rename'): void {
    const file = this.of(from);
    const text = file === undefined ? undefined : this.#texts.get(file);
    if (file === undefined || text === undefined) return;
    const keeps = file !== `${from}.txt` || this.#users(file).length > 2;
    if (action === 'rename' && keeps) return;
    const next = `${to}.txt`;
    if (this.#texts.has(next)) {
      throw new StoreError([{ kind: 'exists', what: 'list', name: next }]);
    }
    this.#texts.set(next, text);
    this.#sets.edit(to, { ...this.#sets.content(to), file: next }, this.#sets.causes.get(to));
  }

  /** Removes a list that no set names any more. */
  release(file: string): void {
    if (this.#users(file).length === 0) this.#texts.delete(file);
  }

  /** @returns whether the list has changed. @throws StoreError `exists` if it is another set's by now */
  restore(set: string, { file, text }: ListText): boolean {
    if (this.#texts.get(file) === text) return false;
    if (this.#taken(set, file, text) !== undefined) {
      throw new StoreError([{ kind: 'exists', what: 'list', name: file }]);
    }
    this.#texts.set(file, text);
    return true;
  }

  /** Adds addresses to those of the set's own file; removes them from there, or from the list. */
  changeAddresses(
    name: string,
    {
      add = [],
      remove = [],
    }: { readonly add?: readonly string[]; readonly remove?: readonly string[] },
  ): PathProblem[] {
    const problems: PathProblem[] = [];
    const read = (key: string, texts: readonly string[]): Wanted[] =>
      texts.flatMap((text, index) => {
        const path = `${key}[${index}]`;
        const parsed = parseRange(text);
        if ('value' in parsed) return { path, range: parsed.value };
        problems.push({ path, message: parsed.message });
        return [];
      });
    const [added, removed] = [read('add', add), read('remove', remove)];
    if (problems.length > 0) return problems;
    const content = this.#sets.content(name);
    const spelled = [content['addresses'] ?? []].flat() as string[];
    const file = content['file'] as string | undefined;
    const text = file === undefined ? undefined : this.#texts.get(file);
    const places = (wanted: readonly Wanted[]): ReturnType<typeof withoutEntries> =>
      withoutEntries(
        wanted.length === 0 ? '' : (text ?? ''),
        wanted.map(({ range }) => range),
      );
    const listed = places(removed);
    const own =
      this.#meant.get(spelled) ?? new Set(spelled.map((address) => this.#meaningOf(address)));
    removed.forEach(({ path, range }, index) => {
      if (own.has(keyOf(range)) || listed.found[index] === true) return;
      const message = `"${range.text}" is not in the set as such: what is part of a block is taken away by "except"`;
      problems.push({ path, message });
    });
    if (problems.length > 0) return problems;
    const known = places(added).found;
    const gone = new Set(removed.map(({ range }) => keyOf(range)));
    const wanted = new Map(
      added
        .filter(({ range }, index) => !own.has(keyOf(range)) && known[index] !== true)
        .map(({ range }) => [keyOf(range), range.text]),
    );
    const kept =
      gone.size === 0 ? spelled : spelled.filter((address) => !gone.has(this.#meaningOf(address)));
    if (kept.length !== spelled.length || wanted.size > 0) {
      const addresses = [...kept, ...wanted.values()];
      for (const key of gone) own.delete(key);
      for (const key of wanted.keys()) own.add(key);
      this.#meant.set(addresses, own);
      this.#sets.editLater(name, { ...content, addresses });
    }
    if (listed.found.some(Boolean)) this.#texts.set(file!, listed.text);
    return [];
  }

  #meaningOf(address: string): string {
    let key = this.#keys.get(address);
    if (key === undefined) {
      const parsed = parseRange(address);
      key = 'value' in parsed ? keyOf(parsed.value) : address;
      this.#keys.set(address, key);
    }
    return key;
  }
}

function keyOf({ from, to }: AddressRange): string {
  return `${from}-${to}`;
}
